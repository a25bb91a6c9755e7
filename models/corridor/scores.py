"""Scores of a labelling against the truth: confusion matrix, IoU per class, mean IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.corridor.classes import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def confusion(truth: NDArray[np.uint8], ours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """`(classes, classes)`: rows are the truth, columns what was said; unlabelled pixels are left out."""
    n = len(NAMES)
    known = truth < n
    counts: NDArray[np.int64] = np.bincount(
        truth[known].astype(np.int64) * n + ours[known], minlength=n * n
    ).reshape(n, n)
    return counts


@dataclass(frozen=True)
class Scores:
    """IoU = true / (true + false positives + false negatives), counted over all pixels of all frames."""

    iou: tuple[float, ...]
    pixel_accuracy: float

    @property
    def mean(self) -> float:
        """Mean IoU over the classes that occur."""
        return float(np.nanmean(self.iou))

    def __str__(self) -> str:
        each = "  ".join(f"{name} {value:.3f}" for name, value in zip(NAMES, self.iou, strict=True))
        return f"mean IoU {self.mean:.4f}, pixel accuracy {self.pixel_accuracy:.4f}:  {each}"


def scores(matrix: NDArray[np.int64]) -> Scores:
    """Scores from a confusion matrix; a class that occurs on neither side is NaN."""
    right = np.diag(matrix).astype(float)
    union = matrix.sum(0) + matrix.sum(1) - right
    iou = np.divide(right, union, out=np.full(len(right), np.nan), where=union > 0)
    return Scores(tuple(float(v) for v in iou), float(right.sum() / max(matrix.sum(), 1)))
