"""Where the tiles of an image are: what each labels, and what the network has to see for it.

    core      the pixels that a tile labels; cores touch and do not overlap
    window    the pixels that the network gets: the core and a margin, cut at the image's edges

Windows begin at multiples of a unit, so that the network samples each of them where it samples the whole
image; they end where they like, because the margin keeps what an end changes away from the core. They have at
most two sizes along an axis, since a new size costs a session time and memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import lcm

from fcn_edge_runtime.model.card import Geometry

__all__ = ["Pixels", "Reach", "Span", "spans"]

Pixels = tuple[int, int]  # the first, and the one after the last


@dataclass(frozen=True)
class Reach:
    """How a network ties pixels together.

    Attributes:
        unit: windows begin at multiples of it.
        margin: pixels around a core that change its scores, a multiple of the unit.
        smallest: side of the smallest image that the network takes.
    """

    unit: int
    margin: int
    smallest: int

    @classmethod
    def of(cls, geometry: Geometry) -> Reach:
        """That of a network that does not see the whole image.

        Half the field lies on either side of a pixel, but for up to a stride: strided layers lie off center.
        """
        unit = lcm(geometry.stride, geometry.size_multiple)
        margin = _up((geometry.receptive_field + 1) // 2 + geometry.stride, unit)
        return cls(unit, margin, geometry.smallest_size)

    def sampled(self, step: int) -> Reach:
        """The same for scores that lie so many pixels apart."""
        unit = lcm(self.unit, step)
        return Reach(unit, _up(self.margin, unit), self.smallest)

    def wider(self) -> Reach:
        """With about twice the margin."""
        return Reach(self.unit, 2 * self.margin + self.unit, self.smallest)


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the image: its core, and its window."""

    core: Pixels
    window: Pixels


def spans(length: int, core: int, reach: Reach, seen: Callable[[int, int], Pixels]) -> tuple[Span, ...]:
    """The tiles along an axis.

    Args:
        length: of the axis.
        core: pixels of a core; the last may be shorter.
        reach: of the network.
        seen: the pixels under the scores that a core's labels are made of.
    """
    unit = reach.unit
    cores = [(first, min(first + core, length)) for first in range(0, length, core)]
    wanted = []
    for pixels in cores:
        first, last = seen(*pixels)
        wanted.append((max(0, first - reach.margin) // unit * unit, min(last + reach.margin, length)))
    size = _up(max(reach.smallest, *(last - first for first, last in wanted)), unit)
    found = []
    for pixels, (first, _) in zip(cores, wanted, strict=True):
        if first + size < length:
            found.append(Span(pixels, (first, first + size)))
        else:
            found.append(Span(pixels, (max(0, length - size) // unit * unit, length)))
    return tuple(found)


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
