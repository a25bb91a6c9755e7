"""Means over a whole map, taken of each row first and then of the means.

onnxruntime adds up all values of a mean in one go, which loses digits of float32: 4e-4 at 4 megapixels. The
simplifier also merges the means of means that norms are traced as, so this comes after it.
"""

from __future__ import annotations

import onnx
import onnx.shape_inference
from onnx import helper, numpy_helper

__all__ = ["split_means"]


def split_means(model: onnx.ModelProto) -> None:
    """Replace each mean over several known axes by means over one axis each, the last first, in place."""
    graph = model.graph
    constants = {i.name: i for i in graph.initializer}
    ranks = _ranks(model) if any(_of_all(node) for node in graph.node) else {}
    nodes: list[onnx.NodeProto] = []

    def constant_of(axes: list[int]) -> str:
        name = f"mean_of_axis_{axes[0]}" if len(axes) == 1 else f"axes_of_mean_{'_'.join(map(str, axes))}"
        if name not in constants:
            constants[name] = helper.make_tensor(name, onnx.TensorProto.INT64, [len(axes)], axes)
            graph.initializer.append(constants[name])
        return name

    for node in graph.node:
        axes = _axes(node, constants, ranks)
        if len(axes) < 2:
            nodes.append(node)
            continue
        keeps = all(a.i for a in node.attribute if a.name == "keepdims")
        value = node.input[0]
        for position, axis in enumerate(axes):
            last = keeps and position == len(axes) - 1
            output = node.output[0] if last else f"{node.output[0]}_{position}"
            label = node.name if last else f"{node.name}_{position}"
            nodes.append(
                helper.make_node("ReduceMean", [value, constant_of([axis])], [output], name=label, keepdims=1)
            )
            value = output
        if not keeps:
            nodes.append(
                helper.make_node("Squeeze", [value, constant_of(axes)], [node.output[0]], name=node.name)
            )
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    for index in reversed(range(len(graph.initializer))):  # one by one: weights are not copied
        if graph.initializer[index].name not in read:
            del graph.initializer[index]


def _axes(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], ranks: dict[str, int]) -> list[int]:
    """The known axes of a mean, the last first; empty for any other node."""
    if _of_all(node):
        return list(reversed(range(ranks.get(node.input[0], 0))))
    if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in constants:
        return []
    axes = [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]])]
    same_sign = all(axis >= 0 for axis in axes) or all(axis < 0 for axis in axes)
    return sorted(axes, reverse=True) if same_sign else []


def _of_all(node: onnx.NodeProto) -> bool:
    """Whether it is a mean over all axes."""
    none = len(node.input) < 2 or not node.input[1]
    alone = any(a.name == "noop_with_empty_axes" and a.i for a in node.attribute)
    return node.op_type == "ReduceMean" and none and not alone


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """How many axes each tensor has, where that is known."""
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    return {v.name: len(v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}
