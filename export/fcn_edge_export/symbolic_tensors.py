"""Sizes as a tensor: `torch.as_tensor([(height, width)])`, of which only `torch.tensor` keeps them symbolic.

The others read the sizes of the example, and their tensor is a constant. No mode sees their calls, so they
are replaced by name while a network is traced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["symbolic_tensors"]

_SYMBOLS = (torch.SymInt, torch.SymFloat)


@contextlib.contextmanager
def symbolic_tensors() -> Iterator[None]:
    """as_tensor, asarray and new_tensor are traced for every size."""
    before = torch.as_tensor, torch.asarray, Tensor.new_tensor
    try:
        torch.as_tensor, torch.asarray = (_by_tensor(real) for real in before[:2])
        Tensor.new_tensor = _new_tensor(before[2])  # type: ignore[method-assign]  # as the module says
        yield
    finally:
        torch.as_tensor, torch.asarray = before[:2]
        Tensor.new_tensor = before[2]  # type: ignore[method-assign]  # as above


def _by_tensor(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(data: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not _holds_symbols(data):
            return real(data, *args, **kwargs)
        given = {**dict(zip(("dtype", "device"), args, strict=False)), **kwargs}
        return torch.tensor(data, dtype=given.get("dtype"), device=given.get("device"))

    return function


def _new_tensor(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, data: Any, **kwargs: Any) -> Tensor:
        if not _holds_symbols(data):
            return real(self, data, **kwargs)
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **kwargs})

    return method


def _holds_symbols(data: Any) -> bool:
    if isinstance(data, (tuple, list)):
        return any(map(_holds_symbols, data))
    return isinstance(data, _SYMBOLS)
