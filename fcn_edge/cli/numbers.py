"""Numbers as people type them: finite, between two bounds, and refused in one short line.

click's own types take "nan" and "inf" for numbers, and integers of any size.
"""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = [
    "CHANNELS",
    "COUNT",
    "DOMAIN",
    "POSITIVE_SECONDS",
    "PROBABILITY",
    "RATE",
    "SECONDS",
    "SHARE",
    "THREADS",
    "Range",
    "Real",
    "Whole",
]

LARGEST = 10**10  # where no upper bound is given: 300 years in seconds, a hundred limits of pixels
_LONGEST = 40  # characters


class Real(click.FloatRange):
    """A finite number between two bounds.

    Args:
        low: the lower bound.
        high: the upper bound; None is LARGEST, which the help does not show.
        above: whether the lower bound itself is refused.
        below: whether the upper bound itself is refused.
    """

    def __init__(
        self, low: float, high: float | None = None, *, above: bool = False, below: bool = False
    ) -> None:
        super().__init__(low, high, min_open=above, max_open=below)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as a float.

        Raises:
            click.BadParameter: it is not a number, not finite, or out of bounds.
        """
        return super().convert(_number(self, float, value, param, ctx), param, ctx)


class Whole(click.IntRange):
    """A whole number between two bounds, which are allowed themselves.

    Args:
        low: the lower bound.
        high: the upper bound; None is LARGEST, which the help does not show.
    """

    def __init__(self, low: int, high: int | None = None) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as an int.

        Raises:
            click.BadParameter: it is not a whole number, or out of bounds.
        """
        return super().convert(_number(self, int, value, param, ctx), param, ctx)


class Range(click.ParamType):  # type: ignore[type-arg]
    """Two finite numbers, LOW,HIGH, the lower one first."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as two floats.

        Raises:
            click.BadParameter: it is anything else.
        """
        parts = value.split(",") if isinstance(value, str) else value
        if len(parts) != 2:
            self.fail(f"got {str(value)[:_LONGEST]!r}, expected two numbers LOW,HIGH.", param, ctx)
        low, high = (Real(-LARGEST).convert(part, param, ctx) for part in parts)
        if not low < high:
            self.fail(f"got {low:g},{high:g}, expected the lower number first.", param, ctx)
        return low, high


def _number(kind: Real | Whole, read: type[float], value: Any, *at: Any) -> Any:
    """The value as a number, before click compares it with the bounds."""
    shown = repr(value) if len(str(value)) <= _LONGEST else f"{len(str(value))} characters"
    what = "a whole number" if read is int else "a number"
    try:
        number = read(value)
    except (ValueError, OverflowError):
        kind.fail(f"got {shown}, expected {what}.", *at)
    if not math.isfinite(number) or abs(number) > LARGEST:
        kind.fail(f"got {shown}, expected {what} up to {LARGEST:,}.", *at)
    return number


SECONDS = Real(0)
POSITIVE_SECONDS = Real(0, above=True)
RATE = Real(0)  # per second
SHARE = Real(0, 1)
PROBABILITY = Real(0, 1, above=True, below=True)
COUNT = Whole(1)
THREADS = Whole(1, 1024)
CHANNELS = Whole(1, 4096)
DOMAIN = Whole(0, 232)  # of DDS
