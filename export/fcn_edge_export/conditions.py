"""What torch.export assumed about batch, height and width while it traced: conditions that a file depends on.

A network may branch on the size of its image (`if height > 400:`), loop over it, or slice a table that ends.
The tracer follows the branch of its example and records the condition as a guard. At sizes that break the
condition the file may compute something else than the network: those are verified, declared, or refused.

Conditions need not be monotone: a band of heights, one height, or a sum may break them. They are therefore
evaluated at every height and width up to `MAX_SIDE`, as arrays, and not searched by halving.
"""

from __future__ import annotations

import ast
import functools
import linecache
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE

if TYPE_CHECKING:  # adopting an ONNX file needs the conditions and no torch
    import torch

__all__ = [
    "Condition",
    "FrozenSizeError",
    "Sides",
    "Size",
    "breaking_sizes",
    "breaks_beyond",
    "conditions_of",
    "fixing_line",
    "largest_size",
    "smallest_size",
    "steady_multiple",
]

Size = tuple[int, int, int]  # batch, height, width
Sides = npt.NDArray[np.int64]
Holds = npt.NDArray[np.bool_]
Test = Callable[[int, Sides, Sides], Holds]

_NAMES = ("batch", "height", "width")
# A few sides, for what need not be exact: batches, and conditions of torch's own on both axes.
_SOME_SIDES = np.unique([*range(1, 65), *np.geomspace(64, MAX_SIDE, 60).round(), 97, 131, 480, 720, 1080])
_SOME_SIDES = _SOME_SIDES.astype(np.int64)
_FAR_SIDES = np.geomspace(MAX_SIDE + 1, 1 << 16, 24).astype(np.int64)
_BATCHES = (1, 2, 3, 4, 8)
ORDINARY = 180  # side of the second size at which a condition is broken


class FrozenSizeError(ArtifactError):
    """The code of a network fixes a size of its image to that of the example."""


@dataclass(frozen=True)
class Condition:
    """A condition under which the traced graph is the network's.

    Attributes:
        text: in terms of batch, height and width.
        where: the line of the user's code that made it, as "file.py:41: if h > 400:"; empty if torch's own.
        axes: those of batch, height and width that it depends on.
        test: (batch, heights, widths) -> whether each size fulfills it; heights and widths broadcast.
    """

    text: str
    where: str
    axes: frozenset[str]
    test: Test = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.text} ({self.where})" if self.where else self.text

    def holds(self, size: Size) -> bool:
        """Whether one size fulfills it."""
        batch, height, width = size
        return bool(self.test(batch, np.array([height]), np.array([width])).all())

    def through(self, height: Sides, width: Sides) -> Condition:
        """The same condition on images that reach the network at other sizes.

        Args:
            height: what the network sees of an image of height i, at index i.
            width: the same of its width.
        """

        def test(batch: int, heights: Sides, widths: Sides) -> Holds:
            return self.test(batch, height[heights], width[widths])

        return replace(self, test=test)


def conditions_of(program: torch.export.ExportedProgram, multiple: int = 1) -> tuple[Condition, ...]:
    """The conditions on the size of the input that tracing recorded, each once.

    Args:
        program: of an image [batch, channels, height, width], or one in blocks, see `blocks`.
        multiple: height and width of the blocks; 1 is none.
    """
    import torch

    value = next(
        node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and _is_image(node)
    )
    axes = [value.shape[axis] for axis in ((0, 2, 3) if multiple == 1 else (0, 2, 4))]
    symbols = [axis.node.expr if isinstance(axis, torch.SymInt) else None for axis in axes]
    env = next((axis.node.shape_env for axis in axes if isinstance(axis, torch.SymInt)), None)
    if env is None:
        return ()
    named = {symbol: name for symbol, name in zip(symbols, _NAMES, strict=True) if symbol is not None}
    found: dict[str, Condition] = {}
    for guard in env.guards:
        free = guard.expr.free_symbols
        if not free or not free <= set(named):
            continue
        code = _python(guard.expr, named, multiple)
        text = code.replace("torch.sym_float", "float")
        condition = Condition(text, _where(guard), frozenset(named[symbol] for symbol in free), _test(code))
        if text not in found or (condition.where and not found[text].where):
            found[text] = condition
    return tuple(found.values())


def fixing_line(side: torch.SymInt) -> str:
    """The line of the user's code that fixed a size of the input to a number, as `Condition.where`."""
    symbol = side.node._expr  # noqa: SLF001 (`expr` is the number that it was fixed to)
    fixing = (guard for guard in side.node.shape_env.guards if guard.expr.free_symbols == {symbol})
    return next((where for guard in fixing if guard.expr.is_Equality and (where := _where(guard))), "")


