"""Operators that onnxruntime's optimizer fuses, as those of ONNX that they were made of.

A file that was saved behind that optimizer holds a convolution, its bias, its activation and what is added to
it as one operator, which ONNX does not know.
"""

from __future__ import annotations

import onnx
from onnx import helper

__all__ = ["FUSED", "unfused"]

FUSED = frozenset({"FusedConv", "Gelu"})
_PARAMETERS = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}


def unfused(graph: onnx.GraphProto) -> None:
    """Write the fused operators of a graph as ONNX's, in place."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.domain != "com.microsoft" or node.op_type not in FUSED:
            nodes.append(node)
        elif node.op_type == "Gelu":
            nodes.extend(_gelu(graph, node))
        else:
            nodes.extend(_convolution(graph, node))
    del graph.node[:]
    graph.node.extend(nodes)


def _convolution(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Activation(Conv(x, weights, bias) + what is added)."""
    said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    activation = said.pop("activation", b"").decode()
    parameters = said.pop("activation_params", [])
    name = node.output[0]
    nodes = [helper.make_node("Conv", node.input[:3], [f"{name}/conv"], name=node.name, **said)]
    if len(node.input) > 3:
        nodes.append(helper.make_node("Add", [f"{name}/conv", node.input[3]], [f"{name}/sum"]))
    last = nodes[-1].output[0]
    if activation == "Clip":
        bounds = [f"{name}/bound_{place}" for place in range(2)]
        graph.initializer.extend(
            helper.make_tensor(bound, onnx.TensorProto.FLOAT, [], [value])
            for bound, value in zip(bounds, parameters, strict=True)
        )
        nodes.append(helper.make_node("Clip", [last, *bounds], [name]))
    else:
        told = dict(zip(_PARAMETERS.get(activation, ()), parameters, strict=False))
        nodes.append(helper.make_node(activation or "Identity", [last], [name], **told))
    return nodes


def _gelu(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The formula x / 2 (1 + erf(x / sqrt(2)))."""
    x, name = node.input[0], node.output[0]
    for constant, value in (("root", 2**0.5), ("one", 1.0), ("half", 0.5)):
        graph.initializer.append(
            helper.make_tensor(f"{name}/{constant}", onnx.TensorProto.FLOAT, [], [value])
        )
    steps = (
        ("Div", x, "root", "scaled"),
        ("Erf", f"{name}/scaled", "", "erf"),
        ("Add", f"{name}/erf", "one", "sum"),
        ("Mul", x, "half", "halved"),
    )
    nodes = [
        helper.make_node(op, [first, f"{name}/{second}"] if second else [first], [f"{name}/{result}"])
        for op, first, second, result in steps
    ]
    return [*nodes, helper.make_node("Mul", [f"{name}/halved", f"{name}/sum"], [name])]
