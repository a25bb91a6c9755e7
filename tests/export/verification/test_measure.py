"""What is measured between a file and its reference, on logits small enough to check by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fcn_edge_export.graph.names import LOGITS
from fcn_edge_export.verification import verdict
from fcn_edge_export.verification.measure import amplitude, argmax, labeled, margins, measure


def logits(*pixels):
    """(1, classes, 1, pixels) float32: one tuple of logits for each pixel."""
    return np.array(pixels, np.float32).T[None, :, None, :]


def test_error_flips_and_the_worst_pixel_are_measured():
    found = measure(labeled(logits((3, 1), (0, 2), (5, 4))), labeled(logits((3, 1), (2.5, 2), (5, 4))))
    assert (found.error, found.flips, found.pixel) == (2.5, 1, (0, 0, 1))
    assert (found.amplitude, found.magnitude) == (1.0, 5.0)
    assert found.agreement == pytest.approx(2 / 3)
    assert found.labels_seen == (0,)


def test_an_offset_of_all_classes_changes_no_amplitude():
    assert amplitude(logits((3, 1), (0, 2))) == amplitude(logits((103, 101), (100, 102))) == 1.0


def test_the_first_of_equal_logits_wins():
    assert argmax(logits((2, 2, 1), (0, 3, 3))).tolist() == [[[0, 1]]]


def test_one_class_is_labeled_above_zero():
    binary = logits((-1.0,), (0.0,), (2.0,))
    assert argmax(binary).tolist() == [[[0, 0, 1]]]
    assert margins(binary).tolist() == [[[1.0, 0.0, 2.0]]]
    assert amplitude(binary) == 2.0


def test_many_classes_are_measured_in_little_memory():
    rng = np.random.default_rng(0)
    expected = labeled(rng.standard_normal((1, 150, 120, 320), np.float32))
    got = labeled(expected[LOGITS] + rng.standard_normal((1, 150, 120, 320), np.float32) / 100)
    tracemalloc.start()
    found = measure(expected, got)
    broken = list(verdict._broken_rules(expected, got, found))
    smallest = margins(got[LOGITS]).min()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * got[LOGITS].nbytes  # float64 copies of both sides alone are 4 times as much
    error = np.abs(got[LOGITS] - expected[LOGITS])
    assert found.error == error.max()
    assert found.pixel == tuple(np.unravel_index(error.max(axis=1).argmax(), (1, 120, 320)))
    assert found.amplitude == np.abs(expected[LOGITS] - expected[LOGITS].mean(1, keepdims=True)).max()
    assert smallest == np.diff(np.sort(got[LOGITS], axis=1)[:, -2:], axis=1).min()
    assert [rule.rule for rule in broken] == ["numbers", "decisions"]


def test_a_margin_is_the_best_logit_minus_the_second():
    assert margins(logits((5, 1, 4), (0, 2, -1))).tolist() == [[[1.0, 2.0]]]
