"""Folds the normalization into the first convolution, so that an int8 file reads the image's bytes directly.

    image --Cast, Mul, Add--> Conv(W, b)    becomes    image --minus zero point--> Conv(W s / std, b')

    W ((p s - mean) / std) + b  =  (W s / std) (p - z)  +  b + sum of W (z s - mean) / std

Bytes p with scale 1 and zero point z are what an integer convolution takes, so nothing is computed before it
and no pixel is rounded a second time. The padding changes: zeros that stood for the mean color now stand for
the gray z, the byte nearest to the channels' mean colors. Where there is padding and a channel's mean is far
from that gray, nothing is folded, because keeping layers in float would not correct that error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fcn_edge_export.graph.names import TRACED_INPUT
from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_export.lowering.body import Body, constants_of, drop_unused
from fcn_edge_export.lowering.ranges import Range
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["FoldedModel", "folded", "without_rounding"]

PLANES = "fcn_edge/planes"  # the image's bytes, channels first
FLOAT = "fcn_edge/float"
ZERO_POINT = "zero_point"
TOP = 255
GRAYISH = 0.2  # error of the padding that is accepted, in normalized units; ImageNet's is 0.18


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
    activations are signed, where anything but a plain convolution of the body reads the image, or where
    padding would stand for a clearly different color.

    Args:
        model: typed, see `body.typed`; it is not changed.
        body: of this model.
        spec: the card's input formula.
        signed: whether activations will be int8 without a zero point.
    """
    mean, std = np.array(spec.mean, np.float64), np.array(spec.std, np.float64)
    zero = int(np.clip(np.rint(np.mean(mean) / spec.scale), 0, TOP))
    exact = bool((np.abs(zero * spec.scale - mean) <= GRAYISH * std).all())
    first = _first_convolutions(model, body, padded=exact)
    if signed or spec.dtype != "uint8" or not first:
        return FoldedModel(model, _normalized_range(spec))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = constants_of(model)
    for node in copy.graph.node:
        if node.name not in first:
            continue
        weight = numpy_helper.to_array(constants[node.input[1]]).astype(np.float64)
        scaled = weight * (spec.scale / std)[:, None, None]
        shift = (weight.sum((2, 3)) * ((zero * spec.scale - mean) / std)).sum(1)
        bias = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else 0.0
        names = [f"fcn_edge/raw/{node.name}/weight", f"fcn_edge/raw/{node.name}/bias"]
        for name, value in zip(names, (scaled, bias + shift), strict=True):
            copy.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        node.input[:] = [node.input[0], *names]
    _replace_formula(copy, zero)
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
    for node in model.graph.node:
        node.input[:] = [PLANES if name in idle else name for name in node.input]
    _keep(model, [node for node in model.graph.node if node.output[0] not in idle])
    return model


def _normalized_range(spec: InputSpec) -> Range | None:
    """The range of normalized pixels, from the card alone; None for float images, which have no bounds."""
    if spec.dtype == "float32":
        return None
    top = float(np.iinfo(spec.dtype).max) * spec.scale
    pairs = list(zip(spec.mean, spec.std, strict=True))
    return min(-mean / std for mean, std in pairs), max((top - mean) / std for mean, std in pairs)


def _first_convolutions(model: onnx.ModelProto, body: Body, *, padded: bool) -> frozenset[str]:
    """Names of the convolutions that read the normalized image; none if anything else reads it, too.

    With `padded` they may pad it.
    """
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
        n.op_type == "Conv" and n.name in body.products and _is_plain(n, constants, padded=padded)
        for n in readers
    )
    return frozenset(n.name for n in readers) if plain else frozenset()


def _is_plain(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], *, padded: bool) -> bool:
    """Whether a convolution has one group, and pads by less than its kernel (`padded`) or not at all."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = constants[node.input[1]].dims[2:]
    reach = [d * (k - 1) for k, d in zip(kernel, attributes.get("dilations", [1, 1]), strict=True)]
    pads = attributes.get("pads", [0, 0, 0, 0])
    inside = all(pad <= (r if padded else 0) for pad, r in zip(pads, [*reach, *reach], strict=True))
    known = len(node.input) < 3 or node.input[2] in constants
    return (
        inside
        and known
        and attributes.get("group", 1) == 1
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    )


def _replace_formula(model: onnx.ModelProto, zero: int) -> None:
    """Replace the card's formula between the bytes and the network by a subtraction of the zero point."""
    out = Nodes()
    out.add("Sub", [FLOAT, out.constant(ZERO_POINT, np.array(zero, np.float32))], TRACED_INPUT)
    made = {node.output[0]: node for node in model.graph.node}
    old = []
    at = made[TRACED_INPUT]
    while at.op_type in ("Add", "Mul"):
        old.append(at)
        at = made[at.input[0]]
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.output[0] == TRACED_INPUT:
            nodes.extend(out.nodes)
        elif node not in old:
            nodes.append(node)
    model.graph.initializer.extend(out.constants)
    _keep(model, nodes)


def _keep(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Keep only these nodes and the constants that they read."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    model.graph.ClearField("node")
    model.graph.node.extend(kept)
    drop_unused(model)
