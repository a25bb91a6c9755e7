"""Folds the normalization into the first convolution, so that an int8 file reads the image's bytes directly.

    image --Cast, Mul, Add--> Conv(W, b)    becomes    image --minus zero point--> Conv(W s / std, b')

    W ((p s - mean) / std) + b  =  (W s / std) (p - z)  +  b + sum of W (z s - mean) / std

Bytes p with scale 1 and zero point z are what an integer convolution takes, so nothing is computed before it
and no pixel is rounded a second time. z is the byte nearest to the channels' mean colors.

Where a convolution pads, its zeros stand for the mean color of each channel, and then would stand for z. So
b stays, and the sum of W (z s - mean) / std comes from one more channel: a constant of the image, which is
zero where the convolution pads. Without it `corridor` loses 0.12 % of its labels before any layer is in
integers, along the borders of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_export.graph.names import TRACED_INPUT
from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_export.lowering.body import Body, constants_of, drop_unused
from fcn_edge_export.lowering.ranges import Range
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["FoldedModel", "folded", "without_rounding"]

PLANES = "fcn_edge/planes"  # the image's bytes, channels first
BORDERED = "fcn_edge/bordered"  # the same with a constant channel
FLOAT = "fcn_edge/float"
ZERO_POINT = "zero_point"
TOP = 255


@dataclass(frozen=True)
class FoldedModel:
    """The float model whose body will be quantized, and the range of its input.

    Attributes:
        model: as given, or with its normalization folded in.
        input_range: of the tensor that the network takes; None where it must be calibrated.
    """

    model: onnx.ModelProto
    input_range: Range | None

    @property
    def known(self) -> dict[str, Range]:
        """Ranges that need no calibration, by the names of their tensors."""
        return {} if self.input_range is None else {TRACED_INPUT: self.input_range}


def folded(model: onnx.ModelProto, body: Body, spec: InputSpec, *, signed: bool) -> FoldedModel:
    """The model with its normalization folded into its first convolutions, where that is possible.

    It is not possible where the image is not uint8, is padded or resized before the network, where
    activations are signed, or where anything but a convolution of the body, of one group, reads the image.

    Args:
        model: typed, see `body.typed`; it is not changed.
        body: of this model.
        spec: the card's input formula.
        signed: whether activations will be int8 without a zero point.
    """
    first = _first_convolutions(model, body)
    if signed or spec.dtype != "uint8" or not first:
        return FoldedModel(model, _normalized_range(spec))
    mean, std = np.array(spec.mean, np.float64), np.array(spec.std, np.float64)
    zero = int(np.clip(np.rint(np.mean(mean) / spec.scale), 0, TOP - 1))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = constants_of(model)
    shift = zero * spec.scale - mean
    convolutions = [node for node in copy.graph.node if node.name in first]
    bordered = any(_pads(node) for node in convolutions) and bool((shift / spec.scale).any())
    # Of a size with which the weights of the constant channel are no larger than the others.
    constant = int(np.clip(np.ceil(np.abs(shift).sum() / spec.scale), 1, TOP - zero)) if bordered else 0
    for node in convolutions:
        weight = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64)
        bias = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else 0.0
        scaled = weight * (spec.scale / std)[:, None, None]
        moved = (weight * (shift / std)[:, None, None]).sum(1)
        if bordered:
            scaled = np.concatenate([scaled, moved[:, None] / constant], 1)
            bias = np.broadcast_to(bias, len(weight))
        else:
            bias = bias + moved.sum((1, 2))
        names = [f"fcn_edge/raw/{node.name}/weight", f"fcn_edge/raw/{node.name}/bias"]
        for name, value in zip(names, (scaled, bias), strict=True):
            copy.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        node.input[:] = [node.input[0], *names]
    _replace_formula(copy, zero, constant)
    return FoldedModel(copy, (float(-zero), float(TOP - zero)))


def without_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Connect the image's bytes to what dequantizes them, in place: rounding would not change them.

    A model whose first convolution stays in float is not changed.
    """
    made = {node.output[0]: node for node in model.graph.node}
    centered = made.get(TRACED_INPUT)
    if centered is None or centered.op_type != "Sub":
        return model
    rounding = [n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == TRACED_INPUT]
    others = [n for n in model.graph.node if TRACED_INPUT in n.input and n not in rounding]
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    zero = constants[centered.input[1]]
    if any(n.op_type != "Shape" for n in others) or not all(
        constants[n.input[1]] == 1 and constants[n.input[2]] == zero for n in rounding
    ):
        return model
    idle = {TRACED_INPUT, FLOAT, *(n.output[0] for n in rounding)}
    source = made[FLOAT].input[0]
    for node in model.graph.node:
        node.input[:] = [source if name in idle else name for name in node.input]
    _keep(model, [node for node in model.graph.node if node.output[0] not in idle])
    return model


