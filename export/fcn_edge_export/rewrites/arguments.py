"""What a rewritten function was given."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from fcn_edge_export.stand_ins import SYMBOLS

__all__ = ["given_to", "pair", "symbolic"]


def given_to(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Its arguments by name, defaults included."""
    bound = inspect.signature(func).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def pair(value: Any) -> tuple[Any, Any]:
    """Of rows and of columns, where one number may stand for both."""
    return (value[0], value[-1]) if isinstance(value, (tuple, list, torch.Size)) else (value, value)


def symbolic(*values: Any) -> bool:
    """Whether one of the values, or of the numbers in them, is computed from a size."""
    return any(isinstance(v, SYMBOLS) for value in values for v in _flat(value))


def _flat(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
