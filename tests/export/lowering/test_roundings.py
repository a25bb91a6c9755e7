import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fcn_edge_export.lowering.body import body_of, typed
from fcn_edge_export.lowering.prepared import Prepared
from fcn_edge_export.lowering.qdq import target_named
from fcn_edge_export.lowering.roundings import Rounding, layers_of, rounded_alone, roundings_of
from fcn_edge_export.lowering.sensitivity import ranked_groups


@pytest.fixture(scope="module")
def model():
    """One convolution, ReLU, pool, and two convolutions whose sum is classified."""
    weights = {name: (4, 3 if name == "one" else 4, 1, 1) for name in ("one", "two", "three", "last")}
    random = np.random.default_rng(0)

    def conv(name, source, target):
        return helper.make_node("Conv", [source, f"{name}.w"], [target], name=name)

    nodes = [
        conv("one", "normalized", "o"),
        helper.make_node("Relu", ["o"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2]),
        conv("two", "p", "w"),
        conv("three", "p", "h"),
        helper.make_node("Add", ["w", "h"], ["s"], name="sum"),
        conv("last", "s", "logits"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("normalized", 1, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("logits", 1, [1, 4, 15, 15])],
        [numpy_helper.from_array(random.normal(size=s).astype("f"), f"{n}.w") for n, s in weights.items()],
    )
    return typed(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


def test_a_layer_is_merged_with_its_relu(model):
    layers = layers_of(model, body_of(model))
    assert layers == {"one": {"one", "relu"}, "two": {"two"}, "three": {"three"}, "sum": {"sum"}}


def test_values_are_rounded_for_all_layers_around_them(model):
    around = {
        rounding.values: rounding for rounding in roundings_of(model, body_of(model)) if rounding.values
    }
    assert {values: rounding.layers for values, rounding in around.items()} == {
        ("normalized",): {"one"},
        ("r", "p"): {"one", "two", "three"},  # not "o", which is never stored
        ("w",): {"two", "sum"},
        ("h",): {"three", "sum"},
        ("s",): {"sum"},
    }
    assert around["r", "p"].passing == {"pool"}


def test_a_pool_between_layers_in_float_is_in_float(model):
    body = body_of(model)
    whole = Prepared(model, body, target_named("x86-vnni"), dict.fromkeys(body.tensors, (-4.0, 4.0)))
    mixed = whole.in_integers({"one", "two", "three"})
    rounded = {n.input[0] for n in mixed.graph.node if n.op_type == "QuantizeLinear"}
    assert rounded == {"w", "h", "s"}


@pytest.mark.parametrize("signed", [False, True])
def test_one_value_is_rounded_and_nothing_else(model, signed):
    one = next(r for r in roundings_of(model, body_of(model)) if r.values == ("w",))
    made = rounded_alone(model, one, {"w": (-4.0, 3.0)}, {}, signed=signed)
    onnx.checker.check_model(made, full_check=True)
    assert [n.input[0] for n in made.graph.node if n.op_type == "QuantizeLinear"] == ["w"]
    assert made.graph.initializer[: len(model.graph.initializer)] == model.graph.initializer[:]


def test_the_weights_of_one_layer_are_rounded_alone(model):
    weights = next(r for r in roundings_of(model, body_of(model)) if r.layers == {"two"} and not r.values)
    made = rounded_alone(model, weights, {}, {}, signed=False)
    node = next(n for n in made.graph.node if n.name == "two")
    constants = {c.name: numpy_helper.to_array(c) for c in made.graph.initializer}
    error = np.abs(constants[node.input[1]] - constants["two.w"])
    assert 0 < error.max() <= np.abs(constants["two.w"]).max() / 127 / 2 + 1e-6


def test_layers_that_undo_damage_together_are_kept_together():
    a, b, c = (Rounding(frozenset(layers), ("value",)) for layers in ("ab", "c", "bcd"))
    shares = {"a": 0.1, "b": 0.1, "c": 0.4, "d": 0.4}
    groups = ranked_groups((a, b, c), (0.5, 0.1, 0.2), shares)
    assert [[layer.name for layer in group] for group in groups] == [["a", "b"], ["c", "d"]]
    assert groups[0][1].damage == pytest.approx(0.7)  # around "b"