def _normalized_range(spec: InputSpec) -> Range | None:
    """The range of normalized pixels, from the card alone; None for float images, which have no bounds."""
    if spec.dtype == "float32":
        return None
    top = float(np.iinfo(spec.dtype).max) * spec.scale
    pairs = list(zip(spec.mean, spec.std, strict=True))
    return min(-mean / std for mean, std in pairs), max((top - mean) / std for mean, std in pairs)


def _first_convolutions(model: onnx.ModelProto, body: Body) -> frozenset[str]:
    """Names of the convolutions that read the normalized image; none if anything else reads it, too."""
    if any(a.HasField("g") or a.graphs for node in model.graph.node for a in node.attribute):
        return frozenset()  # a subgraph may read it, too
    made = {node.output[0]: node for node in model.graph.node}
    at = made.get(TRACED_INPUT)
    while at is not None and at.op_type in ("Add", "Mul"):
        at = made.get(at.input[0])
    if at is None or at.op_type != "Cast" or at.input[0] != PLANES:
        return frozenset()
    readers = [n for n in model.graph.node if TRACED_INPUT in n.input and n.op_type != "Shape"]
    constants = constants_of(model)
    plain = all(
        n.op_type == "Conv"
        and n.name in body.products
        and _attributes(n).get("group", 1) == 1
        and all(name in constants for name in n.input[2:])
        for n in readers
    )
    return frozenset(n.name for n in readers) if plain else frozenset()


def _pads(node: onnx.NodeProto) -> bool:
    """Whether a convolution may read zeros around the image."""
    attributes = _attributes(node)
    return any(attributes.get("pads", ())) or attributes.get("auto_pad", b"NOTSET") not in (
        b"NOTSET",
        b"VALID",
    )


def _attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _replace_formula(model: onnx.ModelProto, zero: int, constant: int) -> None:
    """Replace the card's formula between the bytes and the network by a subtraction of the zero point.

    A constant above 0 is that of a further channel, after the subtraction.
    """
    out = Nodes()
    source = PLANES
    if constant:
        pads = out.constant("border/pads", np.array([0, 0, 0, 0, 0, 1, 0, 0]))
        value = out.constant("border/value", np.array(zero + constant, np.uint8))
        source = out.add("Pad", [PLANES, pads, value], BORDERED)
    out.add("Cast", [source], FLOAT, to=TensorProto.FLOAT)
    out.add("Sub", [FLOAT, out.constant(ZERO_POINT, np.array(zero, np.float32))], TRACED_INPUT)
    made = {node.output[0]: node for node in model.graph.node}
    old = []
    at = made[TRACED_INPUT]
    while at.output[0] != PLANES:
        old.append(at)
        at = made[at.input[0]]
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.output[0] == TRACED_INPUT:
            nodes.extend(out.nodes)
        elif node not in old:
            nodes.append(node)
    for node in nodes:
        if node.op_type == "Shape":  # of the image, whatever its channels are
            node.input[:] = [PLANES if name == TRACED_INPUT else name for name in node.input]
    model.graph.initializer.extend(out.constants)
    _keep(model, nodes)


def _keep(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Keep only these nodes and the constants that they read."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    model.graph.ClearField("node")
    model.graph.node.extend(kept)
    drop_unused(model)
