"""Evaluates a model on labeled images: metrics per image and over all images.

Labels are PNG masks, see `masks.py`. 255 (or 65535) is unlabeled and not counted. Medical volumes have
labels of the same voxels, as NIfTI or DICOM.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import InputError, ModelError, UsageError
from fcn_edge_runtime.evaluation.coverage import Coverage, coverage_of
from fcn_edge_runtime.evaluation.masks import (
    LabelFolder,
    Pair,
    check_masks,
    check_occurring,
    find_pairs,
)
from fcn_edge_runtime.evaluation.metrics import (
    Scores,
    ThresholdScore,
    scores_of,
    threshold_score,
)
from fcn_edge_runtime.evaluation.scoring import Scoring
from fcn_edge_runtime.medical.labeling import VolumeOptions
from fcn_edge_runtime.medical.series import is_volume
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import SILENT, Progress, tracked
from fcn_edge_runtime.segmentation import check_threshold, outputs_for_threshold
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["Evaluation", "FailedPair", "ImageScore", "evaluate", "outputs_to_score", "score_pairs"]

_MOST_CLASSES = 3000
_MOST_DENSE = 512  # classes of a matrix that is listed whole


@dataclass(frozen=True)
class ImageScore:
    """The metrics of one image or volume, and the time of the network.

    Attributes:
        hausdorff: 95 % Hausdorff distance of each class in millimeters, of volumes; see `surfaces`.
    """

    pair: Pair
    scores: Scores
    milliseconds: float
    hausdorff: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class FailedPair:
    """An image, or its labels, that could not be evaluated, and why, in one line."""

    pair: Pair
    error: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        card: the model's card.
        provider: the execution provider that ran it.
        matrix: the confusion matrix over all images, see `metrics.confusion_matrix`.
        scores: metrics over all images.
        images: metrics per image, in the order of the images.
        threshold: of the labels' probability; of several, the one with the best IoU of class 1. None without.
        sweep: class 1 at each threshold, where several were given.
        failed: images that are not part of the metrics, which are then those of a subset.
        coverage: what is left, and how right it is, where labels need a confidence; empty where the model
            does not compute `confidence`, and with thresholds or medical volumes.
    """

    card: Card
    provider: str
    matrix: np.ndarray
    scores: Scores
    images: tuple[ImageScore, ...]
    threshold: float | None = None
    sweep: tuple[ThresholdScore, ...] = ()
    failed: tuple[FailedPair, ...] = ()
    coverage: tuple[Coverage, ...] = ()

    @property
    def hausdorff(self) -> tuple[float | None, ...]:
        """Mean over the volumes of each class's 95 % Hausdorff distance in millimeters; empty without."""
        each = [image.hausdorff for image in self.images if image.hausdorff]
        known = [[value for value in values if value is not None] for values in zip(*each, strict=True)]
        return tuple(sum(values) / len(values) if values else None for values in known)

    def worst(self, count: int) -> tuple[ImageScore, ...]:
        """The images with the lowest mean IoU, the worst first."""
        return tuple(sorted(self.images, key=lambda i: i.scores.mean_iou)[:count])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        names = [entry.name for entry in self.card.classes]
        scores = self.scores
        return {
            "model": self.card.name,
            "provider": self.provider,
            **({} if self.threshold is None else {"threshold": self.threshold}),
            **({"thresholds": [asdict(score) for score in self.sweep]} if self.sweep else {}),
            "images": len(self.images),
            "pixels": self.scores.pixels,
            "mean_iou": _finite(self.scores.mean_iou),
            "pixel_accuracy": _finite(self.scores.pixel_accuracy),
            "iou": dict(zip(names, scores.iou, strict=True)),
            "dice": dict(zip(names, scores.dice, strict=True)),
            "sensitivity": dict(zip(names, scores.sensitivity, strict=True)),
            "specificity": dict(zip(names, scores.specificity, strict=True)),
            **({"hausdorff_95_mm": dict(zip(names, self.hausdorff, strict=True))} if self.hausdorff else {}),
            **({"coverage": [asdict(point) for point in self.coverage]} if self.coverage else {}),
            "confusion": {
                "rows": [c.name for c in self.card.classes],
                "columns": [*(c.name for c in self.card.classes), "unlabeled"],
                **_cells(self.matrix),
            },
            "per_image": [
                {
                    "image": str(i.pair.image),
                    "mean_iou": _finite(i.scores.mean_iou),
                    "pixel_accuracy": _finite(i.scores.pixel_accuracy),
                    "milliseconds": round(i.milliseconds, 3),
                }
                for i in self.images
            ],
            "failed": [
                {"image": str(f.pair.image), "labels": str(f.pair.labels), "error": f.error}
                for f in self.failed
            ],
        }


