"""Sizes as a tensor: `torch.as_tensor([(height, width)])`, of which only torch's Python keeps them symbolic.

The functions read the sizes of the example, and their tensor is a constant. No mode sees their calls, so they
are replaced by name while a network is traced. Symbols of numpy's are objects, which none of them takes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, _refs

from fcn_edge_export.stand_ins import standing_for

__all__ = ["symbolic_tensors"]

_NAMES = ("as_tensor", "asarray", "from_numpy", "tensor")
_SYMBOLS = (torch.SymInt, torch.SymFloat)


@contextlib.contextmanager
def symbolic_tensors() -> Iterator[None]:
    """tensor, as_tensor, asarray, from_numpy and new_tensor are traced for every size."""
    before = {name: getattr(torch, name) for name in _NAMES}
    own, new_tensor = "new_tensor" in vars(Tensor), Tensor.new_tensor
    try:
        for name, real in before.items():
            setattr(torch, name, _by_tensor(real))
        Tensor.new_tensor = _new_tensor(new_tensor)  # type: ignore[method-assign]  # as the module says
        yield
    finally:
        for name, real in before.items():
            setattr(torch, name, real)
        if own:
            Tensor.new_tensor = new_tensor  # type: ignore[method-assign]  # as above
        else:
            del Tensor.new_tensor


def _by_tensor(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(data: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not _holds_symbols(data):
            return real(data, *args, **kwargs)
        given = {**dict(zip(("dtype", "device"), args, strict=False)), **kwargs}
        return _made(data, dtype=given.get("dtype") or _type_of(data), device=given.get("device"))

    return function


def _new_tensor(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, data: Any, **kwargs: Any) -> Tensor:
        if not _holds_symbols(data):
            return real(self, data, **kwargs)
        return _made(data, **{"dtype": self.dtype, "device": self.device, **kwargs})

    return standing_for(real, method)


def _made(data: Any, **options: Any) -> Tensor:
    listed = data.tolist() if isinstance(data, np.ndarray) else data
    made: Tensor = _refs.tensor(listed, **options)  # type: ignore[no-untyped-call]  # torch has no type for it
    return made


def _type_of(data: Any) -> torch.dtype | None:
    """Of an array numpy's: numbers that are not whole have 64 bits."""
    is_float = isinstance(data, np.ndarray) and any(isinstance(n, (float, torch.SymFloat)) for n in data.flat)
    return torch.float64 if is_float else None


def _holds_symbols(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        return data.dtype == object and any(map(_holds_symbols, data.flat))
    if isinstance(data, (tuple, list)):
        return any(map(_holds_symbols, data))
    return isinstance(data, _SYMBOLS)
