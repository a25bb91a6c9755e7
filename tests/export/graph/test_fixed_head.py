"""The head for images of one size against PyTorch, in onnxruntime, and in a file in place of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.without_head import with_tail, without_head
from fcn_edge_runtime.session.fixed_head import fixed_head
from fcn_edge_runtime.session.numpy_head import labels_of_logits
from tests.export.graph.test_sparse_head import differing, scores
from tests.export.parents import blocks

ARTIFACTS = Path(__file__).parents[2] / "artifacts"


def labels_of(low, height, width, *, align_corners=False, dtype="uint8"):
    """The labels of logits (1, C, h, w)."""
    fields = fixed_head("low", low.shape, (height, width), align_corners=align_corners, dtype=dtype)
    graph = onnx.GraphProto.FromString(b"".join(fields))
    graph.name = "head"
    graph.input.append(helper.make_tensor_value_info("low", TensorProto.FLOAT, low.shape))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ort.InferenceSession(model.SerializeToString()).run(None, {"low": low})[0]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 6])
def test_labels_are_those_of_pytorch_at_many_sizes(classes, align_corners):
    random = np.random.default_rng(classes)
    for index in range(40):
        h, w = random.integers(1, 20, 2)
        height = int(h * random.integers(1, 12) + random.integers(0, h))
        width = int(w * random.integers(1, 12) + random.integers(0, w))
        kind = ("noise", "smooth", "ties", "flat")[index % 4]
        low = scores(random, (1, classes, h, w), kind)
        labels = labels_of(low, height, width, align_corners=align_corners)
        count, worst = differing(labels, low, align_corners=align_corners)
        assert worst <= 1, (kind, h, w, height, width, count)


@pytest.mark.parametrize("size", [(240, 320), (67, 45), (7, 9), (1, 1)])
def test_no_pixel_differs_from_the_head_in_numpy(size):
    low = scores(np.random.default_rng(0), (1, 7, -(-size[0] // 8), -(-size[1] // 8)), "smooth")
    assert (labels_of(low, *size) == labels_of_logits(low, *size, align_corners=False)).all()


def test_of_equal_logits_the_first_class_wins_everywhere():
    assert not labels_of(np.ones((1, 5, 3, 4), np.float32), 24, 32).any()


def test_labels_of_16_bits_stay_so():
    assert labels_of(np.ones((1, 2, 3, 4), np.float32), 6, 8, dtype="uint16").dtype == np.uint16


def test_a_file_with_this_head_labels_as_with_its_own():
    path, image = ARTIFACTS / "0.1.0-int8.onnx", blocks(45, 62)
    with ModelFile.open(path) as model:
        without = without_head(model.data())
        shape = model.limits.follow(1, *image.shape)[without.logits].dims
    how = {"align_corners": without.align_corners, "dtype": without.labels}
    whole = with_tail(without.model, fixed_head(without.logits, shape, image.shape[:2], **how))
    session = ort.InferenceSession(whole)
    assert [output.name for output in session.get_outputs()] == ["labels"]
    labels = session.run(None, {"image": image[None]})[0][0]
    assert len(np.unique(labels)) > 1
    with Segmenter(path, "cpu") as segmenter:
        assert (labels == segmenter(image).labels).all()
