from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fcn_edge_export.lowering.body import body_of, typed
from fcn_edge_export.lowering.optimized_graph import fused_graph
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.session import SessionOptions, open_session
from tests.export.parents import agreement, blocks, frames, write_parent
from tests.export.transformers import PRODUCTS, transformer


def made_of(parent, folder, **options):
    return quantize(
        parent,
        folder / "int8.onnx",
        lambda _: frames(20),
        options=QuantizeOptions(allow_slower=True, **options),
    )


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    path = tmp_path_factory.mktemp("parent") / "tokens.onnx"
    return write_parent(path, ("labels", "logits"), model=transformer())


@pytest.fixture(scope="module")
def made(parent, tmp_path_factory):
    return made_of(parent, tmp_path_factory.mktemp("int8"))


def test_an_int8_transformer_decides_like_its_parent(parent, made):
    assert agreement(parent, made.path) > 0.98
    assert made.agreement >= 0.99
    assert made.kept_in_float == ()


def test_onnxruntime_multiplies_tokens_in_integers(made):
    counts = Counter(node.op_type for node in fused_graph(onnx.load(made.path)).node)
    assert made.float_products == ()
    assert counts["MatMulIntegerToFloat"] == 6
    assert counts["QGemm"] == 1
    assert counts["Conv"] == 2  # tokens are made of patches in float, and classified in float
    assert counts["MatMul"] + counts["FusedMatMul"] == 2  # attention multiplies two activations
    assert counts["LayerNormalization"] == 2
    assert counts["QLinearAdd"] == 0


def test_matrix_products_count_as_work_in_integers(made):
    tokens = 6 * 8
    patches, attention, classifier = tokens * 48 * 192, 2 * tokens * tokens * 48, tokens * 48 * 3
    integers = tokens * (4 * 48 * 48 + 2 * 48 * 192) + 48 * 48
    whole = patches + attention + classifier + integers
    assert made.integer_share == pytest.approx(integers / whole)


def test_frames_of_one_size_are_multiplied_in_integers(made, tmp_path):
    # Where all shapes are known, onnxruntime would merge a product with its bias into a Gemm of floats.
    fixed = SessionOptions(size=(48, 64), profile_prefix=str(tmp_path / "profile"))
    with ModelFile.open(made.path) as file:
        session = open_session(file, "cpu", options=fixed)
    session.run(blocks(seed=3)[None], ["labels"])
    profile = Path(session.raw.end_profiling()).read_text()
    assert profile.count('"MatMulIntegerToFloat"') >= 6


def test_weights_are_rounded_for_each_column(made):
    weights = [
        numpy_helper.to_array(c)
        for c in onnx.load(made.path).graph.initializer
        if c.data_type == onnx.TensorProto.INT8 and c.dims[:] == [48, 192]
    ]
    assert [np.abs(w.astype(int)).max(axis=0).min() > 110 for w in weights] == [True]


def test_a_product_damaged_by_eight_bits_is_kept_in_float(tmp_path):
    parent = write_parent(tmp_path / "outlier.onnx", model=transformer(outlier=20000.0))
    made = made_of(parent, tmp_path, method="minmax", allow_mostly_float=True)
    assert {layer.name for layer in made.kept_in_float} == {"reduce"}
    left = {n.name for n in fused_graph(onnx.load(made.path)).node if n.op_type == "MatMul"}
    assert "reduce" in left
    weights = {tuple(c.dims) for c in onnx.load(made.path).graph.initializer if c.data_type == 1}
    assert (192, 48) in weights
    assert made.agreement >= 0.99


def test_tokens_are_not_multiplied_with_saturation(tmp_path):
    parent = write_parent(tmp_path / "tokens.onnx", ("labels", "logits"), model=transformer())
    made = made_of(parent, tmp_path, target="x86")
    weights = [
        numpy_helper.to_array(c)
        for c in onnx.load(made.path).graph.initializer
        if c.data_type == onnx.TensorProto.INT8 and c.dims
    ]
    assert len(weights) >= len(PRODUCTS)
    assert max(np.abs(w.astype(int)).max() for w in weights) <= 64


def test_patches_and_sums_of_tokens_stay_in_float():
    body = body_of(typed(_grafted()))
    assert set(body.products) == set(PRODUCTS)
    assert body.additions == ()


def _grafted():
    from fcn_edge_export.classes import numbered_classes
    from fcn_edge_export.graph.graft import graft
    from fcn_edge_runtime.model.card import Card, InputSpec

    return graft(transformer(), Card("tokens", numbered_classes(3), InputSpec.default()), ("labels",))
