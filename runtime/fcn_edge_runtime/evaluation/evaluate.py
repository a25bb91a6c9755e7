"""Evaluates a model on labeled images: metrics per image and over all images.

Labels are PNGs of class ids: with a palette (as `fcn-edge run` and most data sets write them), or gray with 8
or 16 bits. 255 (or 65535) is unlabeled and not counted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.evaluation.metrics import Scores, confusion_matrix, scores_of
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.imaging.reading import import_pillow, read_image
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import SILENT, Progress, tracked
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["Evaluation", "ImageScore", "Pair", "evaluate", "find_pairs", "read_labels", "score_pairs"]

ENDINGS = (".labels.png", ".png")


@dataclass(frozen=True)
class Pair:
    """An image file and its label file."""

    image: Path
    labels: Path


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


def find_pairs(images: Sequence[str], labels: Path) -> tuple[Pair, ...]:
    """Each image with the labels of the same name: STEM.png or STEM.labels.png in the folder `labels`.

    Raises:
        InputError: no images are given, the folder is missing, or an image has no labels.
    """
    if not labels.is_dir():
        raise InputError(f"there is no folder of labels {labels}")
    pairs = []
    for job in find_images(images, recursive=True):
        found = next((p for e in ENDINGS if (p := labels / f"{job.stem}{e}").is_file()), None)
        if found is None:
            raise InputError(f"{job.source} has no labels: expected {labels / f'{job.stem}.png'}")
        pairs.append(Pair(job.source, found))
    return tuple(pairs)


def read_labels(path: Path, card: Card) -> np.ndarray:
    """Class ids (H, W) of a palette or gray PNG.

    Raises:
        InputError: it is not such a PNG, or holds an id without a class in the model.
    """
    module = import_pillow()
    try:
        with module.open(path, formats=("PNG",)) as picture:
            mode = picture.mode
            ids = np.asarray(picture)
    except Exception as error:  # noqa: BLE001 (decoders raise errors of any class on damaged files)
        raise InputError(f"{path} cannot be read as labels: {error}") from None
    if mode not in ("P", "L", "I;16", "I") or ids.ndim != 2:
        raise InputError(f"{path} is an image of mode {mode}, expected class ids: a palette or gray PNG")
    top = 255 if mode in ("P", "L") else 65535
    foreign = ids[(ids >= len(card.classes)) & (ids != top)]
    if foreign.size:
        raise InputError(
            f"{path} holds the id {int(foreign[0])}, the model has classes 0 to {len(card.classes) - 1} "
            f"and {top} is unlabeled"
        )
    return ids


def evaluate(
    model: Segmenter | str | os.PathLike[str],
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    labels: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on labeled images.

    Args:
        model: a model's path, or an open segmenter.
        images: a folder, a file, a glob pattern, or a list of these.
        labels: the folder of their labels: PNGs of class ids, named like the images.
        progress: receives how many images are done, as one stage.

    Raises:
        InputError: there are no images, one has no labels, one of them cannot be read, or their sizes differ.
        ModelError, ProviderError, VerificationError: the model or the device, as for `Segmenter`.
    """
    listed = [images] if isinstance(images, (str, os.PathLike)) else images
    pairs = find_pairs([os.fspath(entry) for entry in listed], Path(labels))
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
        InputError: an image or its labels cannot be read, or they differ in size.
    """
    card, count = segmenter.card, len(segmenter.card.classes)
    total = np.zeros((count, count + 1), np.int64)
    done = []
    progress = progress or SILENT
    progress.start("evaluate", len(pairs), "images")
    for pair in tracked(pairs, progress):
        truth = read_labels(pair.labels, card)
        result = segmenter(read_image(pair.image, card.input, segmenter.max_pixels))
        if result.labels.shape != truth.shape:
            got, expected = size_text(truth.shape), size_text(result.labels.shape)
            raise InputError(f"{pair.labels} has {got} pixels, its image {expected}: expected equal sizes")
        matrix = confusion_matrix(truth, result.labels, count)
        total += matrix
        done.append(ImageScore(pair, scores_of(matrix), result.milliseconds))
    progress.finish(f"{len(pairs)} image{'s' if len(pairs) != 1 else ''}")
    return Evaluation(card, segmenter.session.provider, total, scores_of(total), tuple(done))


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if value == value else None  # noqa: PLR0124 (only NaN differs from itself)
