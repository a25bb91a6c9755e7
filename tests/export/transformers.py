"""A transformer of one block, hand-written: Color -> class by tokens of 8x8 pixels, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET

PATCH = 8
COLORS = np.arange(3)
PRODUCTS = ("query", "key", "value", "project", "expand", "reduce", "summary")


def transformer(*, outlier: float = 0.0, width: int = 48, hidden: int = 192) -> onnx.ModelProto:
    """Patches, a summary of all tokens, attention, a multilayer perceptron, a classifier, upsampling.

    `outlier` is what one feature between the perceptron's products is multiplied by, read by no one.
    """
    made = _Graph()
    random = np.random.default_rng(0)

    def small(*shape: int) -> np.ndarray:
        return random.normal(0, 0.05, shape).astype(np.float32)

    patches = small(width, 3, PATCH, PATCH) / 64
    patches[COLORS, COLORS] += 1 / PATCH**2
    pads, strides = [0, 0, PATCH - 1, PATCH - 1], [PATCH, PATCH]
    made.add("Conv", [TRACED_INPUT, patches, small(width)], "map", name="patches", pads=pads, strides=strides)
    made.add("Shape", ["map"], "map_size")
    made.add("Reshape", ["map", np.array([0, width, -1])], "rows")
    made.add("Transpose", ["rows"], "tokens", perm=[0, 2, 1])

    made.add("ReduceMean", ["tokens", np.array([1])], "mean", keepdims=0)
    made.add("Gemm", ["mean", small(width, width), small(width)], "summed", name="summary", transB=1)
    made.add("Unsqueeze", ["summed", np.array([1])], "context")
    made.add("Add", ["tokens", "context"], "informed", name="add_summary")

    made.add("LayerNormalization", ["informed", np.ones(width, np.float32), small(width)], "normal", axis=-1)
    for name in ("query", "key", "value"):
        made.linear(name, "normal", name, small(width, width), small(width))
    made.add("Transpose", ["key"], "keys", perm=[0, 2, 1])
    made.add("MatMul", ["query", "keys"], "alike", name="attention")
    made.add("Softmax", ["alike"], "shares", axis=-1)
    made.add("MatMul", ["shares", "value"], "attended", name="attended")
    made.linear("project", "attended", "projected", small(width, width), small(width))
    made.add("Add", ["informed", "projected"], "stream", name="add_attention")

    made.add("LayerNormalization", ["stream", np.ones(width, np.float32), small(width)], "again", axis=-1)
    expand, reduce = small(width, hidden), small(hidden, width)
    expand[COLORS, COLORS + 1] = reduce[COLORS + 1, COLORS + 3] = 1  # what the classifier reads
    if outlier:
        expand[:, 0] *= outlier
        reduce[0] = 0
    made.linear("expand", "again", "expanded", expand, small(hidden))
    made.gelu("expanded", "active")
    made.linear("reduce", "active", "reduced", reduce, small(width))
    made.add("Add", ["stream", "reduced"], "seen", name="add_perceptron")

    made.add("Transpose", ["seen"], "planes", perm=[0, 2, 1])
    made.add("Reshape", ["planes", "map_size"], "back")
    classifier = np.zeros((3, width, 1, 1), np.float32)
    classifier[COLORS, COLORS + 3] = 4
    made.add("Conv", ["back", classifier, np.zeros(3, np.float32)], "low", name="classifier")
    made.add("Shape", [TRACED_INPUT], "hw", start=2, end=4)
    made.add("Shape", ["low"], "nk", start=0, end=2)
    made.add("Concat", ["nk", "hw"], "size", axis=0)
    made.add("Resize", ["low", "", "", "size"], LOGITS, mode="linear")
    return made.model()


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: Sequence[Any], output: str, **attributes: Any) -> None:
        names = []
        for value in inputs:
            if isinstance(value, np.ndarray):
                self.constants.append(numpy_helper.from_array(value, f"c{len(self.constants)}"))
                names.append(self.constants[-1].name)
            else:
                names.append(value)
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))

    def linear(self, name: str, source: str, target: str, weight: np.ndarray, bias: np.ndarray) -> None:
        self.add("MatMul", [source, weight], f"{name}_product", name=name)
        self.add("Add", [f"{name}_product", bias], target, name=f"{name}_bias")

    def gelu(self, source: str, target: str) -> None:
        self.add("Div", [source, np.array(2**0.5, np.float32)], "scaled")
        self.add("Erf", ["scaled"], "erf")
        self.add("Add", ["erf", np.array(1, np.float32)], "above")
        self.add("Mul", [source, "above"], "double")
        self.add("Mul", ["double", np.array(0.5, np.float32)], target)

    def model(self) -> onnx.ModelProto:
        size = ["batch", 3, "height", "width"]
        image = helper.make_tensor_value_info(TRACED_INPUT, TensorProto.FLOAT, size)
        logits = helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, size)
        graph = helper.make_graph(self.nodes, "transformer", [image], [logits], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
