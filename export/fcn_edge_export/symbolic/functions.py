"""Functions of numbers, for symbols: what `math` and numpy compute from a size, and the ONNX operators of it.

Rounding gives whole numbers that torch can compute with. Of logarithms, exponentials and waves torch knows
nothing but the value at the size of the example, which is enough for the conditions behind them.
"""

from __future__ import annotations

import contextlib
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from onnxscript.onnx_opset import opset18 as op
from torch._export.verifier import Verifier
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils._sympy.functions import FloorDiv, IntTrueDiv

from fcn_edge_export.stand_ins import SYMBOLS

__all__ = ["OF_ONE", "OF_TWO", "OPERATORS", "allowed_in_programs", "truncated"]

_FLOAT, _DOUBLE = 1, 11  # of onnx.TensorProto


@contextlib.contextmanager
def allowed_in_programs() -> Iterator[None]:
    """torch.export traces a logarithm or wave of a size, and then refuses what it made: not meanwhile."""
    before = Verifier.allowed_op_types
    try:
        Verifier.allowed_op_types = lambda self: (*before(self), types.FunctionType)  # type: ignore[method-assign]  # as it says
        yield
    finally:
        Verifier.allowed_op_types = before  # type: ignore[method-assign]  # as above


def truncated(number: Any) -> Any:
    """The number without what is behind its point."""
    if free_unbacked_symbols(number):  # read from a tensor: torch does not know its sign
        return math.trunc(number)
    whole = _quotient(number, 0) if number.node.expr.is_nonnegative else None
    return torch.sym_int(number) if whole is None else whole  # type: ignore[no-untyped-call]  # torch has no type for it


def _rounded(number: Any, digits: Any = None) -> Any:
    """The nearest whole number, of two the even one, by floors and ceilings: they have ONNX operators."""
    if digits:
        return _rounded(number * 10**digits) / 10**digits
    if _is_whole(number):
        return number
    nearest = math.floor(number + 0.5)
    tie = (1 - (math.ceil(2 * number) - math.floor(2 * number))) * (math.floor(2 * number) % 2)
    return nearest - tie * (nearest % 2)


def _divmod(over: Any, under: Any) -> Any:
    """What divmod gives, of which one number or both are symbols."""
    return over // under, over % under


def _floor(number: Any) -> Any:
    whole = number if _is_whole(number) else _quotient(number, 0)
    return math.floor(number) if whole is None else whole


def _ceil(number: Any) -> Any:
    whole = number if _is_whole(number) else _quotient(number, 1)
    return math.ceil(number) if whole is None else whole


def _is_whole(number: Any) -> bool:
    """Whether it needs no rounding, for which ONNX's operators take no whole numbers."""
    return isinstance(number, torch.SymInt)


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


def _isqrt(number: Any) -> Any:
    return truncated(_sqrt(number))


def _sqrt(number: Any) -> Any:
    return _float(number) ** 0.5


def _hypot(one: Any, other: Any) -> Any:
    return _sqrt(one * one + other * other)


def _log(number: Any, base: Any = math.e) -> Any:
    """By the logarithm to base 2, which is the one that torch has."""
    return _log2(number) / (_log2(base) if isinstance(base, SYMBOLS) else math.log2(base))


def _fmod(over: Any, under: Any) -> Any:
    return _float(over - truncated(over / under) * under)


def _float(number: Any) -> Any:
    return torch.sym_float(number)  # type: ignore[no-untyped-call]  # torch has no type for it


def _log2(number: Any) -> Any:
    return torch._sym_log2(number)  # type: ignore[attr-defined]  # noqa: SLF001 (its only name)


_SIN, _COS, _TANH = torch._sym_sin, torch._sym_cos, torch._sym_tanh  # type: ignore[attr-defined]  # noqa: SLF001 (as above)

OF_ONE: dict[str, Callable[..., Any]] = {
    "ceil": _ceil,
    "floor": _floor,
    "trunc": truncated,
    "fix": truncated,
    "round": _rounded,
    "around": _rounded,
    "rint": _rounded,
    "sqrt": _sqrt,
    "isqrt": _isqrt,
    "log": _log,
    "log2": _log2,
    "log10": lambda number: _log(number, 10),
    "log1p": lambda number: _log2(number + 1.0) * math.log(2),
    "exp": lambda number: math.e ** _float(number),
    "exp2": lambda number: 2.0 ** _float(number),
    "sin": _SIN,
    "cos": _COS,
    "tan": lambda number: _SIN(number) / _COS(number),
    "tanh": _TANH,
    "fabs": lambda number: _float(abs(number)),
    "abs": abs,
    "absolute": abs,
    "square": lambda number: number * number,
    "radians": lambda number: number * (math.pi / 180),
    "deg2rad": lambda number: number * (math.pi / 180),
}
OF_TWO: dict[str, Callable[..., Any]] = {
    "maximum": torch.sym_max,
    "minimum": torch.sym_min,
    "divmod": _divmod,
    "log": _log,
    "round": _rounded,
    "around": _rounded,
    "hypot": _hypot,
    "fmod": _fmod,
    "pow": lambda base, exponent: _float(base) ** exponent,
    "power": lambda base, exponent: base**exponent,
    "mod": lambda over, under: over % under,
    "remainder": lambda over, under: over % under,
    "floor_divide": lambda over, under: over // under,
    "divide": lambda over, under: over / under,
    "true_divide": lambda over, under: over / under,
    "multiply": lambda one, other: one * other,
    "add": lambda one, other: one + other,
    "subtract": lambda one, other: one - other,
}


def _of_double(operator: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """In float64, whose result is a float32: log2(64) is 6, also where the last digits differ."""

    def translated(number: Any) -> Any:
        return op.Cast(operator(op.Cast(number, to=_DOUBLE)), to=_FLOAT)

    return translated


def _onnx_log2(number: Any) -> Any:
    two: Any = op.Constant(value_float=2.0)
    exact: Any = op.Cast(two, to=_DOUBLE)
    return op.Div(op.Log(number), op.Log(exact))


# For torch.onnx, which has none of these for numbers.
OPERATORS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch._sym_log2: _of_double(_onnx_log2),  # type: ignore[attr-defined]  # noqa: SLF001 (as above)
    _SIN: _of_double(op.Sin),
    _COS: _of_double(op.Cos),
    _TANH: _of_double(op.Tanh),
}
