"""Python's own numbers, made to work on the sizes of a traced image.

`int(h / 2)`, `round(w * 0.5)`, `np.ceil(h / 16)` and `len(x)` must return Python's numbers, so while a
network is traced they freeze the size to that of the example. In the modules whose code the network runs,
these names stand for functions of ours while it is traced: equal to Python's on numbers, symbolic on symbols.
A scripted function, whose sizes are numbers, too, gives way to the Python that it was made of, and one that
keeps its results by its arguments to the function behind it. Sizes are hashable meanwhile: keys of a dict.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fcn_edge_export.stand_ins import SYMBOLS, Kind, standing_for
from fcn_edge_export.symbolic.arrays import ARRAY, GRIDS, on_arrays
from fcn_edge_export.symbolic.functions import OF_ONE, OF_TWO, truncated
from fcn_edge_export.symbolic.tensors import CONSTRUCTORS

__all__ = ["function_behind", "symbolic_numbers"]

_NOT_THEIRS = frozenset({"torch", "numpy", "sympy", "fcn_edge_export", "", *sys.stdlib_module_names})


class _Int(metaclass=Kind):
    real = int
    symbol = torch.SymInt

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], SYMBOLS):
            return truncated(args[0])
        if len(args) == 1 and isinstance(args[0], (Tensor, ARRAY)):
            return cls(args[0].item())
        return int(*args, **kwargs)


class _Float(metaclass=Kind):
    real = float
    symbol = torch.SymFloat

    def __new__(cls, *args: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], SYMBOLS):
            return torch.sym_float(args[0])  # type: ignore[no-untyped-call]  # torch has no type for it
        if len(args) == 1 and isinstance(args[0], (Tensor, ARRAY)):
            return cls(args[0].item())
        return float(*args)


class _Type(metaclass=Kind):
    """Of a symbol the number's: `type(height) is int`."""

    real = type
    symbol = type

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        found = type(*args, **kwargs)
        kinds: tuple[type, ...] = (_Int, _Float)
        return next((kind for kind in kinds if found in (kind.real, kind.symbol)), found)  # type: ignore[attr-defined]  # Kind's


class _Symbols(npt.NDArray[Any]):
    """An array of symbols, whose entries numpy would convert to the numbers of the example."""

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Entries that are whole or not, as the type; still objects."""
        kind = np.dtype(dtype).kind
        if kind not in "iuf":
            return super().astype(dtype, *args, **kwargs)
        return np.frompyfunc(_Float if kind == "f" else _Int, 1, 1)(self)


class _Library(types.ModuleType):
    """A module of functions on numbers, some of which also take symbols."""

    def __init__(self, real: types.ModuleType) -> None:
        super().__init__(real.__name__)
        self.__dict__["_real"] = real

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["_real"], name)
        if self.__name__ == "torch":
            return CONSTRUCTORS.get(found, found) if isinstance(found, type) else found
        if self.__name__ == "math":
            return _of_both(found, name)
        return GRIDS[name] if name in GRIDS else _of_numpy(found, name)


def _of_numpy(found: Any, name: str) -> Any:
    """What numpy has by a name, which also takes symbols if it is a function."""
    if isinstance(found, (type, types.ModuleType)) or not callable(found):
        return found
    if name in ("array", "asarray"):
        return on_arrays(_array_of_both(found), name)
    if name in ("max", "amax", "min", "amin"):
        return on_arrays(_extreme(found, OF_TWO["maximum" if "max" in name else "minimum"]), name)
    return on_arrays(_of_both(found, name), name)


def _extreme(real: Callable[..., Any], of_two: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Of sides as a list, one after the other: numpy would decide by those of the example."""

    def function(sides: Any, *args: Any, **kwargs: Any) -> Any:
        listed = isinstance(sides, (tuple, list)) and any(isinstance(side, SYMBOLS) for side in sides)
        return functools.reduce(of_two, sides) if listed else real(sides, *args, **kwargs)

    return function