def breaking_sizes(condition: Condition, smallest: int) -> list[Size]:
    """Sizes just outside of a condition: the smallest in area, and one of an ordinary size; none if it holds.

    Args:
        condition: to be broken.
        smallest: height and width of an image that can be segmented.

    Returns:
        At most two sizes for one image, and at most two for several, with sides up to `MAX_SIDE`.
    """
    found: dict[Size, None] = {}
    for fixed in (smallest, max(smallest, ORDINARY)):
        height, width = (_sides(condition, axis, smallest, fixed) for axis in ("height", "width"))
        found.update(dict.fromkeys(_nearest_broken(condition, 1, height, width, fixed)))
    if "batch" in condition.axes:
        some = _SOME_SIDES[smallest <= _SOME_SIDES]
        for batch in _BATCHES[1:]:
            found.update(dict.fromkeys(_nearest_broken(condition, batch, some, some, smallest)))
            if len(found) > 1:
                break
    return sorted(found, key=math.prod)


def breaks_beyond(condition: Condition) -> bool:
    """Whether a condition is broken by an image with a side above `MAX_SIDE`."""
    near = np.array([ORDINARY, MAX_SIDE])
    pairs = ((_FAR_SIDES, near), (near, _FAR_SIDES), (_FAR_SIDES, _FAR_SIDES))
    return not all(condition.test(1, h[:, None], w[None, :]).all() for h, w in pairs)


def largest_size(conditions: Sequence[Condition], smallest: int) -> tuple[int, int] | None:
    """The largest (height, width) up to which every size fulfills the conditions; None if there is none.

    Of several it is the one with the largest smaller side, and then the largest height.
    """
    sides = np.arange(smallest, MAX_SIDE + 1)
    some = _SOME_SIDES[smallest <= _SOME_SIDES]
    for condition in conditions:
        if "batch" in condition.axes and not all(
            condition.test(batch, some[:, None], some[None, :]).all() for batch in _BATCHES
        ):
            return None
    holds: Holds = np.ones((len(sides), len(sides)), np.bool_)
    for condition in conditions:
        holds &= condition.test(1, sides[:, None], sides[None, :])
    # Of each height the first width that breaks; one beyond the last where none does.
    first = np.where(holds.all(axis=1), MAX_SIDE + 1, sides[holds.argmin(axis=1)])
    square = int(np.maximum(sides, first).min()) - 1
    if square < smallest:
        return None
    stops = sides[first <= square]
    height = min(int(stops.min()) - 1 if stops.size else MAX_SIDE, MAX_SIDE)
    return height, min(int(first[sides <= height].min()) - 1, MAX_SIDE)


def smallest_size(conditions: Sequence[Condition], smallest: int) -> int | None:
    """The smallest side from which on every size up to `MAX_SIDE` fulfills the conditions; None if none is.

    Args:
        conditions: on the height and width.
        smallest: side from which on they are looked at.
    """
    if any("batch" in condition.axes for condition in conditions):
        return None
    sides = np.arange(smallest, MAX_SIDE + 1)
    broken: Holds = np.zeros((len(sides), len(sides)), np.bool_)
    for condition in conditions:
        broken |= ~condition.test(1, sides[:, None], sides[None, :])
    # Sides that are the smaller one of a size that is broken.
    smaller = np.flatnonzero(np.triu(broken).any(axis=1) | np.tril(broken).any(axis=0))
    begin = smallest + int(smaller[-1]) + 1 if smaller.size else smallest
    return begin if begin <= MAX_SIDE else None


def steady_multiple(conditions: Sequence[Condition], multiple: int) -> int | None:
    """The smallest multiple, a power of two times the given one, on which no line of code changes its mind.

    Networks that pad or resize where two sides differ by one (`if h % 2 == 0:`) take one branch at all sizes
    of such a multiple. None if there is none above the given one, as where a size is used as a number.
    """
    lines = [condition for condition in conditions if condition.where]
    large = np.arange(MAX_SIDE - 512, MAX_SIDE)
    if not all(condition.test(1, large[:, None], large[None, :]).any() for condition in lines):
        return None
    for power in range(1, 8):
        steps = np.arange(2 * multiple * 2**power, MAX_SIDE, multiple * 2**power)
        if all(len(np.unique(c.test(1, steps[:, None], steps[None, :]))) == 1 for c in lines):
            return multiple * 2**power if lines else None
    return None


