"""What a labeled image or volume adds to an evaluation; images are read and counted beside the network."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from fcn_edge_runtime._overlap import attempted, overlapped
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.evaluation.coverage import confidence_counts
from fcn_edge_runtime.evaluation.masks import Pair, count_labels
from fcn_edge_runtime.evaluation.metrics import confusion_matrix
from fcn_edge_runtime.evaluation.surfaces import hausdorff_95
from fcn_edge_runtime.imaging.reading import Picture, read_picture
from fcn_edge_runtime.medical.labeling import VolumeOptions, label_volume, read_truth, read_volume
from fcn_edge_runtime.medical.series import is_volume
from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["Counts", "Scoring"]


@dataclass(frozen=True, eq=False)
class Counts:
    """Of an image or a volume.

    Attributes:
        matrices: the confusion matrix at each threshold.
        unlabeled: pixels of the truth that have no label.
        milliseconds: of the network.
        dark: what is special about its range; empty if nothing is.
        confidence: as `confidence_counts` gives it; None where it is not computed.
        hausdorff: 95 % Hausdorff distance of each class in millimeters, of volumes.
    """

    matrices: tuple[np.ndarray, ...]
    unlabeled: int
    milliseconds: float
    dark: str = ""
    confidence: np.ndarray | None = None
    hausdorff: tuple[float | None, ...] = ()


@dataclass(frozen=True, eq=False)
class _Read:
    pair: Pair
    truth: np.ndarray
    picture: Picture


@dataclass(frozen=True, eq=False)
class Scoring:
    """How pairs are counted.

    Attributes:
        segmenter: the open model.
        thresholds: of the labels' probabilities; None stands for the model's own labels.
        reading: how medical volumes are read.
    """

    segmenter: Segmenter
    thresholds: tuple[float | None, ...]
    reading: VolumeOptions

    def of(self, pairs: Sequence[Pair]) -> Generator[tuple[Pair, Future[Counts]], None, None]:
        """Each pair in its order, and what came of it: the future's `result` raises InputError or ModelError.

        Volumes come one after the other, since each fills the memory.
        """
        for volumes, some in groupby(pairs, lambda pair: is_volume(pair.image)):
            group = list(some)
            counted: Iterator[Future[Counts]]
            if volumes:
                counted = (attempted(lambda pair=pair: self._volume(pair)) for pair in group)  # type: ignore[misc]
            else:
                read = (attempted(lambda pair=pair: self._read(pair)) for pair in group)  # type: ignore[misc]
                counted = overlapped(read, self._run, self._count, self._size)
            yield from zip(group, counted, strict=True)

    def _read(self, pair: Pair) -> _Read:
        with _enough_memory(pair):
            truth = pair.truth(self.segmenter.card)
            picture = read_picture(pair.image, self.segmenter.card.input, self.segmenter.max_pixels)
        if picture.pixels.shape[:2] != truth.shape:
            got, expected = size_text(truth.shape), size_text(picture.pixels.shape[:2])
            raise InputError(f"{pair.labels} has {got} pixels, its image {expected}: expected equal sizes")
        return _Read(pair, truth, picture)

    def _run(self, read: Future[_Read]) -> tuple[_Read, Segmentation]:
        found = read.result()
        with _enough_memory(found.pair):
            return found, self.segmenter(found.picture.pixels)

    def _count(self, ran: tuple[_Read, Segmentation]) -> Counts:
        read, result = ran
        plain = self.segmenter.threshold is None and self.thresholds == (None,)
        sure = result.confidence if plain else None
        with _enough_memory(read.pair):
            labels = [
                result.labels if threshold is None else result.thresholded(threshold).labels
                for threshold in self.thresholds
            ]
            truth = self._covered(read.truth, labels[0])
            return Counts(
                tuple(confusion_matrix(truth, found, self._classes) for found in labels),
                count_labels(read.truth, self._classes)[1],
                result.milliseconds,
                read.picture.dark,
                None if sure is None else confidence_counts(truth, labels[0], sure, self._classes),
            )

    def _volume(self, pair: Pair) -> Counts:
        segmenter = self.segmenter
        with _enough_memory(pair, "crop or resample it"):
            volume = read_volume(pair.image, segmenter.max_pixels)
            truth = read_truth(
                pair.labels, volume, segmenter.card, segmenter.max_pixels, pair.folder.foreground
            )
            done = label_volume(segmenter, volume, self.reading)
            covered = self._covered(truth, done.labels)
            return Counts(
                (confusion_matrix(covered, done.labels, self._classes),),
                count_labels(truth, self._classes)[1],
                done.milliseconds,
                hausdorff=hausdorff_95(done.labels, covered, volume.spacing, segmenter.card),
            )

    def _covered(self, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The true labels without those of a border that the network does not cover: they are not counted."""
        card = self.segmenter.card
        if card.net.border != "unlabeled":
            return truth
        return np.where(labels == card.unlabeled, card.unlabeled, truth)

    def _size(self, read: Future[_Read]) -> int:
        """Numbers that an image, and the matrices of it, hold."""
        if read.exception() is not None:
            return 0
        return read.result().picture.pixels.size + len(self.thresholds) * self._classes**2

    @property
    def _classes(self) -> int:
        return len(self.segmenter.card.classes)


@contextlib.contextmanager
def _enough_memory(pair: Pair, remedy: str = "make it smaller") -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise InputError(f"the memory is not enough for {pair.image}: {remedy}") from None
