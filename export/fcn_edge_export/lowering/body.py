"""The body of a model: the layers between normalization and classifier, which may be computed in integers.

    image --normalize--> [ body ] --classifier--> low logits --upsample--> logits --ArgMax--> labels

The classifier and everything behind it stay in float, because logits interpolated in 8 bits tie and band. The
classifier is the first convolution or matrix product on the way back from the logits; learned upsampling of
logits to logits is skipped. There may be several classifiers, as in FCN-8s and LR-ASPP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from fcn_edge_export.graph.names import LOGITS, LOGITS_LOW, TRACED_INPUT
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["OURS", "Body", "body_of", "constants_of", "drop_unused", "head_of", "read_by", "typed"]

# What onnxruntime computes in integers. It does not do so for transposed convolutions.
INTEGER_OPS = (
    "Conv",
    "Relu",
    "Clip",
    "Add",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
)
PRODUCTS = ("Conv", "Gemm", "MatMul", "Einsum")
OURS = "fcn_edge/"


@dataclass(frozen=True)
class Body:
    """The part of a model that may go into integers, by the names of its nodes, in the graph's order.

    Attributes:
        nodes: all nodes.
        convolutions: those with weights.
        additions: those that add two paths; each rounds its sum, which adds up in a residual network.
        classifiers: the products that give the logits; they stay in float.
        tensors: every value that a node of the body reads or gives, except constants.
    """

    nodes: tuple[str, ...]
    convolutions: tuple[str, ...]
    additions: tuple[str, ...]
    classifiers: tuple[str, ...]
    tensors: tuple[str, ...]


def typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose values have types and whose nodes have unique names, as a quantizer needs."""
    copy = onnx.shape_inference.infer_shapes(model)
    taken = {node.name for node in copy.graph.node}
    seen: set[str] = set()
    for index, node in enumerate(copy.graph.node):
        if not node.name or node.name in seen:
            name = f"{node.op_type}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)
        seen.add(node.name)
    return copy


def body_of(model: onnx.ModelProto) -> Body:
    """The body of a typed model.

    Raises:
        ArtifactError: the model has no tensor of logits, or no layer that can be computed in integers.
    """
    head, classifiers = head_of(model)
    constants = constants_of(model)
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    nodes = []
    for node in model.graph.node:
        ours = node.name.startswith(OURS) or node.name in head
        if ours or node.op_type not in INTEGER_OPS or types.get(node.output[0]) != TensorProto.FLOAT:
            continue
        if node.op_type == "Conv" and node.input[1] not in constants:
            continue  # weights computed at run time have no known scale
        if node.op_type in ("Add", "Concat") and any(name in constants for name in node.input):
            continue  # a constant is not an activation
        nodes.append(node)
    convolutions = tuple(n.name for n in nodes if n.op_type == "Conv")
    if not convolutions:
        raise ArtifactError("quantize: the model has no convolution before its classifier: nothing to gain")
    tensors = dict.fromkeys(
        name
        for node in nodes
        for name in (*(node.input[:1] if node.op_type in ("Conv", "Clip") else node.input), *node.output)
        if name and name not in constants
    )
    additions = tuple(n.name for n in nodes if n.op_type == "Add")
    return Body(tuple(n.name for n in nodes), convolutions, additions, classifiers, tuple(tensors))


def constants_of(model: onnx.ModelProto) -> Mapping[str, onnx.TensorProto]:
    """The model's constants by name."""
    return {constant.name: constant for constant in model.graph.initializer}


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove constants that no node reads, such as float weights that have integer copies."""
    used = {name for node in model.graph.node for name in read_by(node)}
    for constant in [c for c in model.graph.initializer if c.name not in used]:
        model.graph.initializer.remove(constant)


def read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Every name that a node reads, in its branches, too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for each in inner.node:
                yield from read_by(each)
            yield from (output.name for output in inner.output)


def head_of(model: onnx.ModelProto) -> tuple[set[str], tuple[str, ...]]:
    """Names of the nodes from the classifiers to the logits, and of the classifiers among them."""
    producer = {name: node for node in model.graph.node for name in node.output}
    start = next((name for name in (LOGITS, LOGITS_LOW) if name in producer), None)
    if start is None:
        raise ArtifactError(f"quantize: the model has no tensor called '{LOGITS}': export it again")
    constants = constants_of(model)
    head: set[str] = set()
    classifiers = []
    waiting = [start]
    while waiting:
        node = producer.get(waiting.pop())
        # A Shape node reads sizes, not values: it is not on the path of the logits.
        if node is None or node.name in head or node.op_type == "Shape" or TRACED_INPUT in node.output:
            continue
        head.add(node.name)
        if node.op_type in PRODUCTS or (
            node.op_type == "ConvTranspose" and not _keeps_channels(node, constants)
        ):
            classifiers.append(node.name)
        else:
            waiting.extend(node.input)
    return head, tuple(sorted(classifiers))


def _keeps_channels(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a transposed convolution keeps the number of channels: learned upsampling."""
    weight = constants.get(node.input[1])
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    return weight is not None and weight.dims[0] == weight.dims[1] * groups
