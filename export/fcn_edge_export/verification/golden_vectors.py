"""The self-test inside the file: PyTorch's labels for inputs that any runtime can compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS
from fcn_edge_export.verification.measure import amplitude, argmax, margins
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_input import image_digest, pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_SIZES, Golden, GoldenCase, raise_to
from fcn_edge_runtime.session.session import Session

__all__ = ["TAU", "golden_vectors"]

Array = npt.NDArray[Any]

# Relative error of logits that a device may make before a label counts as wrong, by precision of the file.
TAU = {"fp32": 1e-3, "fp16": 1e-2}
SEEDS = range(1, 9)


def golden_vectors(
    reference: Callable[[Array], Array], probe: Session, card: Card, tau: float, *, smallest: int
) -> Golden:
    """Self-test cases at the golden sizes, each with the seed of 1 to 8 whose labels have the most entropy.

    Pixels whose margin is at most 2 tau A, twice the error allowed on a device, are undecided: they hold the
    unlabeled value and are not compared. A is the
    amplitude of the reference's logits, see `measure`.

    Args:
        reference: images (N, H, W, C) -> logits (N, K, H, W).
        probe: a session of the verified file; it picks the seeds because it is faster than the reference.
        card: of the file, or its draft.
        tau: relative error allowed on a device.
        smallest: height and width of an image that the file takes.
    """
    cases = []
    for size in raise_to(GOLDEN_SIZES, smallest):
        seed = max(SEEDS, key=lambda seed: _entropy(probe.run(_image(card, size, seed), [LABELS])[LABELS]))
        image = _image(card, size, seed)
        labels = _decided_labels(reference(image), tau, card)
        cases.append(GoldenCase(*size, seed, image_digest(image), labels))
    return Golden(tuple(cases), tau)


def _image(card: Card, size: tuple[int, int, int], seed: int) -> Array:
    return pattern(*size, card.input.channels, seed, card.input)


def _entropy(labels: Array) -> float:
    """Shannon entropy of the label counts, rounded, so that of equal counts the first seed wins."""
    counts = np.unique(labels, return_counts=True)[1]
    shares = np.sort(counts) / labels.size
    return round(float(-(shares * np.log(shares)).sum()), 9)


def _decided_labels(logits: Array, tau: float, card: Card) -> Array:
    decided = argmax(logits).astype(card.label_dtype)
    decided[margins(logits) <= 2 * tau * amplitude(logits)] = card.unlabeled
    return np.asarray(decided)
