"""The work of a network: multiply-accumulates of every product in its graph, for one image.

    Conv           output elements x weights of one output channel
    ConvTranspose  input elements x weights of one input channel
    MatMul, Gemm   output elements x length of the sums
    Einsum         product of the lengths of all its indices

Shapes are those that the graph computes for the image, so a file with a working size counts the work at that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import prod
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from fcn_edge_runtime.session.session import open_session

__all__ = ["integer_share", "of_integers", "shapes_of", "work_of"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum")


def work_of(model: onnx.ModelProto, image: Array) -> dict[str, int]:
    """Multiply-accumulates of each product by the name of its node, for an image (N, H, W, C).

    Args:
        model: its nodes have unique names, see `body.typed`.
        image: in the card's dtype.
    """
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    read = {name for node in products for name in (*node.input[:2], node.output[0])}
    shapes = shapes_of(model, sorted(read), image)
    return {node.name: _multiplications(node, shapes) for node in products}


def integer_share(work: Mapping[str, int], integers: AbstractSet[str]) -> float:
    """The share of the work in the nodes named, 0..1."""
    return sum(work[name] for name in integers) / sum(work.values())


def of_integers(model: onnx.ModelProto) -> set[str]:
    """The names of the products of two values that QuantizeLinear had made integers."""
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    return {
        node.name
        for node in model.graph.node
        if node.op_type in PRODUCTS and all(made.get(n) == "DequantizeLinear" for n in node.input[:2])
    }


def shapes_of(model: onnx.ModelProto, values: Sequence[str], image: Array) -> dict[str, Shape]:
    """The shape of each value or constant of a model, for an image (N, H, W, C)."""
    more = onnx.ModelProto()
    for index, name in enumerate(values):
        size = f"fcn_edge/size/{index}"
        more.graph.node.append(helper.make_node("Shape", [name], [size]))
        more.graph.output.append(helper.make_tensor_value_info(size, TensorProto.INT64, [None]))
    # Concatenated protobuf messages are merged, so no copy of the weights is made.
    session = open_session(model.SerializeToString() + more.SerializeToString(), "cpu")
    found = session.run(image, [output.name for output in more.graph.output])
    return {
        name: tuple(int(side) for side in shape) for name, shape in zip(values, found.values(), strict=True)
    }


def _multiplications(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    first, second, out = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":
        return prod(out) * prod(second[1:])
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(second[1:])
    if node.op_type == "Einsum":
        return prod(_lengths(node, (first, second)).values())
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(out) * first[0 if transposed else -1]


def _lengths(node: onnx.NodeProto, shapes: Sequence[Shape]) -> dict[object, int]:
    """The length of each index of an Einsum; what stands for `...` is counted from the right."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    lengths: dict[object, int] = {}
    for term, shape in zip(equation.partition("->")[0].split(","), shapes, strict=True):
        before, dots, after = term.partition("...")
        inner = len(shape) - len(before) - len(after) if dots else 0
        names = (*before, *range(-inner, 0), *after)
        for name, length in zip(names, shape, strict=True):
            lengths[name] = max(length, lengths.get(name, 1))
    return lengths
