"""Coverage against accuracy: how many pixels have a confidence or more, and how many of them are right.

A model whose confidence is worth something is more often right where it is surer: its accuracy grows while
the coverage shrinks. Pixels are counted by steps of the confidence, so that memory does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Coverage", "confidence_counts", "coverage_of"]

_LEAST = (*(step / 100 for step in range(100)), 0.995, 0.999, 0.9999)


@dataclass(frozen=True)
class Coverage:
    """What is left of the labeled pixels where labels need a confidence.

    Attributes:
        confidence: the least.
        coverage: share of the labeled pixels whose label has it.
        accuracy: share of these that are right; None where there are none.
    """

    confidence: float
    coverage: float
    accuracy: float | None


def confidence_counts(
    truth: np.ndarray, labels: np.ndarray, confidence: np.ndarray, classes: int
) -> np.ndarray:
    """Labeled pixels, and the right ones of them, by the step of their confidence: (2, steps + 1) int64.

    Pixels that the model left unlabeled are at step 0, below every confidence.

    Args:
        truth: (H, W); pixels that are not a class are left out.
        labels: (H, W), of the model.
        confidence: (H, W).
        classes: how many there are.
    """
    known = truth < classes
    steps = np.searchsorted(np.array(_LEAST, np.float32), confidence[known], side="right")
    steps[labels[known] >= classes] = 0
    right = labels[known] == truth[known]
    length = len(_LEAST) + 1
    return np.stack([np.bincount(steps, minlength=length), np.bincount(steps[right], minlength=length)])


def coverage_of(counts: np.ndarray) -> tuple[Coverage, ...]:
    """The curve from counts, or from the sum of several, in the order of the confidences."""
    total = int(counts[0].sum())
    if not total:
        return ()
    covered, right = np.cumsum(counts[:, :0:-1], axis=1)[:, ::-1].tolist()
    return tuple(
        Coverage(least, kept / total, good / kept if kept else None)
        for least, kept, good in zip(_LEAST, covered, right, strict=True)
    )
