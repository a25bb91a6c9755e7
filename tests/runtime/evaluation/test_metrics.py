from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import InputError
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of

TRUTH = np.array([[0, 0, 1, 1], [2, 2, 255, 1]], np.uint8)
PREDICTED = np.array([[0, 1, 1, 1], [2, 0, 0, 255]], np.uint8)


def test_the_confusion_matrix_leaves_out_unlabeled_truth():
    matrix = confusion_matrix(TRUTH, PREDICTED, 3)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 1], [1, 0, 1, 0]]
    assert matrix.sum() == 7


def test_iou_is_true_positives_over_the_union():
    scores = scores_of(confusion_matrix(TRUTH, PREDICTED, 3))
    # class 0: 1 correct, truth 2, predicted 2 (one of them on unlabeled truth, not counted)
    assert scores.iou == (1 / 3, 2 / 4, 1 / 2)
    assert scores.mean_iou == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)
    assert scores.pixel_accuracy == pytest.approx(4 / 7)
    assert scores.pixels == 7


def test_a_class_that_does_not_occur_is_not_in_the_mean():
    scores = scores_of(confusion_matrix(TRUTH, PREDICTED, 4))
    assert scores.iou[3] is None
    assert scores.mean_iou == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)


def test_predicting_unlabeled_for_a_class_is_an_error():
    matrix = confusion_matrix(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8), 2)
    assert matrix.tolist() == [[0, 0, 4], [0, 0, 0]]
    assert scores_of(matrix).pixel_accuracy == 0


def test_16_bit_labels_are_counted_the_same_way():
    truth = np.array([[0, 299, 65535]], np.uint16)
    matrix = confusion_matrix(truth, np.array([[0, 299, 5]], np.uint16), 300)
    assert (matrix[0, 0], matrix[299, 299], matrix.sum()) == (1, 1, 2)


def test_scores_without_labeled_pixels_are_nan():
    scores = scores_of(confusion_matrix(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8), 2))
    assert scores.pixels == 0
    assert np.isnan(scores.mean_iou)


def test_different_sizes_are_refused():
    with pytest.raises(InputError, match="expected equal"):
        confusion_matrix(TRUTH, PREDICTED[:, :2], 3)
