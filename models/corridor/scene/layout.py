"""The floor plan: a main space the camera stands in, and what interrupts each of its four walls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SIDES = ("south", "east", "north", "west")


@dataclass(frozen=True)
class Bay:
    """A piece of wall from `start` to `end` meters along it, and what is in it.

    `kind` is blank, door, open_door, passage or window; `lo` and `hi` bound the opening itself.
    """

    start: float
    end: float
    kind: str
    lo: float
    hi: float


@dataclass(frozen=True)
class FloorPlan:
    """The main space: `length` along x, `width` along y, `height`, in meters, from its south-west corner."""

    kind: str
    length: float
    width: float
    height: float
    walls: dict[str, list[Bay]] = field(default_factory=dict)

    def wall_length(self, side: str) -> float:
        """The length of the wall on this side."""
        return self.length if side in ("south", "north") else self.width

    def wall_frame(self, side: str) -> tuple[tuple[float, float, float], float]:
        """Origin and yaw of the frame whose x runs along the wall and whose y points into the space."""
        return {
            "south": ((0.0, 0.0, 0.0), 0.0),
            "east": ((self.length, 0.0, 0.0), 1.5707963267948966),
            "north": ((self.length, self.width, 0.0), 3.141592653589793),
            "west": ((0.0, self.width, 0.0), 4.71238898038469),
        }[side]


KINDS = {
    #            share, length,      width,       height
    "corridor": (0.5, (7.0, 15.0), (1.8, 3.2), (2.4, 3.0)),
    "room": (0.32, (4.5, 8.0), (3.6, 6.5), (2.5, 3.1)),
    "hall": (0.18, (8.0, 13.0), (6.0, 9.0), (2.9, 4.0)),
}


def plan(rng: np.random.Generator) -> FloorPlan:
    """A random floor plan."""
    kind = str(rng.choice(list(KINDS), p=[k[0] for k in KINDS.values()]))
    _, lengths, widths, heights = KINDS[kind]
    made = FloorPlan(kind, rng.uniform(*lengths), rng.uniform(*widths), rng.uniform(*heights))
    busy = rng.uniform(0.35, 0.85)
    for side in SIDES:
        made.walls[side] = bays(rng, made.wall_length(side), busy)
    return made


def bays(rng: np.random.Generator, length: float, busy: float) -> list[Bay]:
    """Cuts a wall into bays; `busy` is the share of bays that hold something."""
    if length < 1.5:
        return [Bay(0, length, "blank", 0, 0)]
    cut = []
    x = rng.uniform(0.0, min(1.0, length / 4))
    while x < length:
        end = min(x + rng.uniform(1.6, 5.0), length)
        cut.append(_bay(rng, x, end, busy))
        x = end + rng.choice([0.0, rng.uniform(0.2, 2.5)])
    return cut


def _bay(rng: np.random.Generator, start: float, end: float, busy: float) -> Bay:
    span = end - start - 0.3
    kind = "blank"
    if span > 1.0 and rng.uniform() < busy:
        kind = str(rng.choice(["door", "open_door", "passage", "window"], p=[0.58, 0.22, 0.1, 0.1]))
    if kind in ("door", "open_door"):
        wide = rng.uniform(0.9, 1.1) if span < 2.0 or rng.uniform() < 0.75 else rng.uniform(1.5, 1.9)
    elif kind == "passage":
        wide = rng.uniform(1.0, min(2.8, span))
    else:
        wide = rng.uniform(0.7, span) if span > 0.7 else 0.0
    wide = max(min(wide, span), 0.0)
    lo = start + 0.15 + rng.uniform() * max(span - wide, 0.0)
    return Bay(start, end, kind, lo, lo + wide)
