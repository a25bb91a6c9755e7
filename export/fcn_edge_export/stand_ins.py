"""What stands for a function of PyTorch's while a network is traced, and the function behind it.

Torch hands a mode the method that it finds by its name, so where one is replaced the mode gets the stand-in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["SYMBOLS", "Kind", "real_function", "standing_for"]

SYMBOLS = (torch.SymInt, torch.SymFloat)  # what stands for numbers that are computed from a size
_BEHIND = "_fcn_edge_behind"


def standing_for(real: Callable[..., Any], stand_in: Callable[..., Any]) -> Callable[..., Any]:
    """The stand-in, which knows what it stands for."""
    setattr(stand_in, _BEHIND, real)
    return stand_in


def real_function(func: Any) -> Any:
    """The function behind a stand-in; any other as it is."""
    return getattr(func, _BEHIND, func)


class Kind(type):
    """Of a stand-in for a type: it is that to `isinstance`, has what it has, and is equal to it."""

    real: type
    symbol: type

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, (cls.real, cls.symbol))

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, (cls.real, cls.symbol))

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.real

    def __hash__(cls) -> int:
        return hash(cls.real)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.real, name)
