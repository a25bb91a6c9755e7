"""How far a file's results for an image are from its reference's, measured once for every set of rules.

    A  max |c(z)| over the reference's logits z, where c(z) = z - mean over classes (one class: z)
    M  max |z|
    E  max |file - reference| over logits

c(z) removes an offset that all classes share, which softmax and argmax do not see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS, LOGITS

__all__ = [
    "Measurement",
    "Outputs",
    "amplitude",
    "argmax",
    "by_rows",
    "labeled",
    "labels_digest",
    "margins",
    "measure",
    "worst_pixel",
]

Array = npt.NDArray[Any]
_VALUES = 1 << 22  # that are computed with at once
Outputs = Mapping[str, Array]  # at least labels (N, H, W) and logits (N, K, H, W)


@dataclass(frozen=True)
class Measurement:
    """What was measured between a file and its reference on one input.

    Attributes:
        error: E, in logits.
        amplitude: A, in logits.
        magnitude: M, in logits.
        lowest: of the reference's logits.
        highest: likewise.
        flips: pixels whose label differs from the reference's.
        agreement: share of pixels with the reference's label, 0..1.
        pixel: (batch, row, column) of the largest error.
        labels_sha256: digest of the file's labels.
        labels_seen: which labels the file gave.
    """

    error: float = 0.0
    amplitude: float = 0.0
    magnitude: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0
    flips: int = 0
    agreement: float = 1.0
    pixel: tuple[int, int, int] = (0, 0, 0)
    labels_sha256: str = ""
    labels_seen: tuple[int, ...] = ()


def measure(expected: Outputs, got: Outputs) -> Measurement:
    """Compare labels and logits of equal shapes.

    Args:
        expected: the reference's.
        got: the file's.
    """
    reference, labels = expected[LOGITS], got[LABELS]
    error = by_rows(lambda z, other: np.abs(other - z).max(axis=1), reference, got[LOGITS])
    flips = int((labels != expected[LABELS]).sum())
    lowest, highest = float(reference.min()), float(reference.max())
    return Measurement(
        error=float(error.max()),
        amplitude=amplitude(reference),
        magnitude=max(-lowest, highest),
        lowest=lowest,
        highest=highest,
        flips=flips,
        agreement=1 - flips / labels.size,
        pixel=worst_pixel(error),
        labels_sha256=labels_digest(labels),
        labels_seen=tuple(int(v) for v in np.unique(labels)),
    )


def by_rows(function: Callable[..., Array], *arrays: Array) -> Array:
    """What a function of each pixel gives, (N, H, W), computed a few rows at a time.

    Logits of 150 classes for 720x1280 pixels are 550 MB: what is computed from all of them at once, in
    float64 or sorted, takes gigabytes.

    Args:
        function: of rows of the arrays, (N, K, rows, W), to (N, rows, W).
        arrays: (N, K, H, W) each, of equal N, H and W.
    """
    batch, classes, height, width = arrays[0].shape
    step = max(1, _VALUES // (batch * classes * width))
    parts = [function(*(a[:, :, top : top + step] for a in arrays)) for top in range(0, height, step)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def labeled(logits: Array) -> Outputs:
    """Logits (N, K, H, W) with the labels that the contract gives them."""
    return {LABELS: argmax(logits), LOGITS: logits}


def argmax(logits: Array) -> Array:
    """Labels (N, H, W) of logits (N, K, H, W): the first of the largest; of one class, 1 where z > 0."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    return by_rows(lambda z: z.argmax(axis=1), logits)


def amplitude(logits: Array) -> float:
    """A of logits (N, K, H, W)."""

    def largest(z: Array) -> Array:
        centered = z - z.mean(axis=1, keepdims=True) if z.shape[1] > 1 else z
        return np.asarray(np.abs(centered).max(axis=1))

    return float(by_rows(largest, logits).max())


def margins(logits: Array) -> Array:
    """How far each pixel's decision is from another one, (N, H, W): best minus second; of one class |z|."""
    if logits.shape[1] == 1:
        return np.asarray(np.abs(logits[:, 0]))

    def margin(z: Array) -> Array:
        best_two = np.partition(z, -2, axis=1)[:, -2:]
        return np.asarray(best_two[:, 1] - best_two[:, 0])

    return by_rows(margin, logits)


def worst_pixel(values: Array) -> tuple[int, int, int]:
    """(batch, row, column) of the largest value of a (N, H, W) array."""
    batch, row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(batch), int(row), int(column)


def labels_digest(labels: Array) -> str:
    """SHA-256 of labels (N, H, W), row by row."""
    return hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest()
