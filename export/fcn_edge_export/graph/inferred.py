"""The shapes of a network's values at one size, inferred from the graph without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx
from onnx import helper, shape_inference

__all__ = ["inferred_shapes"]

_FEW = 64  # elements of a constant that may be a size


def inferred_shapes(network: onnx.ModelProto, image: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
    """The shape of each value that ONNX's inference knows in full; none where it fails.

    Args:
        network: of one input.
        image: the shape of that input.
    """
    only = onnx.ModelProto(ir_version=network.ir_version, opset_import=network.opset_import)
    graph = only.graph
    graph.name = "shapes"
    graph.node.extend(network.graph.node)
    for tensor in network.graph.initializer:
        if prod(tensor.dims) <= _FEW:
            graph.initializer.append(tensor)
        else:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    given = network.graph.input[0]
    kind = given.type.tensor_type.elem_type
    graph.input.append(helper.make_tensor_value_info(given.name, kind, image))
    graph.output.extend(
        helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, None)
        for output in network.graph.output
    )
    try:
        inferred = shape_inference.infer_shapes(only, data_prop=True).graph
    except Exception:  # noqa: BLE001 (onnx's errors derive from Exception alone)
        return {}
    shapes = {v.name: v.type.tensor_type.shape.dim for v in (*inferred.value_info, *inferred.output)}
    return {
        name: tuple(side.dim_value for side in sides)
        for name, sides in shapes.items()
        if sides and all(side.HasField("dim_value") for side in sides)
    }
