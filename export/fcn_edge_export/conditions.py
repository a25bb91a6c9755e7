"""What torch.export assumed about batch, height and width while it traced: conditions that a file depends on.

A network may branch on the size of its image (`if height > 400:`), loop over it, or slice a table that ends.
The tracer follows the branch of its example and records the condition as a guard. At sizes that break the
condition the file may compute something else than the network: those are verified, declared, or refused.
"""

from __future__ import annotations

import itertools
import linecache
import math
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

__all__ = ["Condition", "Size", "breaking_sizes", "conditions_of", "largest_size"]

Size = tuple[int, int, int]  # batch, height, width

_TORCH = str(Path(torch.__file__).parent)
_NAMES = ("batch", "height", "width")
# Sides that conditions are tried at: every small one, and then steps with powers of two and their neighbors.
_SIDES = sorted(
    {*range(1, 65), *(2**p + d for p in range(6, 13) for d in (-1, 0, 1) if 2**p + d <= 4096)}
    | {
        97,
        131,
        224,
        240,
        250,
        320,
        330,
        480,
        500,
        600,
        640,
        720,
        800,
        960,
        1080,
        1280,
        1440,
        1920,
        2160,
        3000,
    }
)
_BATCHES = (1, 2, 3, 8)
ORDINARY = 160 * 200  # pixels
# What the printed conditions call.
_FLOATS = types.SimpleNamespace(
    sym_float=float, sym_max=max, sym_min=min, sym_ite=lambda c, a, b: a if c else b
)
_BUILTINS = {"max": max, "min": min, "abs": abs, "round": round, "int": int, "float": float, "pow": pow}


@dataclass(frozen=True)
class Condition:
    """A condition under which the traced graph is the network's.

    Attributes:
        text: in terms of batch, height and width.
        where: the line of the user's code that made it, as "file.py:41: if h > 400:"; empty if torch's own.
        holds: whether a size (batch, height, width) fulfills it.
    """

    text: str
    where: str
    holds: Callable[[Size], bool] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.text} ({self.where})" if self.where else self.text


def conditions_of(program: torch.export.ExportedProgram) -> tuple[Condition, ...]:
    """The conditions on the size of the input that tracing recorded, each once."""
    value = next(
        node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and _is_image(node)
    )
    axes = [value.shape[axis] for axis in (0, 2, 3)]
    symbols = [axis.node.expr if isinstance(axis, torch.SymInt) else None for axis in axes]
    env = next((axis.node.shape_env for axis in axes if isinstance(axis, torch.SymInt)), None)
    if env is None:
        return ()
    known = [symbol for symbol in symbols if symbol is not None]
    found: dict[str, Condition] = {}
    for guard in env.guards:
        if not guard.expr.free_symbols or not guard.expr.free_symbols <= set(known):
            continue
        text = _python(guard.expr, symbols)
        condition = Condition(text.replace("torch.sym_float", "float"), _where(guard), _holding(text))
        if text not in found or (condition.where and not found[text].where):
            found[text] = condition
    return tuple(found.values())


def breaking_sizes(condition: Condition, smallest: int, largest: int, most_pixels: int) -> list[Size]:
    """Sizes just outside of a condition: the cheapest on each side of it that is not fulfilled, if any.

    Args:
        condition: to be broken.
        smallest: height and width of an image that can be segmented.
        largest: side that is tried at most.
        most_pixels: batch * height * width at most.
    """
    sides = [side for side in _SIDES if smallest <= side <= largest]
    broken = [size for size in _candidates(sides) if not condition.holds(size)]
    broken = [size for size in broken if _pixels(size) <= most_pixels]
    if not broken:
        return []
    cheapest = min(broken, key=_pixels)
    chosen = {_tightened(cheapest, condition, smallest)}
    # A condition such as height != width breaks in many places: one more, of an ordinary size.
    chosen.add(
        min(
            broken,
            key=lambda size: abs(math.log(_pixels(size) / ORDINARY)) + abs(math.log(size[1] / size[2])),
        )
    )
    return sorted(chosen, key=_pixels)


def largest_size(conditions: Sequence[Condition], smallest: int, most: int = 4096) -> tuple[int, int] | None:
    """The largest (height, width) such that all sizes up to it fulfill the conditions; None if there is none.

    Of several the one with the largest smaller side, and then the largest other side, is taken.
    """
    sides = [side for side in _SIDES if smallest <= side <= most]

    def all_hold(height: int, width: int) -> bool:
        heights, widths = (
            [s for s in sides if s <= height] + [height],
            [s for s in sides if s <= width] + [width],
        )
        return all(
            condition.holds((batch, h, w))
            for condition in conditions
            for h in {*heights[:3], *heights[-3:], heights[len(heights) // 2]}
            for w in {*widths[:3], *widths[-3:], widths[len(widths) // 2]}
            for batch in _BATCHES
        )

    square = _bisected(lambda side: all_hold(side, side), smallest, most)
    if square is None:
        return None
    if square == most:
        return most, most
    height = _bisected(lambda side: all_hold(side, square), square, most) or square
    width = _bisected(lambda side: all_hold(height, side), square, most) or square
    return height, width


def _bisected(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """The largest number from low to high up to which it holds; None if it does not hold at low."""
    if not holds(low):
        return None
    if holds(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _candidates(sides: Sequence[int]) -> Iterator[Size]:
    """Batches at a few sizes, and pairs of sides for one image."""
    some = [side for side in sides if side in {33, 64, 97, 131}] or list(sides[:2])
    yield from itertools.product(_BATCHES[1:], some, some)
    yield from itertools.product((1,), sides, sides)


def _tightened(size: Size, condition: Condition, smallest: int) -> Size:
    """The size with each axis as small as it can be without fulfilling the condition."""
    current = list(size)
    for axis, least in ((0, 1), (1, smallest), (2, smallest)):
        low, high = least, current[axis]
        while low < high:
            middle = (low + high) // 2
            tried = [*current[:axis], middle, *current[axis + 1 :]]
            holds = condition.holds((tried[0], tried[1], tried[2]))
            low, high = (middle + 1, high) if holds else (low, middle)
        current[axis] = high
    return current[0], current[1], current[2]


def _pixels(size: Size) -> int:
    return size[0] * size[1] * size[2]


def _is_image(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and any(isinstance(side, torch.SymInt) for side in value.shape)


def _python(expression: Any, symbols: Sequence[Any]) -> str:
    """The condition as Python code over batch, height and width."""
    import sympy
    from torch.utils._sympy.printers import PythonPrinter

    named = {s: sympy.Symbol(name) for s, name in zip(symbols, _NAMES, strict=True) if s is not None}
    return str(PythonPrinter().doprint(expression.xreplace(named)))


def _holding(code: str) -> Callable[[Size], bool]:
    compiled = compile(code, "<condition>", "eval")

    def holds(size: Size) -> bool:
        given = dict(zip(_NAMES, size, strict=True))
        try:
            return bool(eval(compiled, {"math": math, "torch": _FLOATS, "__builtins__": _BUILTINS}, given))  # noqa: S307 (printed by torch from its own expression)
        except (ArithmeticError, ValueError):
            return False  # undefined at this size: it is then verified

    return holds


def _where(guard: Any) -> str:
    """The line of code outside of torch that the guard comes from."""
    location = getattr(guard.sloc, "framework_loc", None)
    path, number = getattr(location, "filename", None), getattr(location, "lineno", None)
    if not isinstance(path, str) or not isinstance(number, int) or path.startswith(_TORCH):
        return ""
    return f"{Path(path).name}:{number}: {linecache.getline(path, number).strip()[:80]}"
