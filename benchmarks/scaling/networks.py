"""Files of one network with any number of classes, in milliseconds: only their last layer differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fcn_edge_export.artifact import assemble
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.graph.graft import graft
from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.gate import logits_of
from fcn_edge_export.simplify import operators
from fcn_edge_export.verification.golden_vectors import golden_vectors
from fcn_edge_runtime.model.card import Card, InputSpec, VerificationInfo
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET
from fcn_edge_runtime.session.session import open_session

__all__ = ["write_network"]

_WIDTH = 32


def write_network(path: Path, classes: int) -> Path:
    """A sealed file with random weights: convolutions at a quarter of the size, and upsampling."""
    card = Card(
        f"{classes} classes",
        numbered_classes(classes),
        InputSpec.default(),
        verification=VerificationInfo(verdict="passed", providers=("CPUExecutionProvider",)),
    )
    model = graft(_network(classes), card)
    card = replace(card, operators=operators(model))
    probe = open_session(with_logits_output(model), "cpu")
    path.write_bytes(assemble(model, card, golden_vectors(logits_of(probe), probe, card, 1e-3, smallest=1)))
    return path


def _network(classes: int) -> ModelProto:
    random = np.random.default_rng(0)
    shapes = {"first": (_WIDTH, 3, 3), "second": (_WIDTH, _WIDTH, 3), "classifier": (classes, _WIDTH, 1)}
    weights = []
    for name, (out, into, side) in shapes.items():
        scale = np.sqrt(2 / (into * side * side))
        weights.append((f"{name}.weight", random.normal(0, scale, (out, into, side, side))))
        weights.append((f"{name}.bias", np.zeros(out)))
    half: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    nodes = [
        helper.make_node("Conv", [TRACED_INPUT, "first.weight", "first.bias"], ["a"], name="first", **half),
        helper.make_node("Relu", ["a"], ["b"], name="first_relu"),
        helper.make_node("Conv", ["b", "second.weight", "second.bias"], ["c"], name="second", **half),
        helper.make_node("Relu", ["c"], ["d"], name="second_relu"),
        helper.make_node("Conv", ["d", "classifier.weight", "classifier.bias"], ["low"], name="classifier"),
        helper.make_node("Shape", [TRACED_INPUT], ["hw"], name="hw", start=2, end=4),
        helper.make_node("Shape", ["low"], ["nk"], name="nk", start=0, end=2),
        helper.make_node("Concat", ["nk", "hw"], ["size"], name="size", axis=0),
        helper.make_node(
            "Resize",
            ["low", "", "", "size"],
            [LOGITS],
            name="up",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(TRACED_INPUT, TensorProto.FLOAT, _shape(3))],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, _shape(classes))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _shape(channels: int) -> list[str | int | None]:
    return ["batch", channels, "height", "width"]