def _of_both(real: Any, name: str) -> Any:
    """The function of a name, of numbers and of symbols; what is none as it is."""
    if name not in OF_ONE and name not in OF_TWO:
        return real

    def function(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and any(isinstance(number, SYMBOLS) for number in args):
            symbolic = {1: OF_ONE, 2: OF_TWO}.get(len(args), {}).get(name)
            if symbolic is not None and all(isinstance(n, (int, float, *SYMBOLS)) for n in args):
                return symbolic(*args)
        return real(*args, **kwargs)

    return function


def _array_of_both(real: Callable[..., Any]) -> Callable[..., Any]:
    """An array of symbols holds them as objects, with which numpy computes as they do."""

    def function(data: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(data, (tuple, list)) and any(isinstance(entry, SYMBOLS) for entry in data):
            made = real(data, dtype=object).view(_Symbols)
            kind = kwargs.get("dtype", args[0] if args else None)
            return made if kind is None else made.astype(kind)
        return real(data, *args, **kwargs)

    return function


def _as_type(number: Any, dtype: Any) -> Any:
    kind = np.dtype(_real(dtype)).kind
    return _Float(number) if kind == "f" else _Int(number)


def _len(value: Any) -> Any:
    value = getattr(value, "tensor", value) if isinstance(value, ARRAY) else value
    return value.shape[0] if isinstance(value, Tensor) and value.dim() else len(value)


@contextlib.contextmanager
def symbolic_numbers(net: nn.Module) -> Iterator[None]:
    """int, float, type, len, math and numpy work on symbols in the modules whose code the network may run."""
    changed: list[tuple[dict[str, Any], str, Any]] = []
    cached = [
        (kind, name, value)
        for kind in dict.fromkeys(kind for module in net.modules() for kind in type(module).__mro__)
        for name, value in tuple(vars(kind).items())
        if isinstance(value, _CACHED)
    ]
    unhashable = torch.SymInt.__hash__
    try:
        torch.SymInt.__hash__ = _hash  # type: ignore[method-assign, assignment]  # as the module says
        for symbol in SYMBOLS:
            symbol.astype = _as_type  # type: ignore[union-attr]  # numpy's numbers have it: np.ceil(h / 2).astype(int)
        for kind, name, value in cached:
            setattr(kind, name, value.__wrapped__)
        for names in _namespaces(net):
            for name, stand_in in _stand_ins(names):
                changed.append((names, name, names.get(name, _ABSENT)))
                names[name] = stand_in
        with _real_types():
            yield
    finally:
        torch.SymInt.__hash__ = unhashable  # type: ignore[method-assign]  # as above
        for symbol in SYMBOLS:
            del symbol.astype  # type: ignore[union-attr]  # as above
        for kind, name, value in cached:
            setattr(kind, name, value)
        for names, name, before in reversed(changed):
            if before is _ABSENT:
                del names[name]
            else:
                names[name] = before


@contextlib.contextmanager
def _real_types() -> Iterator[None]:
    """PyTorch takes `int` and `float` for types of tensors, and would not take what stands for them."""
    before = [
        (holder, name, vars(holder).get(name, _ABSENT))
        for holder, names in ((torch, _MAKE), (Tensor, _CONVERT))
        for name in names
    ]
    try:
        for holder, name, _ in before:
            setattr(holder, name, _with_real_types(getattr(holder, name)))
        yield
    finally:
        for holder, name, value in before:
            delattr(holder, name) if value is _ABSENT else setattr(holder, name, value)


def _with_real_types(function: Callable[..., Any]) -> Callable[..., Any]:
    def with_real(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_real, args), **{name: _real(value) for name, value in kwargs.items()})

    return standing_for(function, with_real)


def _real(value: Any) -> Any:
    return value.real if type(value) is Kind else value


_MAKE = (
    *("arange", "as_tensor", "asarray", "empty", "empty_like", "full", "full_like", "linspace", "ones"),
    *("ones_like", "tensor", "zeros", "zeros_like"),
)
_CONVERT = ("new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "sum", "to", "type")
_ABSENT = object()
# By id, since looking one up must not touch a value: types that make tensors, and functions of numpy's.
_CONSTRUCTORS = {id(kind): stand_in for kind, stand_in in CONSTRUCTORS.items()}
_OF_NUMPY = {
    id(value): name
    for name, value in vars(np).items()
    if callable(value) and getattr(value, "__name__", "") == name
}
_CACHED = functools._lru_cache_wrapper  # noqa: SLF001 (the type has no other name)


def _hash(symbol: torch.SymInt) -> int:
    """Of one size in one trace, so that it can be a key."""
    node = symbol.node
    return hash((id(node.shape_env), node.expr))


def _stand_ins(names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    numbers: dict[str, Any] = {
        "int": _Int,
        "float": _Float,
        "type": _Type,
        "round": _of_both(round, "round"),
        "len": _len,
        "divmod": _of_both(divmod, "divmod"),
    }
    for name, stand_in in numbers.items():
        if name not in names:
            yield name, stand_in
    for name, value in tuple(names.items()):
        kind = type(
            value
        )  # and nothing of the value itself: it may load a package, or raise, when it is touched
        if value is math or value is np or value is torch:
            yield name, _Library(value)
        elif issubclass(kind, type) and id(value) in _CONSTRUCTORS:
            yield name, _CONSTRUCTORS[id(value)]
        elif kind is types.BuiltinFunctionType and value.__module__ == "math":
            yield name, _of_both(value, value.__name__)
        elif id(value) in _OF_NUMPY:
            yield name, _of_numpy(value, _OF_NUMPY[id(value)])
        elif (function := function_behind(value)) is not None:
            yield name, function
        elif issubclass(kind, _CACHED):
            yield name, value.__wrapped__


def _namespaces(net: nn.Module) -> tuple[dict[str, Any], ...]:
    """The global names of the modules that define the network, and of those whose functions they use."""
    waiting: list[Any] = [kind for module in net.modules() for kind in type(module).__mro__]
    found: dict[int, dict[str, Any]] = {}
    while waiting:
        value: Any = waiting.pop()
        for names in _globals_of(value):
            name = str(names.get("__name__", ""))
            if id(names) in found or name.partition(".")[0] in _NOT_THEIRS:
                continue
            found[id(names)] = names
            waiting += [v for v in tuple(names.values()) if issubclass(type(v), (type, types.FunctionType))]
    return tuple(found.values())


def function_behind(value: Any) -> Any:
    """The Python function of a scripted one; None of anything else."""
    is_scripted = issubclass(type(value), torch.jit.ScriptFunction)
    return getattr(value, "_torchdynamo_inline", None) if is_scripted else None


def _globals_of(value: Any) -> Iterator[dict[str, Any]]:
    """Where a class or function was written; of a decorated one, also where its decorator was."""
    if isinstance(value, types.FunctionType):
        yield value.__globals__
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if module is not None:
        yield vars(module)
