"""The graph of a variant: the parent's, with another way in and another way out.

    image  --Transpose--> planes --Cast--> ...          of the parent
    input  --* 255, Round----------------> ...          unit: the very numbers, so every label stays the same
    input  ------------------------------> normalized   normalized: the network's own input

Labels of a sparse head are computed from all logits instead: its operators make tensors whose sizes depend on
the image's content, which compilers for fixed shapes refuse.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.graft import ELEM_TYPE, IMAGE
from fcn_edge_export.graph.names import LABELS, LOGITS, LOGITS_LOW, TRACED_INPUT
from fcn_edge_export.graph.nodes import Nodes, rename
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.graph.strip import strip
from fcn_edge_export.lowering.body import drop_unused, read_by
from fcn_edge_export.variants.fixed_shapes import with_fixed_shapes
from fcn_edge_export.variants.target import Target
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.model.card import Card

__all__ = ["laid_out"]

PLANES = "fcn_edge/planes"
UNPADDED = "fcn_edge/unpadded"
LARGEST = np.array(255, np.float32)
OURS = "variant/"


def laid_out(
    parent: onnx.ModelProto, card: Card, logits: int, target: Target, size: tuple[int, int] | None
) -> onnx.ModelProto:
    """The graph of a variant.

    Args:
        parent: of a file; it is not changed.
        card: of the file.
        logits: that its network gives for a pixel.
        target: what is wanted.
        size: (height, width) of its images; None is any.

    Raises:
        UsageError: the file has no such tensor as the target takes.
        ArtifactError: its graph is not as exports write it.
    """
    model = onnx.load_model_from_string(with_logits_output(parent))
    given = [output.name for output in parent.graph.output]
    graph = model.graph
    for name in {target.input, target.output} - {IMAGE, LOGITS}:
        if target.gives != "outputs":
            rename(graph, name, f"parent/{name}")
    way_in, way_out = Nodes(), Nodes()
    batch, sides = (target.batch or "batch" if size else "batch"), size or ("height", "width")
    if target.takes == "pixels":
        value = _value(target.input, ELEM_TYPE[card.input.dtype], batch, *sides, card.input.channels)
    else:
        value = _value(target.input, TensorProto.FLOAT, batch, card.input.channels, *sides)
        _read_planes(graph, target, way_in)
    outputs = _outputs(way_out, graph, card, logits, target, given, (batch, *sides))
    for node in (*way_in.nodes, *way_out.nodes):
        node.name = f"fcn_edge/{OURS}{node.output[0].removeprefix('fcn_edge/')}"  # unlike any of the parent's
    nodes = [*way_in.nodes, *graph.node, *way_out.nodes]
    graph.initializer.extend([*way_in.constants, *way_out.constants])
    for field in ("node", "input", "output"):
        graph.ClearField(field)
    graph.input.append(value)
    graph.output.extend(outputs)
    graph.node.extend(_needed(nodes, [o.name for o in outputs]))
    drop_unused(model)
    strip(model)
    return with_fixed_shapes(model) if size else model


def _read_planes(graph: onnx.GraphProto, target: Target, way_in: Nodes) -> None:
    """Let the network read planes instead of an image whose channels come last."""
    for node in graph.node:
        if IMAGE not in node.input or node.output[0] == PLANES:
            continue
        if node.op_type != "Shape":
            raise ArtifactError(f"variant: the node {node.name} reads the image: export the model again")
        for attribute in node.attribute:
            attribute.i += 1  # height and width are axes 1 and 2 of the image, 2 and 3 of the planes
        node.input[0] = target.input
    if target.takes == "normalized":
        made = {name for node in graph.node for name in node.output}
        network = UNPADDED if UNPADDED in made else TRACED_INPUT
        if network not in made:
            raise UsageError(
                f"{target.name} is the plain network, but this int8 file reads the pixels themselves: take "
                "its float parent"
            )
        _cut(graph, network)
        rename(graph, network, target.input)
        return
    floats = [node for node in graph.node if PLANES in node.input]
    direct = all(node.op_type == "Cast" for node in floats)
    scaled = way_in.add(
        "Mul", [target.input, way_in.constant(f"{OURS}largest", LARGEST)], f"fcn_edge/{OURS}scaled"
    )
    if direct:  # some compilers have no bytes inside of a graph
        _cut(graph, floats[0].output[0])
        way_in.add("Round", [scaled], floats[0].output[0])
        for other in floats[1:]:
            rename(graph, other.output[0], floats[0].output[0])
    else:
        _cut(graph, PLANES)
        whole = way_in.add("Round", [scaled], f"fcn_edge/{OURS}whole")
        way_in.add("Cast", [whole], PLANES, to=TensorProto.UINT8)  # what int8 files read


def _cut(graph: onnx.GraphProto, name: str) -> None:
    """Take out the node that makes this tensor."""
    graph.node.remove(next(node for node in graph.node if name in node.output))


def _outputs(
    out: Nodes,
    graph: onnx.GraphProto,
    card: Card,
    logits: int,
    target: Target,
    given: list[str],
    image: tuple[str | int, ...],
) -> list[onnx.ValueInfoProto]:
    """Add what makes the target's outputs of the logits.

    Args:
        out: where to.
        graph: of the parent, with its logits.
        card: of the parent.
        logits: that the network gives for a pixel.
        target: what is wanted.
        given: the parent's outputs.
        image: (batch, height, width).
    """
    batch, *sides = image
    sparse = any(LOGITS_LOW in node.output for node in graph.node)
    if target.gives == "outputs":
        if sparse:
            _cut(graph, LABELS)
            best = _decided(out, logits, keep=0)
            out.add("Cast", [best], LABELS, to=ELEM_TYPE[card.label_dtype])
        values = []
        for name in given:
            dtype = ELEM_TYPE[card.label_dtype] if name == LABELS else TensorProto.FLOAT
            planes = (logits,) if name in ("probabilities", LOGITS) else ()
            values.append(_value(name, dtype, batch, *planes, *sides))
        return values
    if target.gives == "class map":
        best = out.add("Cast", [_decided(out, logits, keep=1)], f"fcn_edge/{OURS}ids", to=TensorProto.INT32)
        out.add("Transpose", [best], target.output, perm=[0, 2, 3, 1])
        return [_value(target.output, TensorProto.INT32, batch, *sides, 1)]
    if target.gives == "logits" or (target.gives == "class logits" and logits > 1):
        rename(graph, LOGITS, target.output)
        return [_value(target.output, TensorProto.FLOAT, batch, logits, *sides)]
    if target.gives == "class logits":
        rename(graph, LOGITS, f"fcn_edge/{OURS}one")
        zero = out.add("Sub", [f"fcn_edge/{OURS}one"] * 2, f"fcn_edge/{OURS}zero")
        out.add("Concat", [zero, f"fcn_edge/{OURS}one"], target.output, axis=1)
    elif logits > 1:
        out.add("Softmax", [LOGITS], target.output, axis=1)
    else:
        one = out.add("Sigmoid", [LOGITS], f"fcn_edge/{OURS}one")
        zero = out.add(
            "Sub", [out.constant(f"{OURS}all", np.array(1, np.float32)), one], f"fcn_edge/{OURS}zero"
        )
        out.add("Concat", [zero, one], target.output, axis=1)
    return [_value(target.output, TensorProto.FLOAT, batch, max(logits, 2), *sides)]


def _decided(out: Nodes, logits: int, *, keep: int) -> str:
    """Labels of the logits: [batch, height, width], or with `keep` [batch, 1, height, width]."""
    if logits > 1:
        return out.add("ArgMax", [LOGITS], f"fcn_edge/{OURS}best", axis=1, keepdims=keep, select_last_index=0)
    above = out.add(
        "Greater", [LOGITS, out.constant(f"{OURS}none", np.array(0, np.float32))], f"fcn_edge/{OURS}above"
    )
    if keep:
        return above
    return out.add("Squeeze", [above, out.constant(f"{OURS}axis", np.array([1]))], f"fcn_edge/{OURS}flat")


def _needed(nodes: list[onnx.NodeProto], outputs: list[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs are made of, in their order."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            needed.update(read_by(node))
    return [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]


def _value(name: str, elem_type: int, *dims: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type, list(dims))