def _sides(condition: Condition, axis: str, smallest: int, fixed: int) -> Sides:
    """The sides at which an axis is tried: all, unless the condition ignores it or is torch's on both."""
    if axis not in condition.axes:
        return np.array([fixed])
    if condition.where or len(condition.axes & {"height", "width"}) == 1:
        return np.arange(smallest, MAX_SIDE + 1)
    return _SOME_SIDES[smallest <= _SOME_SIDES]


def _nearest_broken(condition: Condition, batch: int, height: Sides, width: Sides, side: int) -> list[Size]:
    """The size nearest to side x side, by the ratio of areas and then of sides, that breaks the condition."""
    broken = ~np.broadcast_to(
        condition.test(batch, height[:, None], width[None, :]), (len(height), len(width))
    )
    if not broken.any():
        return []
    tall, wide = (np.abs(np.log(axis / side)).astype(np.float32) for axis in (height, width))
    far = np.where(broken, tall[:, None] + wide[None, :], np.float32(np.inf))
    row, column = np.unravel_index(int(far.argmin()), far.shape)
    return [(batch, int(height[row]), int(width[column]))]


def _is_image(node: torch.fx.Node) -> bool:
    import torch

    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and any(isinstance(side, torch.SymInt) for side in value.shape)


def _python(expression: Any, named: dict[Any, str], multiple: int) -> str:
    """The condition as Python code over batch, height and width, of which there are so many in a block."""
    import sympy
    from torch.utils._sympy.functions import FloorDiv
    from torch.utils._sympy.printers import PythonPrinter

    values: dict[Any, Any] = {symbol: sympy.Symbol(name) for symbol, name in named.items()}
    if multiple > 1:
        values |= {s: FloorDiv(values[s], multiple) for s, name in named.items() if name != "batch"}
    return str(PythonPrinter().doprint(expression.xreplace(values)))


class _OverArrays(ast.NodeTransformer):
    """Python's `and`, `or`, `not` and conditional expression, for arrays."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        operator = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        return functools.reduce(lambda a, b: ast.BinOp(a, operator, b), node.values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return ast.UnaryOp(ast.Invert(), node.operand) if isinstance(node.op, ast.Not) else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return ast.Call(ast.Name("where", ast.Load()), [node.test, node.body, node.orelse], [])


def _as_float(value: Any) -> Any:
    return np.asarray(value, np.float64)


def _largest(*values: Any) -> Any:
    return functools.reduce(np.maximum, values)


def _least(*values: Any) -> Any:
    return functools.reduce(np.minimum, values)


# What the printed conditions call, over arrays. Rounding is to the nearest even number, as Python's.
_FUNCTIONS = {
    "math": types.SimpleNamespace(
        **{
            name: getattr(np, name)
            for name in ("trunc", "floor", "ceil", "sqrt", "log2", "sin", "cos", "tanh")
        },
        pow=np.power,
    ),
    "torch": types.SimpleNamespace(sym_float=_as_float, sym_max=_largest, sym_min=_least, sym_ite=np.where),
    "max": _largest,
    "min": _least,
    "abs": np.abs,
    "round": np.round,
    "int": np.trunc,
    "float": _as_float,
    "where": np.where,
    "__builtins__": {},
}


def _test(code: str) -> Test:
    tree = ast.fix_missing_locations(_OverArrays().visit(ast.parse(code, mode="eval")))
    compiled = compile(tree, "<condition>", "eval")

    def test(batch: int, height: Sides, width: Sides) -> Holds:
        given = dict(zip(_NAMES, (batch, height, width), strict=True))
        try:
            with np.errstate(all="ignore"):
                found = eval(compiled, _FUNCTIONS, given)  # noqa: S307 (printed by torch from its own expression)
        except (ArithmeticError, NameError, AttributeError, TypeError, ValueError):
            found = False  # it cannot be evaluated here, so it counts as broken: such sizes are verified
        return np.asarray(found, np.bool_)

    return test


def _where(guard: Any) -> str:
    """The line of code that the guard comes from, if it is neither torch's nor ours."""
    import torch

    not_theirs = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
    location = getattr(guard.sloc, "framework_loc", None)
    path, number = getattr(location, "filename", None), getattr(location, "lineno", None)
    if not isinstance(path, str) or not isinstance(number, int) or path.startswith(not_theirs):
        return ""
    return f"{Path(path).name}:{number}: {linecache.getline(path, number).strip()[:80]}"
