"""Shape arithmetic as constants, for compilers that take fixed shapes alone.

With a fixed size of the image every `Shape` is known, and so is what is computed from it alone: sizes to
resize to, amounts to pad. Nothing else is folded, so that the numbers of the network stay those that were
verified, and int8 weights stay int8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fcn_edge_export.lowering.body import drop_unused
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["with_fixed_shapes"]

Array = npt.NDArray[Any]
MOST_ELEMENTS = 64  # of a value that sizes are computed with
MOST_ROUNDS = 50  # each makes more shapes known; networks need two or three


def with_fixed_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes of all values in it, and constants in place of what was computed from shapes.

    Args:
        model: with inputs of fixed height and width.

    Raises:
        ArtifactError: onnx cannot tell its shapes.
    """
    found: dict[str, Array] = {}
    for _ in range(MOST_ROUNDS):
        try:
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception as error:
            raise ArtifactError(f"variant: onnx cannot tell the shapes of the graph: {error}") from error
        if not _fold(model, found):
            break
    drop_unused(model)
    return model


def _fold(model: onnx.ModelProto, found: dict[str, Array]) -> bool:
    """Replace, in place, each node that computes with known shapes alone by its constant; whether any was.

    Args:
        model: with the shapes of its values, as far as they are known.
        found: such constants so far; those of this round are added.
    """
    graph = model.graph
    small = {c.name: numpy_helper.to_array(c) for c in graph.initializer if np.prod(c.dims) <= MOST_ELEMENTS}
    shapes = _known_shapes(graph)
    outputs = {output.name for output in graph.output}
    before = len(found)
    for node in list(graph.node):
        value = _value_of(node, shapes, small, found, model)
        if value is not None and outputs.isdisjoint(node.output):
            found[node.output[0]] = value
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
            graph.node.remove(node)
    return len(found) > before


def _value_of(
    node: onnx.NodeProto,
    shapes: Mapping[str, tuple[int | None, ...]],
    small: Mapping[str, Array],
    found: Mapping[str, Array],
    model: onnx.ModelProto,
) -> Array | None:
    """What a node gives, where only known shapes and small constants decide it; None elsewhere."""
    if len(node.output) != 1:
        return None
    if node.op_type == "Shape":
        ends: dict[str, int] = {a.name: a.i for a in node.attribute}
        dims = shapes.get(node.input[0])
        part = None if dims is None else dims[ends.get("start", 0) : ends.get("end")]
        return None if part is None or None in part else np.array(part, np.int64)
    inputs = [name for name in node.input if name]
    if found.keys().isdisjoint(inputs) or any(name not in found and name not in small for name in inputs):
        return None
    given = {name: found[name] if name in found else small[name] for name in inputs}
    alone = helper.make_graph(
        [node],
        "alone",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in given.items()
        ],
        [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)],
    )
    single = helper.make_model(alone, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    values: Any = ReferenceEvaluator(single).run(None, given)
    value = np.asarray(values[0])
    return value if value.size <= MOST_ELEMENTS else None


def _known_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int | None, ...]]:
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes: dict[str, tuple[int | None, ...]] = {c.name: tuple(c.dims) for c in graph.initializer}
    for value in values:
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            shapes[value.name] = tuple(
                d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim
            )
    return shapes
