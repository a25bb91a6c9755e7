"""Sizes as a tensor: `torch.as_tensor([(height, width)])`, of which only torch's Python keeps them symbolic.

The functions read the sizes of the example, and their tensor is a constant. No mode sees their calls, so they
are replaced by name while a network is traced, and the types that older code calls, such as
`torch.FloatTensor`, in the modules of the network. Symbols of numpy's are objects, which none of them takes.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, _refs, from_numpy

from fcn_edge_export.stand_ins import SYMBOLS, Kind, standing_for

__all__ = ["CONSTRUCTORS", "symbolic_tensors"]

ndarray: Any = importlib.import_module("torch._numpy").ndarray  # torch has no types for it
_NAMES = ("as_tensor", "asarray", "from_numpy", "tensor")


@contextlib.contextmanager
def symbolic_tensors() -> Iterator[None]:
    """tensor, as_tensor, asarray, from_numpy, new_tensor and new are traced for every size."""
    before = {name: getattr(torch, name) for name in _NAMES}
    own, new_tensor, new = "new_tensor" in vars(Tensor), Tensor.new_tensor, Tensor.new
    try:
        for name, real in before.items():
            setattr(torch, name, _by_tensor(real))
        Tensor.new_tensor = _new_tensor(new_tensor)  # type: ignore[method-assign]  # as the module says
        Tensor.new = _new(new)  # type: ignore[method-assign, assignment]  # as above
        yield
    finally:
        del Tensor.new
        for name, real in before.items():
            setattr(torch, name, real)
        if own:
            Tensor.new_tensor = new_tensor  # type: ignore[method-assign]  # as above
        else:
            del Tensor.new_tensor


def _by_tensor(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(data: Any, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(data, ndarray):
            data = data.tensor
        if not _holds_symbols(data):
            return data if real is from_numpy and isinstance(data, Tensor) else real(data, *args, **kwargs)
        given = {**dict(zip(("dtype", "device"), args, strict=False)), **kwargs}
        return _made(data, dtype=given.get("dtype") or _type_of(data), device=given.get("device"))

    return function


def _new_tensor(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, data: Any, **kwargs: Any) -> Tensor:
        if isinstance(data, ndarray):
            made: Tensor = data.tensor.to(**{"dtype": self.dtype, "device": self.device, **kwargs})
            return made
        if not _holds_symbols(data):
            return real(self, data, **kwargs)
        return _made(data, **{"dtype": self.dtype, "device": self.device, **kwargs})

    return standing_for(real, method)


def _new(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if _is_listed(args):
            return _made(args[0], dtype=self.dtype, device=self.device)
        return real(self, *args, **kwargs)

    return standing_for(real, method)


def _made(data: Any, **options: Any) -> Tensor:
    listed = data.tolist() if isinstance(data, np.ndarray) else data
    made: Tensor = _refs.tensor(listed, **options)  # type: ignore[no-untyped-call]  # torch has no type for it
    return made


def _type_of(data: Any) -> torch.dtype | None:
    """Of an array numpy's: numbers that are not whole have 64 bits."""
    is_float = isinstance(data, np.ndarray) and any(isinstance(n, (float, torch.SymFloat)) for n in data.flat)
    return torch.float64 if is_float else None


def _is_listed(args: tuple[Any, ...]) -> bool:
    """Whether numbers are given as a list; as they are, or as a shape, they are the shape of a tensor."""
    listed = len(args) == 1 and not isinstance(args[0], (torch.Size, *SYMBOLS))
    return listed and _holds_symbols(args[0])


def _holds_symbols(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        return data.dtype == object and any(map(_holds_symbols, data.flat))
    if isinstance(data, (tuple, list)):
        return any(map(_holds_symbols, data))
    return isinstance(data, SYMBOLS)


def _constructor(real: Any, dtype: torch.dtype | None) -> Kind:
    """What stands for a type of tensors that is called with numbers."""

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        del cls
        if args and isinstance(args[0], ndarray):
            return args[0].tensor.to(dtype or torch.get_default_dtype())
        if _is_listed(args):
            return _made(args[0], dtype=dtype or torch.get_default_dtype())
        return real(*args, **kwargs)

    return Kind(real.__name__, (), {"real": real, "symbol": real, "__new__": new})


CONSTRUCTORS: dict[Any, Kind] = {
    torch.Tensor: _constructor(torch.Tensor, None),
    torch.FloatTensor: _constructor(torch.FloatTensor, torch.float32),
    torch.DoubleTensor: _constructor(torch.DoubleTensor, torch.float64),
    torch.LongTensor: _constructor(torch.LongTensor, torch.int64),
    torch.IntTensor: _constructor(torch.IntTensor, torch.int32),
}