def evaluate(
    model: Segmenter | str | os.PathLike[str],
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    labels: LabelFolder | str | os.PathLike[str],
    *,
    thresholds: Sequence[float] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on labeled images.

    Args:
        model: a model's path, or an open segmenter.
        images: a folder, a file, a glob pattern, or a list of these.
        labels: the folder of their labels: PNG masks named like the images; a `LabelFolder` for masks that
            are binary, of colors, or named with a suffix.
        thresholds: labels need this probability, see `Segmentation.thresholded`. Several are compared for
            models of two classes, on one run over the images.
        progress: receives how many images are done, as one stage.

    Raises:
        InputError: there are no images, one has no labels, one of them cannot be read, their sizes differ, or
            the masks are binary and read as ids.
        UsageError: options of the labels, or thresholds, that do not fit the model.
        ModelError, ProviderError, VerificationError: the model or the device, as for `Segmenter`.
    """
    listed = [images] if isinstance(images, (str, os.PathLike)) else images
    pairs = find_pairs([os.fspath(entry) for entry in listed], labels)
    if isinstance(model, Segmenter):
        return score_pairs(model, pairs, progress, thresholds)
    with Segmenter(model, outputs=outputs_to_score(thresholds)) as segmenter:
        return score_pairs(segmenter, pairs, progress, thresholds)


def outputs_to_score(thresholds: Sequence[float]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Which of the outputs that a model offers an evaluation computes: `Segmenter(outputs=...)`."""
    if thresholds:
        return outputs_for_threshold
    return lambda offered: ("labels", *(name for name in offered if name == "confidence"))


def score_pairs(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    progress: Progress | None = None,
    thresholds: Sequence[float] = (),
    *,
    keep_going: bool = False,
    reading: VolumeOptions | None = None,
) -> Evaluation:
    """Compute metrics per image and over all images. A few masks are checked before the first image is run.

    Args:
        segmenter: the open model; with thresholds, it computes confidence or probabilities.
        pairs: as `find_pairs` returns them.
        progress: receives how many images are done, as one stage.
        thresholds: as `evaluate`.
        keep_going: leave out images that cannot be evaluated, and list them as `failed`, unless all fail.
        reading: how medical volumes are read; None takes axial slices and the card's window.

    Raises:
        InputError: an image or its labels cannot be read, they differ in size, or the masks are binary and
            read as ids.
        UsageError: options of the labels, or thresholds, that do not fit the model.
    """
    card, count = segmenter.card, len(segmenter.card.classes)
    tried: tuple[float | None, ...] = tuple(dict.fromkeys(thresholds)) or (None,)
    _check_thresholds(segmenter, thresholds)
    if thresholds and any(is_volume(pair.image) for pair in pairs):
        raise UsageError("thresholds are compared on images, and there are medical volumes: give none")
    for folder in dict.fromkeys(pair.folder for pair in pairs):
        folder.check(card)
    _check_classes(count)
    check_masks([pair for pair in pairs if not is_volume(pair.image)], card, keep_going=keep_going)
    progress = progress or SILENT
    progress.start("evaluate", len(pairs), "images")
    totals = [np.zeros((count, count + 1), np.int64) for _ in tried]
    done: list[list[ImageScore]] = [[] for _ in tried]
    failed: list[FailedPair] = []
    counts: np.ndarray | None = None
    unlabeled, dark = 0, False
    scoring = Scoring(segmenter, tried, reading or VolumeOptions())
    with contextlib.closing(scoring.of(pairs)) as counted:
        for pair, future in tracked(counted, progress, total=len(pairs)):
            try:
                found = future.result()
            except (InputError, ModelError) as error:  # ModelError: onnxruntime ran out of memory, say
                if not keep_going or len(failed) + 1 == len(pairs):
                    raise
                failed.append(FailedPair(pair, str(error)))
                continue
            if found.dark and not dark:
                dark = True
                warnings.warn(found.dark, stacklevel=2)
            unlabeled += found.unlabeled
            if found.confidence is not None:
                counts = found.confidence if counts is None else counts + found.confidence
            for total, scored, matrix in zip(totals, done, found.matrices, strict=True):
                np.add(total, matrix, out=total)
                scored.append(ImageScore(pair, scores_of(matrix), found.milliseconds, found.hausdorff))
    if pairs:
        check_occurring(totals[0].sum(axis=1), unlabeled, card, pairs[0].folder)
    progress.finish(f"{len(done[0])} image{'s' if len(done[0]) != 1 else ''}")
    sweep = _sweep(tried, totals)
    best = max(range(len(sweep)), key=lambda index: sweep[index].iou or 0.0) if sweep else 0
    return Evaluation(
        card,
        segmenter.session.provider,
        totals[best],
        scores_of(totals[best]),
        tuple(done[best]),
        segmenter.threshold if tried[best] is None else tried[best],
        sweep,
        tuple(failed),
        () if counts is None or any(image.hausdorff for image in done[best]) else coverage_of(counts),
    )


def _check_classes(count: int) -> None:
    if count > _MOST_CLASSES:
        raise InputError(
            f"the model has {count} classes, and the confusion matrix their square: expected at most "
            f"{_MOST_CLASSES}"
        )


def _cells(matrix: np.ndarray) -> dict[str, Any]:
    """All cells of a matrix; of many classes, only those that are not 0, as [row, column, pixels]."""
    if len(matrix) <= _MOST_DENSE:
        return {"pixels": matrix.tolist()}
    rows, columns = np.nonzero(matrix)
    return {"nonzero": np.stack([rows, columns, matrix[rows, columns]], axis=1).tolist()}


def _sweep(tried: Sequence[float | None], totals: Sequence[np.ndarray]) -> tuple[ThresholdScore, ...]:
    if len(tried) < 2:
        return ()
    pairs = zip(tried, totals, strict=True)
    return tuple(threshold_score(t, matrix) for t, matrix in pairs if t is not None)


def _check_thresholds(segmenter: Segmenter, thresholds: Sequence[float]) -> None:
    for threshold in thresholds:
        check_threshold(threshold)
    classes = len(segmenter.card.classes)
    if len(thresholds) > 1 and classes != 2:
        raise UsageError(
            f"several thresholds are compared for models of two classes, and this one has {classes}: give one"
        )
    if thresholds and segmenter.threshold is not None:
        raise UsageError("the segmenter has a threshold already: open one without, or give no thresholds")


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if value == value else None  # noqa: PLR0124 (only NaN differs from itself)
