"""A file that is bound to one image size only because it was exported so, as one of any size.

A size that is written into a Resize becomes a scale where the map grows or shrinks by a whole factor. Other
operators that hold a size would compute something else at another one, so such a file is left as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, shape_inference

from fcn_edge_export.adoption.file import OnnxFile
from fcn_edge_export.brevity import listed
from fcn_edge_runtime.errors import UsageError

__all__ = ["AS_IT_IS", "loosened"]

_USUAL = 4  # side of a kernel that pools of networks mostly have
_FEW = 8  # cells of a side, to which maps are pooled
_MANY = 64  # fewer pixels than these are also other numbers

AS_IT_IS = "adopt it without --dynamic, and images are resized inside to the size that it takes"


def loosened(file: OnnxFile) -> OnnxFile:
    """The file without its fixed image size.

    Raises:
        UsageError: sizes are written into its operators, so that at others it would compute something else.
    """
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    graph = model.graph
    inferred = shape_inference.infer_shapes(file.model).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    constants = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if (scales := _scales(node, shapes, producers, constants)) is not None:
            graph.initializer.append(numpy_helper.from_array(scales, f"{node.output[0]}/scales"))
            del node.input[2:]
            node.input.append(graph.initializer[-1].name)
    pyramids = _pyramids(graph)
    bound = [
        f"{node.op_type} {node.name[:40]!r}"
        for node in graph.node
        if _constant_size(node, producers, constants)
        or _holds_a_size(node, shapes, constants)
        or (node.op_type == "AveragePool" and node.input[0] in pyramids)
    ]
    if bound:
        raise UsageError(
            f"{file.path} has its image size written into its operators ({listed(bound)}): {AS_IT_IS}"
        )
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            if value.name != file.input or index in ((2, 3) if file.layout == "NCHW" else (1, 2)):
                dim.Clear()
    return replace(file, model=model, size=None)


def _scales(
    node: onnx.NodeProto,
    shapes: dict[str, list[int]],
    producers: dict[str, onnx.NodeProto],
    constants: dict[str, onnx.TensorProto],
) -> npt.NDArray[np.float32] | None:
    """By which whole factors a resize to a constant size enlarges its map; None if it does not."""
    before = shapes.get(node.input[0], [])
    after = _constant_size(node, producers, constants)
    if after is None or any(a.name == "axes" for a in node.attribute):
        return None
    after = [*before[: len(before) - len(after)], *after]
    if any(b < 1 or a % b or b == 1 < a for a, b in zip(after, before, strict=True)):
        return None
    return np.array([a // b for a, b in zip(after, before, strict=True)], np.float32)


def _constant_size(
    node: onnx.NodeProto, producers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> list[int] | None:
    """The size to which a node resizes, or the last part of it where the first is read off a map."""
    if node.op_type != "Resize" or len(node.input) < 4:
        return None
    made = producers.get(node.input[3])
    name = made.input[-1] if made is not None and made.op_type == "Concat" else node.input[3]
    return numpy_helper.to_array(constants[name]).reshape(-1).tolist() if name in constants else None


def _pyramids(graph: onnx.GraphProto) -> set[str]:
    """Maps that are pooled by several kernels: to grids of a fixed number of cells, at this one size."""
    kernels: dict[str, set[tuple[int, ...]]] = {}
    for node in graph.node:
        if node.op_type == "AveragePool":
            kernel = next((tuple(a.ints) for a in node.attribute if a.name == "kernel_shape"), ())
            kernels.setdefault(node.input[0], set()).add(kernel)
    return {name for name, found in kernels.items() if len(found) > 1}


def _counts(number: float, shapes: dict[str, list[int]]) -> bool:
    """Whether a number is that of the pixels of a map, or 1 by it: a mean is a sum divided by it."""
    pixels = {shape[-2] * shape[-1] for shape in shapes.values() if len(shape) == 4}
    return any(np.isclose(number, (n, 1 / n), rtol=1e-6, atol=0).any() for n in pixels if n > _MANY)


def _holds_a_size(
    node: onnx.NodeProto, shapes: dict[str, list[int]], constants: dict[str, onnx.TensorProto]
) -> bool:
    """Whether an operator holds a size: a pool to a few cells, a count of pixels, or a cut."""
    if node.op_type in ("AveragePool", "MaxPool"):
        kernel = next((list(a.ints) for a in node.attribute if a.name == "kernel_shape"), [])
        before, after = (shapes.get(name, [])[2:] for name in (node.input[0], node.output[0]))
        to_cells = before == [k * cells for k, cells in zip(kernel, after, strict=False)]
        few = min(kernel, default=0) > _USUAL and max(after, default=_FEW + 1) <= _FEW
        return bool(kernel) and (kernel == before or (to_cells and few))
    if node.op_type in ("Mul", "Div"):
        numbers = [numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
        return any(n.size == 1 and _counts(float(n.ravel()[0]), shapes) for n in numbers)
    if node.op_type == "Slice" and len(node.input) > 3 and {*node.input[2:4]} <= {*constants}:
        ends, axes = (numpy_helper.to_array(constants[name]).reshape(-1) for name in node.input[2:4])
        return any(axis in (2, 3, -1, -2) and 0 < end < 1 << 30 for end, axis in zip(ends, axes, strict=True))
    return False
