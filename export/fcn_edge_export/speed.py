"""Whether one session is faster than another, here: pairs of runs side by side, and the median of ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.session.session import Session
from fcn_edge_runtime.timing import interleaved

__all__ = ["Speed", "compare_speed"]


@dataclass(frozen=True)
class Speed:
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


def compare_speed(
    session: Session, parent: Session, image: np.ndarray, progress: Progress | None = None
) -> Speed:
    """Time labels of an image (N, H, W, C) by turns, which one goes first by turns, too."""
    turns = interleaved(
        [lambda: session.run(image, ["labels"]), lambda: parent.run(image, ["labels"])], progress=progress
    )
    own, other = 1000 * np.median(turns.seconds, axis=0)
    ratio = turns.ratio(0, 1)
    return Speed(
        ratio.median, ratio.spread, float(own), float(other), (image.shape[1], image.shape[2]), ratio.rounds
    )
