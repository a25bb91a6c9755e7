"""The sizes for which a traced graph is the network: beyond what tracing assumed, it is tried.

Tracing records conditions on the size (`conditions`). Just outside of each the file is compared with PyTorch.
Where both still agree, the condition does not matter. Where they do not, the range of sizes within which all
such conditions hold is declared, for the runtime to enforce, or the export is refused with the line of code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fcn_edge_export.conditions import (
    Condition,
    Size,
    breaking_sizes,
    breaks_beyond,
    largest_size,
    smallest_size,
    steady_multiple,
)
from fcn_edge_export.verification.cases import pattern_cases
from fcn_edge_export.verification.verdict import Kind, Logits, compare
from fcn_edge_runtime.errors import InputError, VerificationError
from fcn_edge_runtime.model.card import InputSpec, WorkingSize
from fcn_edge_runtime.progress import Progress, tracked
from fcn_edge_runtime.session.session import Session

__all__ = ["LARGEST_SMALLEST", "USEFUL", "SizeDependentError", "SizeRange", "find_range", "of_images"]

FARTHEST = 1 << 16  # side up to which conditions are looked at
MOST_PIXELS = 1 << 20  # of a size just outside of a condition; one that starts to matter beyond is declared
TINY = 33  # sides below this are tried only for conditions that nothing larger breaks
USEFUL = 64  # a range that ends below is not worth a file
LARGEST_SMALLEST = 256  # nor is one that begins above
INSIDE = tuple((n, h, w) for h, w in ((97, 131), (191, 257), (353, 481), (577, 769)) for n in (1, 2))


class SizeDependentError(VerificationError):
    """A file is the network at some sizes alone.

    Attributes:
        limits: the conditions on the size of the image, under which it is.
    """

    def __init__(self, message: str, limits: Sequence[Condition]) -> None:
        super().__init__(message)
        self.limits = tuple(limits)


@dataclass(frozen=True)
class SizeRange:
    """The sizes of images that a file may take.

    Attributes:
        smallest: height and width at least.
        largest: (height, width) at most; None is any.
        limited_by: the conditions that end the range.
        tried: sizes outside of conditions at which the file was compared.
    """

    smallest: int
    largest: tuple[int, int] | None = None
    limited_by: tuple[Condition, ...] = ()
    tried: tuple[Size, ...] = ()

    def __str__(self) -> str:
        reasons = "; ".join(map(str, self.limited_by))
        if self.largest is None:
            return f"any size from {self.smallest}{reasons and f' ({reasons})'}"
        return f"sizes from {self.smallest} up to {self.largest[0]}x{self.largest[1]} ({reasons})"


def of_images(
    conditions: Sequence[Condition], multiple: int, working: WorkingSize | None
) -> tuple[Condition, ...]:
    """The conditions on what the network sees, as conditions on the image that the file is given."""
    sides = np.arange(FARTHEST + 1)
    seen = (sides, sides) if working is None else np.array([working.of(s, s) for s in sides.tolist()]).T
    height, width = (axis + -axis % multiple for axis in seen)
    return tuple(condition.through(height, width) for condition in conditions)


def find_range(
    reference: Logits,
    probe: Session,
    conditions: Sequence[Condition],
    spec: InputSpec,
    smallest: int,
    progress: Progress | None = None,
    *,
    multiple: int = 1,
    useful: int = USEFUL,
    kind: Kind = "scores",
) -> SizeRange:
    """Compare the file with PyTorch just outside of every condition, and declare what is left.

    Args:
        reference: PyTorch.
        probe: a session of the file with `logits` among its outputs.
        conditions: on images, see `of_images`.
        spec: of the input.
        smallest: height and width that the network accepts.
        progress: receives how many sizes are done.
        multiple: to which images are padded.
        useful: a range that ends below is not worth a file.
        kind: see `verdict.compare`.

    Raises:
        SizeDependentError: the file differs from the network outside of a condition that no useful range of
            sizes keeps; the message names the line of code.
    """
    tried, far = _sizes_outside(conditions, smallest)
    failed: dict[Size, str] = {}
    for size in tracked(tried, progress):
        if detail := _difference(reference, probe, spec, size, kind):
            failed[size] = detail
    inside = next((size for size in INSIDE if all(c.holds(size) for c in conditions)), None)
    if failed and inside and _difference(reference, probe, spec, inside, kind):
        return SizeRange(smallest, tried=tried)  # wrong at every size: the verdict tells where
    least, limits = _limits(conditions, tried, failed, smallest)
    limits = [*far, *(condition for condition in limits if condition not in far)]
    if not limits:
        return SizeRange(least, tried=tried)
    largest = largest_size(limits, least)
    if (
        largest is not None
        and min(largest) >= useful
        and not any(_within(size, least, largest) for size in failed)
    ):
        return SizeRange(least, largest, tuple(limits), tried)
    begin = smallest_size(limits, least)
    if begin is not None and begin <= LARGEST_SMALLEST and all(min(size[1:]) < begin for size in failed):
        return SizeRange(begin, None, tuple(limits), tried)
    seen = [f" at {'x'.join(map(str, s))} {d}:" for s, d in failed.items() if min(s[1:]) >= TINY]
    raise SizeDependentError(
        "verdict: the network depends on the size of its input, and the file holds one case of it: "
        f"{'; '.join(map(str, limits[:3]))}:{''.join(seen[:1])} {_way_out(limits, multiple)}",
        limits,
    )


def _sizes_outside(
    conditions: Sequence[Condition], smallest: int
) -> tuple[tuple[Size, ...], list[Condition]]:
    """Sizes just outside of conditions, and the conditions that are broken only by sizes too large to try."""
    outside: dict[Size, None] = {}
    far: list[Condition] = []
    for condition in sorted(conditions, key=lambda condition: not condition.where):
        # What tiny images break may have other causes.
        ordinary = [size for size in outside if min(size[1:]) >= TINY]
        if not condition.where and any(not condition.holds(size) for size in ordinary):
            continue
        sizes = breaking_sizes(condition, max(smallest, TINY)) or breaking_sizes(condition, smallest)
        small = [size for size in sizes if math.prod(size) <= MOST_PIXELS]
        if not small and (sizes or breaks_beyond(condition)):
            far.append(condition)
        outside.update(dict.fromkeys(small))
    return tuple(outside), far


def _limits(
    conditions: Sequence[Condition], tried: Sequence[Size], failed: Iterable[Size], smallest: int
) -> tuple[int, list[Condition]]:
    """From which side on tiny images are right, and the conditions that explain why other sizes are not.

    A condition that is broken at a size that is right explains nothing, if another one does.
    """
    harmless = [c for c in conditions if any(not c.holds(size) for size in tried if size not in failed)]
    least, limits = smallest, []
    for size in failed:
        broken = [condition for condition in conditions if not condition.holds(size)]
        broken = [condition for condition in broken if condition not in harmless] or broken
        named = [condition for condition in broken if condition.where] or broken
        if min(size[1:]) < TINY and not any(condition.where for condition in broken):
            least = max(least, min(size[1:]) + 1)
        else:
            limits += [condition for condition in named if condition not in limits]
    return least, limits


def _way_out(limits: Sequence[Condition], multiple: int) -> str:
    steady = steady_multiple(limits, multiple)
    padded = f"; or pad images to multiples of {steady}, where it is always the same: --size-multiple"
    by_code = "compute this from tensors, or remove the condition"
    return by_code if steady is None else f"{by_code}{padded} {steady}"


def _within(size: Size, least: int, largest: tuple[int, int]) -> bool:
    return least <= min(size[1:]) and size[1] <= largest[0] and size[2] <= largest[1]


def _difference(reference: Logits, probe: Session, spec: InputSpec, size: Size, kind: Kind) -> str:
    """How the file differs from PyTorch at a size, in words; empty if it agrees."""
    try:
        cases = pattern_cases((size,), spec)
        result = compare(reference, probe, cases, kind=kind).results[0]
    except InputError as error:
        return str(error)
    return result.detail
