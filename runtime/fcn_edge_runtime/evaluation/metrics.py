"""Metrics of segmentation: confusion matrix, IoU, Dice, sensitivity and specificity of classes, accuracy.

IoU of a class = true positives / (true positives + false positives + false negatives), counted over all
pixels of all images together, as PASCAL VOC and Cityscapes do. Libraries that compute this without torch work
image by image or bring a machine-learning stack with them; here it is one bincount.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import InputError

__all__ = ["Scores", "ThresholdScore", "confusion_matrix", "scores_of", "threshold_score"]


@dataclass(frozen=True)
class Scores:
    """Metrics of predicted labels.

    Attributes:
        iou: per class; None for a class that occurs neither in truth nor in prediction.
        pixel_accuracy: share of labeled pixels that are correct.
        pixels: the number of labeled pixels.
        dice: per class, 2 TP / (2 TP + FP + FN); None as for IoU.
        sensitivity: per class, TP / (TP + FN); None for a class that does not occur in the truth.
        specificity: per class, TN / (TN + FP); None where every pixel is of the class.
    """

    iou: tuple[float | None, ...]
    pixel_accuracy: float
    pixels: int
    dice: tuple[float | None, ...]
    sensitivity: tuple[float | None, ...]
    specificity: tuple[float | None, ...]

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur; NaN if none does."""
        present = [value for value in self.iou if value is not None]
        return sum(present) / len(present) if present else math.nan


@dataclass(frozen=True)
class ThresholdScore:
    """Metrics of class 1 of a model of two classes at one threshold; None where they are not defined.

    Attributes:
        threshold: the probability from which on a pixel is class 1.
        iou: of class 1.
        precision: share of the pixels labeled class 1 that are.
        recall: share of the true pixels of class 1 that are labeled so.
    """

    threshold: float
    iou: float | None
    precision: float | None
    recall: float | None


def threshold_score(threshold: float, matrix: np.ndarray) -> ThresholdScore:
    """Metrics of class 1 from the confusion matrix (2, 3) at a threshold."""
    hits, labeled, true = (int(n) for n in (matrix[1, 1], matrix[:, 1].sum(), matrix[1].sum()))
    return ThresholdScore(
        threshold,
        scores_of(matrix).iou[1],
        hits / labeled if labeled else None,
        hits / true if true else None,
    )


def confusion_matrix(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes + 1) int64: rows are the truth, columns the prediction, the last "unlabeled".

    Pixels whose truth is not a class (255 and 65535 mean unlabeled) are left out.

    Raises:
        InputError: the two differ in size.
    """
    if truth.shape != labels.shape:
        raise InputError(
            f"the truth has shape {truth.shape}, the labels {labels.shape}: expected equal sizes"
        )
    known = truth < classes
    predicted = np.minimum(labels[known].astype(np.int64), classes)
    counts: np.ndarray = np.bincount(
        truth[known].astype(np.int64) * (classes + 1) + predicted, minlength=classes * (classes + 1)
    ).reshape(classes, classes + 1)
    return counts


def scores_of(matrix: np.ndarray) -> Scores:
    """Metrics from a confusion matrix, or from the sum of several."""
    square: Any = matrix[:, : len(matrix)]
    right = np.diag(square)
    true, labeled, total = matrix.sum(axis=1), square.sum(axis=0), int(matrix.sum())
    union, others = true + labeled - right, total - true
    return Scores(
        _ratios(right, union),
        float(right.sum() / total) if total else math.nan,
        total,
        _ratios(2 * right, true + labeled),
        _ratios(right, true),
        _ratios(others - (labeled - right), others),
    )


def _ratios(part: np.ndarray, whole: np.ndarray) -> tuple[float | None, ...]:
    return tuple(float(p / w) if w else None for p, w in zip(part, whole, strict=True))
