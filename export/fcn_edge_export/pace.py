"""Whether one session is faster than another, here: pairs of runs side by side, and the median of ratios.

What else runs on the machine slows both halves of a pair alike, which no comparison of two averages survives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from fcn_edge_runtime.session import Session

__all__ = ["Pace", "compare_pace"]

FEWEST, MOST = 7, 41
SECONDS = 4.0


@dataclass(frozen=True)
class Pace:
    """A comparison of speed.

    Attributes:
        ratio: median over the pairs of (time of the file) / (time of its parent): below 1 is faster.
        spread: the quartiles of the same.
        milliseconds: median time of the file for one frame.
        parent_milliseconds: the same of the parent.
        size: (height, width) of the frame.
        pairs: how many were run.
    """

    ratio: float
    spread: tuple[float, float]
    milliseconds: float
    parent_milliseconds: float
    size: tuple[int, int]
    pairs: int


def compare_pace(session: Session, parent: Session, image: np.ndarray) -> Pace:
    """Time labels of an image (N, H, W, C) by turns, which one goes first by turns, too."""

    def timed(one: Session) -> float:
        start = time.perf_counter()
        one.run(image, ["labels"])
        return time.perf_counter() - start

    for one in (session, parent):
        one.run(image, ["labels"])  # the first run takes memory, which the others have
    times: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(times) < FEWEST or (len(times) < MOST and time.perf_counter() - begun < SECONDS):
        if len(times) % 2:
            own = timed(session)
            times.append((own, timed(parent)))
        else:
            other = timed(parent)
            times.append((timed(session), other))
    ratios = np.array([own / other for own, other in times])
    return Pace(
        float(np.median(ratios)),
        (float(np.quantile(ratios, 0.25)), float(np.quantile(ratios, 0.75))),
        1000 * median(own for own, _ in times),
        1000 * median(other for _, other in times),
        (image.shape[1], image.shape[2]),
        len(times),
    )
