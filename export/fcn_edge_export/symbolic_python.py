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
from torch.utils._sympy.functions import FloorDiv, IntTrueDiv

from fcn_edge_export.stand_ins import standing_for

__all__ = ["function_behind", "symbolic_numbers"]

_SYMBOLS = (torch.SymInt, torch.SymFloat)
_NOT_THEIRS = frozenset({"torch", "numpy", "sympy", "fcn_edge_export", "", *sys.stdlib_module_names})


class _Kind(type):
    """Of a stand-in for int or float: it is one to `isinstance`, and equal to the type that it stands for."""

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


class _Int(metaclass=_Kind):
    real = int
    symbol = torch.SymInt

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], _SYMBOLS):
            return _truncated(args[0])
        return int(*args, **kwargs)


class _Float(metaclass=_Kind):
    real = float
    symbol = torch.SymFloat

    def __new__(cls, *args: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], _SYMBOLS):
            return torch.sym_float(args[0])  # type: ignore[no-untyped-call]  # torch has no type for it
        return float(*args)


class _Type(metaclass=_Kind):
    """Of a symbol the number's: `type(height) is int`."""

    real = type
    symbol = type

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        found = type(*args, **kwargs)
        kinds: tuple[type, ...] = (_Int, _Float)
        return next((kind for kind in kinds if found in (kind.real, kind.symbol)), found)  # type: ignore[attr-defined]  # _Kind's


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
        if name in ("array", "asarray"):
            return _array_of_both(found)
        symbolic = _OF_SYMBOLS.get(name) or _OF_TWO.get(name)
        return found if symbolic is None else _of_both(found, symbolic, 2 if name in _OF_TWO else 1)


def _of_both(real: Callable[..., Any], symbolic: Callable[..., Any], count: int = 1) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= count and not kwargs and any(isinstance(number, _SYMBOLS) for number in args):
            return symbolic(*args)
        return real(*args, **kwargs)

    return function


def _array_of_both(real: Callable[..., Any]) -> Callable[..., Any]:
    """An array of symbols holds them as objects, with which numpy computes as they do."""

    def function(data: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(data, (tuple, list)) and any(isinstance(entry, _SYMBOLS) for entry in data):
            made = real(data, dtype=object).view(_Symbols)
            kind = kwargs.get("dtype", args[0] if args else None)
            return made if kind is None else made.astype(kind)
        return real(data, *args, **kwargs)

    return function


def _floor(number: Any) -> Any:
    whole = _quotient(number, 0)
    return math.floor(number) if whole is None else whole


def _ceil(number: Any) -> Any:
    whole = _quotient(number, 1)
    return math.ceil(number) if whole is None else whole


def _truncated(number: Any) -> Any:
    whole = _quotient(number, 0) if number.node.expr.is_nonnegative else None
    return torch.sym_int(number) if whole is None else whole  # type: ignore[no-untyped-call]  # torch has no type for it


def _quotient(number: Any, up: int) -> torch.SymInt | None:
    """N / k rounded down or up, as n // k: torch knows more of it, such as that 7 * n // 7 is n.

    Args:
        number: symbolic.
        up: 1 rounds up, 0 down.

    Returns:
        None where the number is no quotient of whole numbers.
    """
    node = number.node
    if not isinstance(node.expr, IntTrueDiv) or not node.expr.args[1].is_Integer or node.expr.args[1] < 1:
        return None
    over, under = node.expr.args
    whole = FloorDiv(over + up * (under - 1), under)
    hint = int(whole.xreplace(node.shape_env.backed_var_to_val))
    made: torch.SymInt = node.shape_env.create_symintnode(whole, hint=hint)
    return made


def _round(number: Any) -> Any:
    """The nearest whole number, of two the even one, by floors and ceilings: they have ONNX operators."""
    nearest = math.floor(number + 0.5)
    tie = (1 - (math.ceil(2 * number) - math.floor(2 * number))) * (math.floor(2 * number) % 2)
    return nearest - tie * (nearest % 2)


def _isqrt(number: Any) -> Any:
    return _truncated(_sqrt(number))


def _sqrt(number: Any) -> Any:
    return torch.sym_float(number) ** 0.5  # type: ignore[no-untyped-call]  # torch has no type for it


def _by_tensor(name: str) -> Callable[[Any], Any]:
    """A function that symbols do not have, by the operator of that name."""

    def function(number: Any) -> Any:
        return getattr(torch.full((), torch.sym_float(number), dtype=torch.float64), name)().item()  # type: ignore[no-untyped-call]  # torch has no type for it

    return function


def _len(value: Any) -> Any:
    return value.shape[0] if isinstance(value, torch.Tensor) and value.dim() else len(value)


def _log(number: Any, base: float = math.e) -> Any:
    return _by_tensor("log")(number) / math.log(base)


def _pow(base: Any, exponent: Any) -> Any:
    return torch.sym_float(base) ** exponent  # type: ignore[no-untyped-call]  # as above


def _divmod(over: Any, under: Any) -> Any:
    return (over // under, over % under) if isinstance(over, _SYMBOLS) else divmod(over, under)


_OF_SYMBOLS: dict[str, Callable[[Any], Any]] = {
    "ceil": _ceil,
    "floor": _floor,
    "trunc": _truncated,
    "round": _round,
    "sqrt": _sqrt,
    "isqrt": _isqrt,
    **{name: _by_tensor(name) for name in ("exp", "log2", "log10", "log1p", "sin", "cos", "tanh")},
}
_OF_TWO: dict[str, Callable[..., Any]] = {
    "maximum": torch.sym_max,
    "minimum": torch.sym_min,
    "log": _log,
    **dict.fromkeys(("pow", "power"), _pow),
}
_FUNCTIONS = frozenset(getattr(math, name) for name in (*_OF_SYMBOLS, *_OF_TWO) if hasattr(math, name))


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
    return value.real if type(value) is _Kind else value


_MAKE = (
    *("arange", "as_tensor", "asarray", "empty", "empty_like", "full", "full_like", "linspace", "ones"),
    *("ones_like", "tensor", "zeros", "zeros_like"),
)
_CONVERT = ("new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "sum", "to", "type")
_ABSENT = object()
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
        "round": _of_both(round, _round),
        "len": _len,
        "divmod": _divmod,
    }
    for name, stand_in in numbers.items():
        if name not in names:
            yield name, stand_in
    for name, value in tuple(names.items()):
        if value is math or (isinstance(value, types.ModuleType) and value.__name__ == "numpy"):
            yield name, _Library(value)
        elif isinstance(value, types.BuiltinFunctionType) and value in _FUNCTIONS:
            yield name, getattr(_Library(math), value.__name__)
        elif (function := function_behind(value)) is not None:
            yield name, function
        elif isinstance(value, _CACHED):
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
            waiting += [v for v in tuple(names.values()) if isinstance(v, (type, types.FunctionType))]
    return tuple(found.values())


def function_behind(value: Any) -> Any:
    """The Python function of a scripted one; None of anything else."""
    is_scripted = isinstance(value, torch.jit.ScriptFunction)
    return getattr(value, "_torchdynamo_inline", None) if is_scripted else None


def _globals_of(value: Any) -> Iterator[dict[str, Any]]:
    """Where a class or function was written; of a decorated one, also where its decorator was."""
    if isinstance(value, types.FunctionType):
        yield value.__globals__
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if module is not None:
        yield vars(module)
