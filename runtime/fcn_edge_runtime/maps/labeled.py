"""What a part of an image is, made of its scores: labels, and how probable they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.maps.runs import Runs
from fcn_edge_runtime.session.numpy_head import Axis, labels_of_part

__all__ = ["NO_PROBABILITY", "PROBABLE", "Labeled", "labeled_of"]

PROBABLE = 254  # stands for a probability of 1
NO_PROBABILITY = 255
_ROWS = 64  # of pixels whose scores are interpolated at once


@dataclass(frozen=True, eq=False)
class Labeled:
    """What a tile's core is.

    Attributes:
        labels: (h, w).
        confidence: (h, w) float32, the winners' probabilities; None where they are not computed.
        probabilities: (classes, h, w) uint8, of which `PROBABLE` is 1; None where they are not computed.
        sample: (n, m, C), pixels for the preview; None where there is none.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    sample: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Those that are there, by their names."""
        names = ("labels", "confidence", "probabilities", "sample")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @cached_property
    def runs(self) -> Runs:
        """The labels as runs; they do not change anymore."""
        return Runs.of(self.labels)


def labeled_of(scores: np.ndarray, down: Axis | None, right: Axis | None, network: TileNetwork) -> Labeled:
    """What a part of an image is.

    Args:
        scores: (classes, h, w) float32, those that the part needs.
        down: how they lie along its rows; None where every pixel has its own.
        right: the same along its columns.
        network: what is wanted, and the classes.
    """
    card = network.card
    if down is not None and right is not None:
        labels = labels_of_part(scores, down, right, card.label_dtype)
    elif len(scores) == 1:
        labels = (scores[0] > 0).astype(card.label_dtype)
    else:
        labels = scores.argmax(axis=0).astype(card.label_dtype)
    sure = np.empty(labels.shape, np.float32) if network.confidence else None
    each = np.empty((len(card.classes), *labels.shape), np.uint8) if network.probabilities else None
    if sure is not None or each is not None:
        for rows, z in _upsampled(scores, down, right):
            found = _softmax(z)
            if sure is not None:
                sure[rows] = found.max(axis=0)
            if each is not None:
                each[:, rows] = np.rint(found * PROBABLE)
    return Labeled(labels, sure, each)


def _upsampled(
    scores: np.ndarray, down: Axis | None, right: Axis | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Some rows of pixels after the other, and their scores (classes, rows, w)."""
    if down is None or right is None:
        for first in range(0, scores.shape[1], _ROWS):
            yield slice(first, first + _ROWS), scores[:, first : first + _ROWS]
        return
    above, below, v = down.neighbors()
    before, after, u = right.neighbors()
    for first in range(0, len(above), _ROWS):
        some = slice(first, first + _ROWS)
        upper = scores[:, above[some]]
        rows = upper + (scores[:, below[some]] - upper) * v[some, None]
        left = rows[:, :, before]
        yield some, left + (rows[:, :, after] - left) * u


def _softmax(z: np.ndarray) -> np.ndarray:
    """Probabilities of all classes; one score is that of the second of two classes."""
    if len(z) == 1:
        one = 1 / (1 + np.exp(-z))
        return np.concatenate([1 - one, one])
    powers = np.exp(z - z.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))
