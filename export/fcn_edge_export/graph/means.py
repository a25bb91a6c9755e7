"""Means over a whole map, taken of each row first and then of the means.

onnxruntime adds up all values of a mean in one go, which loses digits of float32: 4e-4 at 4 megapixels. The
simplifier also merges the means of means that norms are traced as, so this comes after it.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

__all__ = ["split_means"]


def split_means(model: onnx.ModelProto) -> None:
    """Replace each mean over several known axes by means over one axis each, the last first, in place."""
    graph = model.graph
    constants = {i.name: i for i in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        axes = _axes(node, constants)
        if len(axes) < 2:
            nodes.append(node)
            continue
        value = node.input[0]
        for position, axis in enumerate(axes):
            name = f"mean_of_axis_{axis}"
            if name not in constants:
                constants[name] = helper.make_tensor(name, onnx.TensorProto.INT64, [1], [axis])
                graph.initializer.append(constants[name])
            last = position == len(axes) - 1
            output = node.output[0] if last else f"{node.output[0]}_{position}"
            label = node.name if last else f"{node.name}_{position}"
            nodes.append(helper.make_node("ReduceMean", [value, name], [output], name=label, keepdims=1))
            value = output
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    for index in reversed(range(len(graph.initializer))):  # one by one: weights are not copied
        if graph.initializer[index].name not in read:
            del graph.initializer[index]


def _axes(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> list[int]:
    """The axes of a mean that keeps them, the last first; empty for any other node."""
    keeps = all(a.i for a in node.attribute if a.name == "keepdims")
    if node.op_type != "ReduceMean" or not keeps or len(node.input) < 2 or node.input[1] not in constants:
        return []
    axes = [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]])]
    same_sign = all(axis >= 0 for axis in axes) or all(axis < 0 for axis in axes)
    return sorted(axes, reverse=True) if same_sign else []
