"""Evaluates a model on labeled images: metrics per image and over all images.

Labels are PNG masks, see `masks.py`. 255 (or 65535) is unlabeled and not counted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.evaluation.masks import LabelFolder, Pair, check_occurring, count_labels, find_pairs
from fcn_edge_runtime.evaluation.metrics import Scores, confusion_matrix, scores_of
from fcn_edge_runtime.imaging.reading import read_picture
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import SILENT, Progress, tracked
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["Evaluation", "ImageScore", "evaluate", "score_pairs"]


@dataclass(frozen=True)
class ImageScore:
    """The metrics of one image, and the time of the network."""

    pair: Pair
    scores: Scores
    milliseconds: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        card: the model's card.
        provider: the execution provider that ran it.
        matrix: the confusion matrix over all images, see `metrics.confusion_matrix`.
        scores: metrics over all images.
        images: metrics per image, in the order of the images.
    """

    card: Card
    provider: str
    matrix: np.ndarray
    scores: Scores
    images: tuple[ImageScore, ...]

    def worst(self, count: int) -> tuple[ImageScore, ...]:
        """The images with the lowest mean IoU, the worst first."""
        return tuple(sorted(self.images, key=lambda i: i.scores.mean_iou)[:count])

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        named = zip(self.card.classes, self.scores.iou, strict=True)
        return {
            "model": self.card.name,
            "provider": self.provider,
            "images": len(self.images),
            "pixels": self.scores.pixels,
            "mean_iou": _finite(self.scores.mean_iou),
            "pixel_accuracy": _finite(self.scores.pixel_accuracy),
            "iou": {c.name: value for c, value in named},
            "confusion": {
                "rows": [c.name for c in self.card.classes],
                "columns": [*(c.name for c in self.card.classes), "unlabeled"],
                "pixels": self.matrix.tolist(),
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
        }


def evaluate(
    model: Segmenter | str | os.PathLike[str],
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    labels: LabelFolder | str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on labeled images.

    Args:
        model: a model's path, or an open segmenter.
        images: a folder, a file, a glob pattern, or a list of these.
        labels: the folder of their labels: PNG masks named like the images; a `LabelFolder` for masks that
            are binary, of colors, or named with a suffix.
        progress: receives how many images are done, as one stage.

    Raises:
        InputError: there are no images, one has no labels, one of them cannot be read, their sizes differ, or
            the masks are binary and read as ids.
        UsageError: options of the labels that do not fit the model.
        ModelError, ProviderError, VerificationError: the model or the device, as for `Segmenter`.
    """
    listed = [images] if isinstance(images, (str, os.PathLike)) else images
    pairs = find_pairs([os.fspath(entry) for entry in listed], labels)
    if isinstance(model, Segmenter):
        return score_pairs(model, pairs, progress)
    with Segmenter(model, outputs=("labels",)) as segmenter:
        return score_pairs(segmenter, pairs, progress)


def score_pairs(segmenter: Segmenter, pairs: Sequence[Pair], progress: Progress | None = None) -> Evaluation:
    """Compute metrics per image and over all images.

    Args:
        segmenter: the open model.
        pairs: as `find_pairs` returns them.
        progress: receives how many images are done, as one stage.

    Raises:
        InputError: an image or its labels cannot be read, they differ in size, or the masks are binary and
            read as ids.
        UsageError: options of the labels that do not fit the model.
    """
    card, count = segmenter.card, len(segmenter.card.classes)
    total = np.zeros((count, count + 1), np.int64)
    done = []
    unlabeled, dark = 0, False
    for folder in dict.fromkeys(pair.folder for pair in pairs):
        folder.check(card)
    progress = progress or SILENT
    progress.start("evaluate", len(pairs), "images")
    for pair in tracked(pairs, progress):
        truth = pair.truth(card)
        picture = read_picture(pair.image, card.input, segmenter.max_pixels)
        if picture.dark and not dark:
            dark = True
            warnings.warn(picture.dark, stacklevel=2)
        result = segmenter(picture.pixels)
        if result.labels.shape != truth.shape:
            got, expected = size_text(truth.shape), size_text(result.labels.shape)
            raise InputError(f"{pair.labels} has {got} pixels, its image {expected}: expected equal sizes")
        matrix = confusion_matrix(truth, result.labels, count)
        total += matrix
        unlabeled += count_labels(truth, count)[1]
        done.append(ImageScore(pair, scores_of(matrix), result.milliseconds))
    if pairs:
        check_occurring(total.sum(axis=1), unlabeled, card, pairs[0].folder)
    progress.finish(f"{len(pairs)} image{'s' if len(pairs) != 1 else ''}")
    return Evaluation(card, segmenter.session.provider, total, scores_of(total), tuple(done))


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if value == value else None  # noqa: PLR0124 (only NaN differs from itself)
