import numpy as np
import onnx
import pytest
from onnx import TensorProto

from fcn_edge_export.lowering.fp16 import convert_to_fp16
from fcn_edge_export.options import Fp16Options
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from tests.export.parents import blocks, frames, write_parent


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    return write_parent(tmp_path_factory.mktemp("fp16") / "parent.onnx", ("labels", "confidence"))


@pytest.fixture(scope="module")
def made(parent):
    return convert_to_fp16(parent, parent.with_name("fp16.onnx"), lambda _: frames(6))


def test_a_half_precision_file_decides_like_its_parent(parent, made):
    frame = blocks(99, 131, seed=77)
    with Segmenter(parent) as whole, Segmenter(made.path) as small:
        assert (whole(frame).labels == small(frame).labels).mean() > 0.999
        assert np.abs(whole(frame).confidence - small(frame).confidence).mean() < 0.01
        assert small(frame).labels.dtype == np.uint8
    assert made.agreement > 0.999


def test_its_card_names_the_parent_and_the_precision(parent, made):
    with ModelFile.open(made.path) as file, ModelFile.open(parent) as whole:
        assert file.card.precision == "fp16"
        assert file.card.verification.reference == "parent"
        assert file.card.lowering.parent_sha256 == whole.digest


def test_the_body_is_in_float16_and_the_head_in_float32(made):
    graph = onnx.load(made.path).graph
    types = {i.name: i.data_type for i in graph.initializer}
    weights = [types[n.input[1]] for n in graph.node if n.op_type == "Conv"]
    assert weights == [TensorProto.FLOAT16] * 4
    inferred = onnx.shape_inference.infer_shapes(onnx.load(made.path)).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    resize = next(n for n in graph.node if n.op_type == "Resize")
    assert kinds[resize.input[0]] == kinds[resize.output[0]] == TensorProto.FLOAT


def test_accuracy_is_measured_with_labels(parent, tmp_path):
    images = frames(4)
    with Segmenter(parent) as whole:
        truth = {name: (lambda read=read: whole(read()).labels.copy()) for name, read in images.items()}
        made = convert_to_fp16(parent, tmp_path / "fp16.onnx", lambda _: images, labels=lambda _: truth)
    assert made.mean_iou is not None
    assert made.mean_iou[0] == 1
    assert made.mean_iou[1] > 0.999


def test_misuse_is_refused(parent, made, tmp_path):
    with pytest.raises(InputError, match="no frames"):
        convert_to_fp16(parent, tmp_path / "fp16.onnx", lambda _: {})
    with pytest.raises(UsageError, match="expected an fp32 model"):
        convert_to_fp16(made.path, tmp_path / "fp16.onnx", lambda _: frames(3))
    with pytest.raises(UsageError, match="above 0 to 1"):
        convert_to_fp16(parent, tmp_path / "fp16.onnx", lambda _: frames(3), options=Fp16Options(agreement=2))
    with pytest.raises(UsageError, match="is the parent"):
        convert_to_fp16(parent, parent, lambda _: frames(3))
    sparse = write_parent(tmp_path / "sparse.onnx", sparse=True)
    with pytest.raises(UsageError, match="the sparse head, which is for CPUs"):
        convert_to_fp16(sparse, tmp_path / "fp16.onnx", lambda _: frames(3))
