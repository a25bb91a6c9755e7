"""Whether one session is faster than another on this machine: interleaved runs, and the median of ratios."""

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
        spread: the quartiles of these ratios.
        milliseconds: median time of the file for one frame.
        parent_milliseconds: the same of the parent.
        size: (height, width) of the frame.
        pairs: number of pairs.
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
    """Time both on an image (N, H, W, C), interleaved, with the first of each pair alternating.

    Args:
        session: of the file.
        parent: of its parent.
        image: in the card's dtype.
        progress: receives the share of the time that has passed.
    """
    turns = interleaved(
        [lambda: session.run(image, ["labels"]), lambda: parent.run(image, ["labels"])], progress=progress
    )
    own, other = 1000 * np.median(turns.seconds, axis=0)
    ratio = turns.ratio(0, 1)
    return Speed(
        ratio.median, ratio.spread, float(own), float(other), (image.shape[1], image.shape[2]), ratio.rounds
    )
