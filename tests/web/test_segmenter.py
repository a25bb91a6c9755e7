"""Labels of the JavaScript module on onnxruntime-node, compared with the Python runtime's."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fcn_edge_runtime.imaging.conversion import convert
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.segmenter import Segmenter
from tests.runtime import make_models

from .conftest import ROOT

pytestmark = pytest.mark.slow

ARTIFACTS = sorted((ROOT / "tests/artifacts").glob("*.onnx"))
GOOD = ROOT / "tests/artifacts/0.1.0-float.onnx"
SIZES = ((1, 1), (31, 64), (97, 45), (120, 160))


def rgba(height, width, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_arrays_have_pythons_labels(segment, path):
    segmenter = Segmenter(path, device="cpu")
    spec = segmenter.card.input
    images = [pattern(1, *size, spec.channels, 5, spec)[0] for size in SIZES]
    answer = segment(path, images)
    assert answer["selfTest"]["passed"]
    for image, result in zip(images, answer["results"], strict=True):
        np.testing.assert_array_equal(result["labels"], segmenter(image).labels)


@pytest.mark.parametrize("kind", ["plain", "gray", "deep", "float_gray", "wide"])
def test_pixels_of_a_canvas_have_pythons_labels(segment, tmp_path, kind):
    path = tmp_path / "model.onnx"
    card = make_models.make_model(path, **make_models.KINDS[kind])
    images = [rgba(*size) for size in SIZES]
    segmenter = Segmenter(path, device="cpu")
    for image, result in zip(images, segment(path, images)["results"], strict=True):
        expected = segmenter(np.ascontiguousarray(convert(image, card.input))).labels
        np.testing.assert_array_equal(result["labels"], expected)


def test_a_wrong_self_test_refuses_the_device(segment, tmp_path):
    path = tmp_path / "model.onnx"
    make_models.build("plain_wrong", path)
    answer = segment(path, [])
    assert answer["error"] == "VerificationError"
    assert "the self-test failed on cpu: at 2x64x96" in answer["message"]


def test_chosen_outputs_alone_are_computed(segment):
    answer = segment(GOOD, [rgba(5, 7)], outputs=["confidence"])
    assert answer["outputs"] == ["labels", "confidence"]
    assert answer["results"][0]["confidence"] == 35
    assert segment(GOOD, [rgba(5, 7)], outputs=["labels"])["results"][0]["confidence"] is None


def test_an_image_too_large_is_refused_in_one_line(segment):
    large, small = segment(GOOD, [rgba(30, 40), rgba(3, 4)], maxPixels=1000)["results"]
    assert large == {
        "error": "InputError",
        "message": "the image has 1200 pixels, expected at most 1000: make it smaller, or raise maxPixels if "
        "memory allows",
    }
    assert small["labels"].shape == (3, 4)


def test_an_array_of_another_type_is_refused(segment):
    [result] = segment(GOOD, [np.zeros((4, 5, 3), np.uint16)])["results"]
    assert result["error"] == "InputError"
    assert "the image's data is Uint16Array, expected Uint8Array" in result["message"]


@pytest.mark.security("onnxruntime's telemetry", "off: no look-up, nothing under the home folder")
def test_running_a_model_leaves_nothing_at_home(segment, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    answer = segment(GOOD, [rgba(5, 7)], env={**kept, "HOME": str(home)})
    assert answer["results"][0]["labels"].shape == (5, 7)
    assert list(home.rglob("*")) == []
