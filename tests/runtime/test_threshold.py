from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter, UsageError
from fcn_edge_runtime.session.session import SessionOptions

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
BINARY = ARTIFACTS / "0.1.0-binary.onnx"  # labels, confidence, probabilities (1, H, W)
SEVERAL = ARTIFACTS / "0.1.0-float.onnx"  # five classes, all outputs


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("outputs", [("labels",), ("confidence",), ("probabilities",), None])
def test_one_score_needs_the_probability_of_class_1(photo, threshold, outputs):
    with Segmenter(BINARY, "cpu") as plain:
        probability = plain(photo).probabilities[0]
    with Segmenter(BINARY, "cpu", outputs=outputs, threshold=threshold) as segmenter:
        result = segmenter(photo)
    expected = probability >= threshold
    # 1 - confidence rounds differently from the probability itself.
    undecided = np.abs(probability - threshold) < 1e-6
    assert 0 < expected.mean() < 1
    assert ((result.labels == expected) | undecided).all()
    assert result.labels.dtype == np.uint8


def test_one_score_is_as_confident_as_its_new_label_is_probable(photo):
    with Segmenter(BINARY, "cpu", threshold=0.9) as segmenter:
        result = segmenter(photo)
    probability = result.probabilities[0]
    np.testing.assert_allclose(
        result.confidence, np.where(result.labels == 1, probability, 1 - probability), atol=1e-6
    )
    assert result.confidence.min() < 0.5


def test_several_classes_leave_uncertain_pixels_unlabeled(photo):
    with Segmenter(SEVERAL, "cpu") as plain:
        before = plain(photo)
    threshold = float(np.median(before.confidence))
    with Segmenter(SEVERAL, "cpu", outputs=("labels",), threshold=threshold) as segmenter:
        after = segmenter(photo)
    expected = np.where(before.probabilities.max(axis=0) >= np.float32(threshold), before.labels, 255)
    np.testing.assert_array_equal(after.labels, expected)
    assert 0.1 < (after.labels == 255).mean() < 0.9
    assert (after.confidence, after.probabilities) == (None, None)


def test_a_batch_is_thresholded_as_its_images_are(photo):
    batch = np.stack([photo, photo[::-1]])
    for model in (BINARY, SEVERAL):
        with Segmenter(model, "cpu", threshold=0.6) as segmenter:
            for image, labels in zip(batch, segmenter(batch).labels, strict=True):
                np.testing.assert_array_equal(segmenter(image).labels, labels)


def test_a_threshold_can_be_tried_on_one_result(photo):
    with Segmenter(SEVERAL, "cpu", outputs=("probabilities",)) as segmenter:
        result = segmenter(photo)
    shares = [(result.thresholded(t).labels == 255).mean() for t in (0.3, 0.6, 0.9)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    with (
        Segmenter(SEVERAL, "cpu", outputs=("labels",)) as segmenter,
        pytest.raises(UsageError, match="neither"),
    ):
        segmenter(photo).thresholded(0.5)


@pytest.mark.parametrize("wrong", [0, 1, -0.1, 1.5, float("nan"), float("inf"), "0.5", True])
def test_a_threshold_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match="expected a number above 0 and below 1"):
        Segmenter(BINARY, threshold=wrong)


def test_a_file_without_probabilities_says_how_to_get_them(model_path):
    with pytest.raises(UsageError, match="export it again with --outputs labels,confidence"):
        Segmenter(model_path("plain"), "cpu", threshold=0.5)


def test_the_numpy_head_has_no_probabilities():
    options = SessionOptions(head="numpy")
    with pytest.raises(UsageError, match="with the head 'numpy' there are labels alone"):
        Segmenter(ARTIFACTS / "0.1.0-int8.onnx", "cpu", options=options, threshold=0.5)


def test_a_copy_in_another_process_has_the_threshold(photo):
    with Segmenter(BINARY, "cpu", threshold=0.9) as segmenter, pickle.loads(pickle.dumps(segmenter)) as copy:  # noqa: S301 - our own
        np.testing.assert_array_equal(copy(photo).labels, segmenter(photo).labels)
