"""`x.shape.numel()` and `x.shape[-2:].numel()`, which would count with the sizes of the example.

torch.Size is a type made in C, whose method no mode sees. While a network is traced it multiplies as Python
does, which keeps sizes symbolic.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["symbolic_sizes"]


@contextlib.contextmanager
def symbolic_sizes() -> Iterator[None]:
    """Count the entries of a torch.Size for every size."""
    methods: dict[str, Any] = gc.get_referents(torch.Size.__dict__)[0]  # a type made in C takes no attribute
    before = methods["numel"]
    try:
        _replace(methods, _numel)
        yield
    finally:
        _replace(methods, before)


def _replace(methods: dict[str, Any], numel: Any) -> None:
    methods["numel"] = numel
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(torch.Size))  # it keeps methods that were looked up


def _numel(size: torch.Size) -> Any:
    return math.prod(size)
