"""Measured points, and the exponent of their growth: y is about x to the power of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LIMIT", "Axis", "Curve"]

LIMIT = 1.15  # an exponent above it is called super-linear


@dataclass(frozen=True)
class Curve:
    """One quantity along an axis.

    Attributes:
        name: of the quantity.
        unit: "s" or "B".
        x: values on the axis, ascending.
        y: what was measured at each.
    """

    name: str
    unit: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The slope of a line through the logarithms of all points, by least squares."""
        return _slope(self.x, self.y)

    @property
    def at_the_end(self) -> float:
        """The same of the last two points, where a fixed cost hides the least of the growth."""
        return _slope(self.x[-2:], self.y[-2:])

    @property
    def super_linear(self) -> bool:
        """Whether one of the two exponents is above the limit."""
        return max(self.exponent, self.at_the_end) > LIMIT


def _slope(x: tuple[float, ...], y: tuple[float, ...]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@dataclass(frozen=True)
class Axis:
    """What grows, and all that was measured along it.

    Attributes:
        name: of what grows.
        setting: what was held fixed.
        curves: at least two points each.
        notes: what could not be measured, and why.
    """

    name: str
    setting: str
    curves: tuple[Curve, ...]
    notes: tuple[str, ...] = ()
