"""An int8 file reads the image's bytes directly: no number is computed before its first convolution."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.graph.graft import graft
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.body import body_of, typed
from fcn_edge_export.lowering.fold_normalization import folded
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.session.session import open_session
from tests.export.parents import blocks, frames, network, write_parent


def entered(spec, *, signed=False, multiple=1, net=None):
    """(a float model, the same with its normalization folded in)."""
    card = Card("colors", numbered_classes(3), spec)
    model = typed(graft(net or network(), card, multiple=multiple))
    return model, folded(model, body_of(model), spec, signed=signed)


def attribute_of(net, name):
    stem = next(node for node in net.graph.node if node.name == "stem")
    return next(attribute for attribute in stem.attribute if attribute.name == name)


def logits(model, image):
    return open_session(with_logits_output(model), "cpu").run(image, ["logits"])["logits"]


def ops_between_image_and(model, name):
    made = {output: node for node in model.graph.node for output in node.output}
    at = next(node for node in model.graph.node if node.name == name)
    ops = []
    while at.input[0] in made:
        at = made[at.input[0]]
        ops.append(at.op_type)
    return ops


def test_an_int8_file_reads_bytes_in_its_first_layer(tmp_path):
    parent = write_parent(tmp_path / "parent.onnx")
    assert ops_between_image_and(onnx.load(parent), "stem") == ["Add", "Mul", "Cast", "Transpose"]
    made = quantize(
        parent, tmp_path / "int8.onnx", lambda _: frames(20), options=QuantizeOptions(allow_slower=True)
    )
    assert ops_between_image_and(onnx.load(made.path), "stem") == ["DequantizeLinear", "Pad", "Transpose"]
    assert made.agreement >= 0.99


def test_a_mean_of_white_leaves_finite_weights():
    spec = InputSpec(3, "uint8", 1.0, (255.0, 254.5, 254.5), (60.0, 60.0, 60.0))
    _, entry = entered(spec)
    weights = [numpy_helper.to_array(i) for i in entry.model.graph.initializer if "raw" in i.name]
    assert weights
    assert all(np.isfinite(weight).all() for weight in weights)


def test_an_int8_file_is_valid_onnx(tmp_path):
    parent = write_parent(tmp_path / "parent.onnx")
    for target in ("x86", "x86-vnni", "gpu"):
        path = tmp_path / f"{target}.onnx"
        quantize(
            parent, path, lambda _: frames(20), options=QuantizeOptions(target=target, allow_slower=True)
        )
        onnx.checker.check_model(onnx.load(path), full_check=True)


def test_no_float_copy_of_the_image_is_made_for_its_size(tmp_path):
    parent = write_parent(tmp_path / "parent.onnx")
    made = quantize(
        parent, tmp_path / "int8.onnx", lambda _: frames(20), options=QuantizeOptions(allow_slower=True)
    )
    nodes = onnx.load(made.path).graph.node
    read = [node.input[0] for node in nodes if node.op_type == "Shape"]
    assert "fcn_edge/planes" in read
    assert not {n.output[0] for n in nodes if n.op_type == "DequantizeLinear"} & set(read)


@pytest.mark.parametrize(
    "mean", [(0.485, 0.456, 0.406), (0.9, 0.1, 0.5), (0.4,) * 3], ids=["imagenet", "colored", "gray"]
)
@pytest.mark.parametrize("pads", [[1] * 4, [0] * 4, [100] * 4], ids=["padded", "unpadded", "wide"])
def test_folded_logits_are_the_parents_up_to_the_border(mean, pads):
    net = network()
    attribute_of(net, "pads").ints[:] = pads
    model, entry = entered(dataclasses.replace(InputSpec.default(), mean=mean), net=net)
    image = blocks(61, 83)[None]
    whole = logits(model, image)
    np.testing.assert_allclose(logits(entry.model, image), whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_padding_by_its_name_is_padding_too():
    net = network()
    stem = next(node for node in net.graph.node if node.name == "stem")
    stem.attribute.remove(attribute_of(net, "pads"))
    stem.attribute.append(helper.make_attribute("auto_pad", "SAME_UPPER"))
    model, entry = entered(InputSpec.default(), net=net)
    image = blocks(64, 96)[None]
    whole = logits(model, image)
    np.testing.assert_allclose(logits(entry.model, image), whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_a_convolution_without_a_bias_gets_one():
    net = network()
    del next(node for node in net.graph.node if node.name == "stem").input[2]
    model, entry = entered(dataclasses.replace(InputSpec.default(), mean=(0.4,) * 3), net=net)
    image = blocks()[None]
    whole = logits(model, image)
    np.testing.assert_allclose(logits(entry.model, image), whole, rtol=0, atol=1e-4 * np.abs(whole).max())


def deep(spec):
    return dataclasses.replace(spec, dtype="uint16", scale=1 / 65535)


def real(spec):
    return dataclasses.replace(spec, dtype="float32")


@pytest.mark.parametrize(
    ("change", "options"),
    [(deep, {}), (real, {}), (lambda s: s, {"signed": True}), (lambda s: s, {"multiple": 32})],
    ids=["uint16", "float32", "signed activations", "padded to a multiple"],
)
def test_other_inputs_keep_their_normalization(change, options):
    model, entry = entered(change(InputSpec.default()), **options)
    assert entry.model is model


def read_twice(net):
    net.graph.node.insert(0, helper.make_node("Relu", ["normalized"], ["unread"], name="reader"))


def test_other_readers_of_the_image_keep_the_normalization():
    net = network()
    read_twice(net)
    model, entry = entered(InputSpec.default(), net=net)
    assert entry.model is model
