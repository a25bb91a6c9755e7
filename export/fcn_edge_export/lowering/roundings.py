"""What integers round in a body, and the layers that have to be in float for it not to be rounded.

The weights of a product are rounded where it is in integers. A value is rounded where any layer that gives or
reads it is: a layer in float between layers in integers reads and gives rounded values all the same. Pools,
concatenations and the like pass values on, so what they read and give is rounded together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fcn_edge_export.lowering.body import Body, constants_of
from fcn_edge_export.lowering.ranges import Range
from fcn_edge_export.lowering.rounding import RoundedLayer

__all__ = ["Rounding", "layers_of", "rounded_alone", "roundings_of"]

Array = npt.NDArray[Any]

STEPS = 255


@dataclass(frozen=True)
class Rounding:
    """Weights, or values, that are rounded together.

    Attributes:
        layers: names of the products and additions that have to be in float for it not to happen.
        values: names of what is rounded; empty for the weights of the one layer.
        passing: names of nodes that only pass these values on.
    """

    layers: frozenset[str]
    values: tuple[str, ...] = ()
    passing: frozenset[str] = frozenset()


def layers_of(model: onnx.ModelProto, body: Body) -> dict[str, set[str]]:
    """The nodes of each product and addition: itself, and the ReLU or Clip that it is merged with.

    What is between the two is never stored.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {}
    for node in model.graph.node:
        if node.name in body.products or node.name in body.additions:
            read = readers.get(node.output[0], [])
            merged = len(read) == 1 and read[0].op_type in ("Relu", "Clip")
            found[node.name] = {node.name, read[0].name} if merged else {node.name}
    return found


def roundings_of(model: onnx.ModelProto, body: Body) -> tuple[Rounding, ...]:
    """Everything that is rounded where the whole body is in integers."""
    layers = layers_of(model, body)
    layer_of = {node: name for name, nodes in layers.items() for node in nodes}
    nodes = [node for node in model.graph.node if node.name in body.nodes]
    inner = {n.output[0] for n in nodes if n.name in layers and len(layers[n.name]) > 1}
    group = {name: name for name in body.tensors if name not in inner}

    def of(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    touched = [[name for name in (*node.input, *node.output) if name in group] for node in nodes]
    for node, names in zip(nodes, touched, strict=True):
        if node.name not in layer_of:
            for name in names[1:]:
                group[of(name)] = of(names[0])
    around: dict[str, set[str]] = {of(name): set() for name in group}
    passing: dict[str, set[str]] = {of(name): set() for name in group}
    for node, names in zip(nodes, touched, strict=True):
        for name in names:
            if node.name in layer_of:
                around[of(name)].add(layer_of[node.name])
            else:
                passing[of(name)].add(node.name)
    values = {key: tuple(name for name in group if of(name) == key) for key in around}
    return (
        *(Rounding(frozenset({name})) for name in body.products),
        *(
            Rounding(frozenset(around[key]), values[key], frozenset(passing[key]))
            for key in around
            if around[key]
        ),
    )


def rounded_alone(
    model: onnx.ModelProto,
    rounding: Rounding,
    ranges: Mapping[str, Range],
    weights: Mapping[str, RoundedLayer],
    *,
    signed: bool,
) -> onnx.ModelProto:
    """A copy of the float model in which nothing else is rounded.

    Args:
        model: in float.
        rounding: of it.
        ranges: of its values.
        weights: of layers that are rounded already; of others each weight is rounded by itself.
        signed: whether values are int8 without a zero point instead of uint8.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not rounding.values:
        (name,) = rounding.layers
        node = next(node for node in copy.graph.node if node.name == name)
        known = weights.get(name)
        value = _nearest(node, copy) if known is None else known.weight
        copy.graph.initializer.append(numpy_helper.from_array(value, f"fcn_edge/alone/{name}"))
        node.input[1] = f"fcn_edge/alone/{name}"
        return copy
    renamed = {name: f"fcn_edge/alone/{name}" for name in rounding.values}
    nodes = []
    for node in model.graph.node:
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        kept.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(kept)
        for name in node.output:
            if name in renamed:
                nodes.extend(_through_integers(copy, name, renamed[name], ranges[name], signed=signed))
    copy.graph.ClearField("node")
    copy.graph.node.extend(nodes)
    return copy


def _through_integers(
    model: onnx.ModelProto, name: str, result: str, span: Range, *, signed: bool
) -> Iterator[onnx.NodeProto]:
    low, high = min(span[0], 0.0), max(span[1], 0.0)
    if signed:
        high = max(-low, high)
        low = -high
    scale = (high - low) / STEPS or 1.0
    kind: type[np.int8 | np.uint8] = np.int8 if signed else np.uint8
    zero = np.array(0 if signed else np.rint(-low / scale), kind)
    names = [f"{result}/scale", f"{result}/zero"]
    model.graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), names[0]))
    model.graph.initializer.append(numpy_helper.from_array(zero, names[1]))
    yield helper.make_node("QuantizeLinear", [name, *names], [f"{result}/integers"])
    yield helper.make_node("DequantizeLinear", [f"{result}/integers", *names], [result])


def _nearest(node: onnx.NodeProto, model: onnx.ModelProto) -> Array:
    """The weights of a product, each rounded to the nearest of its output channel's 255."""
    weight = numpy_helper.to_array(constants_of(model)[node.input[1]])
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    channel = 0 if node.op_type == "Conv" or transposed else weight.ndim - 1
    others = tuple(axis for axis in range(weight.ndim) if axis != channel)
    scale = np.abs(weight).max(axis=others, keepdims=True) / (STEPS // 2)
    scale[scale == 0] = 1.0
    return np.asarray(np.rint(weight / scale) * scale, np.float32)
