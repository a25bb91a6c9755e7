"""numpy's arrays that are as long as the image is high or wide: `np.linspace(-1, 1, width)`.

numpy makes them as long as the example is wide. PyTorch has numpy's functions on tensors of its own, as it
traces numpy where it compiles, and these keep sizes symbolic: while a network is traced they take over where
an array is made from a size, and wherever such an array goes.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from fcn_edge_export.stand_ins import SYMBOLS, Kind
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["ARRAY", "GRIDS", "on_arrays", "symbolic_arrays"]

tnp: Any = importlib.import_module("torch._numpy")  # torch has no types for it
_dtypes, ndarray = tnp._dtypes, tnp.ndarray  # noqa: SLF001 (their only place)
ARRAY = ndarray
_MAKERS = frozenset(
    {"linspace", "logspace", "arange", "zeros", "ones", "empty", "full", "eye", "identity", "tri", "indices"}
    | {"tile", "repeat", "broadcast_to", "hanning", "hamming"}
)
_OPERATORS = (
    *(f"__{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")),
    *(f"__r{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")),
    *(f"__i{name}__" for name in ("add", "sub", "mul", "truediv")),
    *("__lt__", "__le__", "__gt__", "__ge__"),
)


@contextlib.contextmanager
def symbolic_arrays() -> Iterator[None]:
    """PyTorch's arrays know numpy's types, and numpy's own arrays leave operations with them to these."""
    before = _dtypes.dtype
    operators = {name: getattr(ndarray, name) for name in _OPERATORS}
    try:
        _dtypes.dtype = lambda given: before(_named(given))
        ndarray.__array_ufunc__ = None
        for name, real in operators.items():
            setattr(ndarray, name, _with_array(real, quotient="truediv" in name))
        yield
    finally:
        _dtypes.dtype = before
        del ndarray.__array_ufunc__
        for name, real in operators.items():
            setattr(ndarray, name, real)


def _with_array(real: Callable[[Any, Any], Any], *, quotient: bool) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        given = self, _scalar(other, self)
        return real(*map(_fraction, given)) if quotient else real(*given)

    return operator


def _fraction(array: Any) -> Any:
    """Whole numbers as numpy divides them, in float64."""
    is_whole = isinstance(array, ndarray) and not array.tensor.is_floating_point()
    return ndarray(array.tensor.to(torch.float64)) if is_whole else array


def _scalar(number: Any, beside: Any) -> Any:
    """A number beside an array as one, of the type that numpy takes it for: ONNX wants both of one type."""
    if isinstance(number, bool) or not isinstance(number, (int, float, *SYMBOLS)):
        return number
    dtype = torch.int64 if isinstance(number, (int, torch.SymInt)) else torch.float64
    if beside.tensor.is_floating_point():
        dtype = beside.tensor.dtype
    value: Any = number  # torch's types know no symbols
    return ndarray(torch.full((), value, dtype=dtype))


def on_arrays(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of numpy's that also makes and takes arrays whose length is a size."""

    def function(*args: Any, **kwargs: Any) -> Any:
        given = (args, tuple(kwargs.values()))
        if not _holds(given, ndarray) and (name not in _MAKERS or not _holds(given, SYMBOLS)):
            return real(*args, **kwargs)
        symbolic = _OWN.get(name) or getattr(tnp, name, None)
        if symbolic is None:
            raise ArtifactError(
                f"trace: the network calls np.{name} on an array as long as a side of its image, which has "
                "no like in a file: compute it by PyTorch's functions"
            )
        if isinstance(getattr(np, name), np.ufunc):
            array = next(arg for arg in args if isinstance(arg, ndarray))
            args = tuple(_scalar(arg, array) for arg in args)
            args = tuple(map(_fraction, args)) if "divide" in name and name != "floor_divide" else args
        return symbolic(*args, **kwargs)

    return function


class _Grids:
    """np.mgrid and np.ogrid."""

    def __init__(self, real: Any, *, sparse: bool) -> None:
        self._real = real
        self._sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        slices = key if isinstance(key, tuple) else (key,)
        if not _holds([(s.start, s.stop, s.step) for s in slices], SYMBOLS):
            return self._real[key]
        axes = [_axis(s) for s in slices]
        if not isinstance(key, tuple):
            return axes[0]
        grid = tnp.meshgrid(*axes, indexing="ij", sparse=self._sparse)
        return grid if self._sparse else tnp.stack(grid)


GRIDS = {"mgrid": _Grids(np.mgrid, sparse=False), "ogrid": _Grids(np.ogrid, sparse=True)}


def _axis(counted: slice) -> Any:
    start = 0 if counted.start is None else counted.start
    if isinstance(counted.step, complex):
        return tnp.linspace(start, counted.stop, int(abs(counted.step)))
    return tnp.arange(start, counted.stop, 1 if counted.step is None else counted.step)


def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, **options: Any) -> Any:  # noqa: FBT001, FBT002 (numpy's own)
    if endpoint:
        return tnp.linspace(start, stop, num, **options)
    dtype = options.pop("dtype", None)
    made = start + tnp.arange(num, **options) * ((stop - start) / num)
    return made if dtype is None else made.astype(dtype)


def _indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:  # noqa: FBT001, FBT002 (as above)
    grid = tnp.meshgrid(*(tnp.arange(side) for side in dimensions), indexing="ij", sparse=sparse)
    return tuple(part.astype(dtype) for part in grid) if sparse else tnp.stack(grid).astype(dtype)


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """By a new axis: torch's own wants a tensor of counts."""
    array = tnp.asarray(a)
    array = array if axis is not None else array.ravel()
    at = 0 if axis is None else axis % array.ndim
    tensor = array.tensor.unsqueeze(at + 1)
    shape = [*tensor.shape]
    shape[at + 1] = repeats
    return ndarray(tensor.expand(shape).flatten(at, at + 1))


def _rows(arrays: Any) -> Any:
    return tnp.concatenate([array if array.ndim > 1 else array[None] for array in map(tnp.asarray, arrays)])


def _columns(arrays: Any) -> Any:
    listed = [tnp.asarray(array) for array in arrays]
    return tnp.concatenate([array if array.ndim > 1 else array[:, None] for array in listed], axis=1)


def _raised_cosine(share: float) -> Callable[[Any], Any]:
    def window(length: Any) -> Any:
        return share - (1 - share) * tnp.cos(2 * np.pi * tnp.arange(length) / (length - 1))

    return window


_OWN: dict[str, Callable[..., Any]] = {
    "linspace": _linspace,
    "indices": _indices,
    "repeat": _repeat,
    "vstack": _rows,
    "column_stack": _columns,
    "hanning": _raised_cosine(0.5),
    "hamming": _raised_cosine(0.54),
    "degrees": lambda angle: angle * (180 / np.pi),
    "ascontiguousarray": tnp.asarray,
}


def _named(given: Any) -> Any:
    """A type of numpy's by its name."""
    given = given.real if type(given) is Kind else given
    is_numpy = isinstance(given, np.dtype) or (isinstance(given, type) and issubclass(given, np.generic))
    return np.dtype(given).name if is_numpy else given


def _holds(given: Any, kinds: Any) -> bool:
    if isinstance(given, (tuple, list)):
        return any(_holds(entry, kinds) for entry in given)
    return isinstance(given, kinds)
