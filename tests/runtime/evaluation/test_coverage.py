from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime.evaluation.coverage import confidence_counts, coverage_of

CLASSES, UNLABELED = 3, 255


def some():
    """Truth with unlabeled pixels, labels that are righter where they are surer, and their confidence."""
    rng = np.random.default_rng(2)
    truth = rng.integers(0, CLASSES, (60, 80)).astype(np.uint8)
    confidence = rng.uniform(0.34, 1, truth.shape).astype(np.float32)
    labels = np.where(rng.random(truth.shape) < confidence, truth, (truth + 1) % CLASSES).astype(np.uint8)
    truth[:5], labels[50:53] = UNLABELED, UNLABELED
    return truth, labels, confidence


def test_the_curve_is_what_each_confidence_leaves():
    truth, labels, confidence = some()
    known = truth != UNLABELED
    curve = coverage_of(confidence_counts(truth, labels, confidence, CLASSES))
    for point in curve:
        kept = known & (labels != UNLABELED) & (confidence >= np.float32(point.confidence))
        assert point.coverage == pytest.approx(kept.sum() / known.sum(), abs=1e-12)
        right = (labels == truth)[kept]
        assert point.accuracy == (pytest.approx(right.mean()) if len(right) else None)
    assert curve[0].coverage < 1  # what the model left unlabeled is not covered
    assert curve[90].accuracy > curve[0].accuracy + 0.2


def test_a_confidence_of_exactly_the_least_is_kept():
    least = np.array([[0.7, 0.9, 0.95, 0.99]], np.float32)
    curve = coverage_of(confidence_counts(np.zeros((1, 4), int), np.zeros((1, 4), int), least, 2))
    found = {point.confidence: point.coverage for point in curve}
    assert [found[value] for value in (0.7, 0.71, 0.9, 0.95, 0.99, 0.995)] == [1, 0.75, 0.75, 0.5, 0.25, 0]


def test_counts_of_two_images_add_up():
    truth, labels, confidence = some()
    halves = [
        confidence_counts(truth[s], labels[s], confidence[s], CLASSES) for s in (np.s_[:30], np.s_[30:])
    ]
    assert coverage_of(sum(halves)) == coverage_of(confidence_counts(truth, labels, confidence, CLASSES))


def test_without_labeled_pixels_there_is_no_curve():
    nothing = np.full((4, 4), UNLABELED, np.uint8)
    counts = confidence_counts(nothing, np.zeros((4, 4), np.uint8), np.ones((4, 4), np.float32), CLASSES)
    assert coverage_of(counts) == ()
