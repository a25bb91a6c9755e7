"""The image in, the class map out, as ONNX nodes around the network.

    image --Transpose, Cast, Mul, Add (, Pad)--> network --(Slice)--> logits --ArgMax, Cast--> labels

Grafted after tracing, because tracing an integer image through torch specializes what should stay dynamic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.names import FULL_SIZE, LOGITS, LOGITS_LOW, LOGITS_PADDED, TRACED_INPUT
from fcn_edge_export.graph.nodes import Nodes, rename
from fcn_edge_export.graph.sparse_head import sparse_labels, upsampling_of
from fcn_edge_export.graph.strip import strip
from fcn_edge_export.graph.working_size import add_working_size
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.model.card import Card, InputSpec, WorkingSize
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET, OUTPUTS

__all__ = [
    "can_be_sparse",
    "check_classes",
    "graft",
    "logit_channels",
    "wanted_outputs",
]

IMAGE = "image"
UNPADDED_INPUT = "fcn_edge/unpadded"
WORKING_LOGITS = "fcn_edge/working/logits"  # what is upsampled to the image's size
ELEM_TYPE = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}


def graft(
    network: onnx.ModelProto,
    card: Card,
    outputs: Sequence[str] = ("labels",),
    *,
    sparse: bool = False,
    multiple: int = 1,
    working: WorkingSize | None = None,
) -> onnx.ModelProto:
    """The network with the card's input formula before it and the requested outputs after it.

    `network` maps `normalized` to `logits`, both float32 NCHW. The result maps `image` [batch, height, width,
    channels] to `labels` [batch, height, width] and the other outputs, in the order of `OUTPUTS`.

    Args:
        network: ends in a float32 tensor `logits`.
        card: of the file, or its draft: input and classes are read.
        outputs: some of `OUTPUTS`; `labels` is always there.
        sparse: labels are computed from the logits before upsampling, see `sparse_head`; every other output
            is computed from the upsampled logits.
        multiple: the network takes multiples of it; other images are padded, and the result is cut.
        working: the image is resized before the network and the logits after it, see `working_size`.

    Raises:
        UsageError: an output that does not exist, or a sparse head for a network that does not end in
            bilinear upsampling.
        ArtifactError: the network's logits do not fit the card's classes, or a tensor name is taken.
    """
    wanted = wanted_outputs(outputs)
    classes = logit_channels(network)
    check_classes(classes, card)
    _check_network(network, needs_upsampling=sparse and working is None)

    padded = multiple > 1 and working is None  # whether the logits at full size are cut
    before, after = Nodes(), Nodes()
    _normalize(before, card.input, working, UNPADDED_INPUT if multiple > 1 else TRACED_INPUT)
    if multiple > 1:
        _pad(before, multiple)
    if padded:
        _crop(after, logits=not sparse or wanted != ["labels"])
    if working is not None:
        _upsample_working(after, cut=multiple > 1, sparse=sparse, logits=wanted != ["labels"])
    _decide(after, wanted, card, binary=classes == 1, padded=padded, sparse=sparse)

    model = helper.make_model(
        onnx.GraphProto(), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    model.producer_name = "fcn-edge"
    graph = model.graph
    graph.CopyFrom(network.graph)  # the only copy of the weights: large networks fill the memory
    for name in (IMAGE, *OUTPUTS):
        if name != LOGITS:
            rename(graph, name, f"network/{name}")  # a tensor of the network that happens to have this name
    if padded:
        rename(graph, LOGITS, LOGITS_PADDED)
    inner = (
        _named_for_working(graph, working, cut=multiple > 1, sparse=sparse)
        if working is not None
        else _named_for_sparse(graph, wanted)
        if sparse
        else graph.node
    )
    nodes = [*before.nodes, *inner, *after.nodes]
    for field in ("node", "input", "output"):
        graph.ClearField(field)
    graph.name = "fcn_edge"
    graph.node.extend(nodes)
    graph.input.append(
        _value(IMAGE, ELEM_TYPE[card.input.dtype], "batch", "height", "width", card.input.channels)
    )
    graph.output.extend(_output(name, card, classes) for name in wanted)
    graph.initializer.extend([*before.constants, *after.constants])
    return strip(model)


def check_classes(logits: int, card: Card) -> None:
    """Raise ArtifactError unless a network with so many logits a pixel fits the card's classes.

    One logit makes a binary network: two classes.
    """
    if logits != len(card.classes) and (logits, len(card.classes)) != (1, 2):
        expected = "2 classes (one logit makes a binary network)" if logits == 1 else f"{logits} classes"
        raise ArtifactError(
            f"graft: the network gives {logits} logits a pixel, the card names {len(card.classes)} classes, "
            f"expected {expected}"
        )


def logit_channels(network: onnx.ModelProto) -> int:
    """How many logits a pixel the network gives."""
    return int(network.graph.output[0].type.tensor_type.shape.dim[1].dim_value)


def can_be_sparse(network: onnx.ModelProto) -> bool:
    """Whether a network ends in the upsampling that the sparse head can do without: bilinear, half pixels."""
    found = upsampling_of(network.graph, LOGITS)
    return found is not None and not found.align_corners


def _check_network(network: onnx.ModelProto, *, needs_upsampling: bool) -> None:
    if needs_upsampling and not can_be_sparse(network):
        raise UsageError(
            "got the sparse head for a network that does not end in plain bilinear upsampling, "
            "expected the dense head"
        )
    if any(name.startswith("fcn_edge/") for node in network.graph.node for name in node.output):
        raise ArtifactError("graft: the network holds nodes that an export adds: export the plain network")


def _named_for_sparse(graph: onnx.GraphProto, wanted: Sequence[str]) -> list[onnx.NodeProto]:
    """The network's nodes, with the inputs of the last upsampling under the contract's names.

    The upsampling itself is left out where nothing reads its logits.
    """
    resize = next(node for node in graph.node if {LOGITS, LOGITS_PADDED} & set(node.output))
    rename(graph, resize.input[0], LOGITS_LOW)
    rename(graph, resize.input[3], FULL_SIZE)
    return [node for node in graph.node if node is not resize or list(wanted) != ["labels"]]


def _named_for_working(
    graph: onnx.GraphProto, working: WorkingSize, *, cut: bool, sparse: bool
) -> list[onnx.NodeProto]:
    """The network's nodes, with the logits that are upsampled to the image's size under their own name.

    The network's last upsampling is left out where its coarse logits go straight to the image's size.
    """
    low = LOGITS_LOW if sparse else WORKING_LOGITS
    if not working.coarse:
        rename(graph, LOGITS, LOGITS_PADDED if cut else low)
        return list(graph.node)
    resize = next(node for node in graph.node if LOGITS in node.output)
    rename(graph, resize.input[0], low)
    return [node for node in graph.node if node is not resize]


def wanted_outputs(outputs: Sequence[str]) -> list[str]:
    """The requested outputs in the order of `OUTPUTS`, with `labels`.

    Raises:
        UsageError: an output that does not exist.
    """
    unknown = [name for name in outputs if name not in OUTPUTS]
    if unknown:
        raise UsageError(f"unknown output {unknown[0]!r}: expected some of {', '.join(OUTPUTS)}")
    return [name for name in OUTPUTS if name == "labels" or name in outputs]


def _normalize(out: Nodes, spec: InputSpec, working: WorkingSize | None, last: str) -> None:
    """X = (pixel * scale - mean) / std as one multiplication and one addition a channel.

    Transposed while the pixels are still small integers: a quarter of the bytes to move. Resized before it,
    which is the same except for rounding since the weights of a resize sum to 1: fewer pixels to normalize.
    """
    mean, std = np.array(spec.mean, np.float64), np.array(spec.std, np.float64)
    factor = (spec.scale / std).astype(np.float32).reshape(1, -1, 1, 1)
    offset = (-mean / std).astype(np.float32).reshape(1, -1, 1, 1)
    planes = out.add("Transpose", [IMAGE], "fcn_edge/planes", perm=[0, 3, 1, 2])
    if spec.dtype != "float32":
        planes = out.add("Cast", [planes], "fcn_edge/float", to=TensorProto.FLOAT)
    if working is not None:
        size = out.add("Shape", [IMAGE], "fcn_edge/working/image_size", start=1, end=3)
        outer = out.add("Shape", [planes], "fcn_edge/working/outer", start=0, end=2)
        inner = add_working_size(working, out, size)
        sizes = out.add("Concat", [outer, inner], "fcn_edge/working/sizes", axis=0)
        planes = out.add(
            "Resize",
            [planes, "", "", sizes],
            "fcn_edge/working/planes",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
            antialias=1,
            exclude_outside=1,
        )
    if offset.any():
        planes = out.add("Mul", [planes, out.constant("factor", factor)], "fcn_edge/scaled")
        out.add("Add", [planes, out.constant("offset", offset)], last)
    else:
        out.add("Mul", [planes, out.constant("factor", factor)], last)


def _pad(out: Nodes, multiple: int) -> None:
    """Edge padding at the bottom and right, up to the network's multiple: -size mod multiple."""
    shape = out.add("Shape", [UNPADDED_INPUT], "fcn_edge/padded_from", start=2, end=4)
    missing = out.add("Neg", [shape], "fcn_edge/negative_size")
    amount = out.add(
        "Mod", [missing, out.constant("multiple", np.array([multiple], np.int64))], "fcn_edge/missing"
    )
    begin = out.constant("pad_begin", np.zeros(6, np.int64))
    pads = out.add("Concat", [begin, amount], "fcn_edge/pads", axis=0)
    out.add("Pad", [UNPADDED_INPUT, pads], TRACED_INPUT, mode="edge")


def _crop(out: Nodes, *, logits: bool) -> None:
    """`logits` cut to the image's height and width, and the constants that cut the other outputs.

    The labels are cut after the decision, which moves a quarter of a percent of the bytes. The cut logits are
    for probing or an output; where nothing reads them, onnxruntime drops the node.
    """
    out.add("Shape", [IMAGE], "fcn_edge/size", start=1, end=3)
    start = out.constant("crop_start", np.zeros(2, np.int64))
    if logits:
        axes = out.constant("crop_axes", np.array([2, 3]))
        out.add("Slice", [LOGITS_PADDED, start, "fcn_edge/size", axes], LOGITS)


def _upsample_working(out: Nodes, *, cut: bool, sparse: bool, logits: bool) -> None:
    """The logits of the working image, cut to its size, bilinearly upsampled to the image's size."""
    low = LOGITS_LOW if sparse else WORKING_LOGITS
    if cut:
        start = out.constant("working/start", np.zeros(2, np.int64))
        axes = out.constant("working/axes", np.array([2, 3]))
        end = "fcn_edge/working/size"
        out.add("Slice", [LOGITS_PADDED, start, end, axes], low)
    outer = out.add("Shape", [low], "fcn_edge/working/logits_outer", start=0, end=2)
    out.add("Concat", [outer, "fcn_edge/working/image_size"], FULL_SIZE, axis=0)
    if not sparse or logits:
        half_pixel = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        out.add("Resize", [low, "", "", FULL_SIZE], LOGITS, **half_pixel)


def _decide(
    out: Nodes, wanted: Sequence[str], card: Card, *, binary: bool, padded: bool, sparse: bool
) -> None:
    logits = LOGITS_PADDED if padded else LOGITS

    def finish(value: str, name: str, rank: int) -> None:
        """Cut `value` to the image's size where the logits are padded, as the output `name`."""
        if padded:
            axes = out.constant(f"{name}_axes", np.array([rank - 2, rank - 1]))
            out.add("Slice", [value, "fcn_edge/crop_start", "fcn_edge/size", axes], name)

    def step(name: str) -> str:
        return f"fcn_edge/{name}_padded" if padded else name

    to = ELEM_TYPE[card.label_dtype]
    if sparse:
        finish(_sparse(out, step("labels"), to, binary=binary), "labels", 3)
        if binary and "confidence" in wanted:
            out.constant("channel", np.array([1]))
    elif binary:
        positive = out.add(
            "Greater", [logits, out.constant("zero", np.zeros(1, np.float32))], "fcn_edge/positive"
        )
        flat = out.add("Squeeze", [positive, out.constant("channel", np.array([1]))], "fcn_edge/decision")
        finish(out.add("Cast", [flat], step("labels"), to=to), "labels", 3)
    else:
        best = out.add("ArgMax", [logits], "fcn_edge/best", axis=1, keepdims=0, select_last_index=0)
        finish(out.add("Cast", [best], step("labels"), to=to), "labels", 3)
    if "confidence" in wanted:
        finish(_confidence(out, logits, step("confidence"), binary=binary), "confidence", 3)
    if "probabilities" in wanted:
        value = (
            out.add("Sigmoid", [logits], step("probabilities"))
            if binary
            else out.add("Softmax", [logits], step("probabilities"), axis=1)
        )
        finish(value, "probabilities", 4)


def _sparse(out: Nodes, name: str, elem_type: int, *, binary: bool) -> str:
    sides = []
    for axis, side in ((2, "height"), (3, "width")):
        ends = [out.constant(f"{side}_{end}", np.array([axis + end])) for end in (0, 1)]
        sides.append(out.add("Slice", [FULL_SIZE, *ends], f"fcn_edge/head/{side}"))
    return sparse_labels(
        out, LOGITS_LOW, sides, name, elem_type=elem_type, align_corners=False, binary=binary
    )


def _confidence(out: Nodes, logits: str, name: str, *, binary: bool) -> str:
    """The winner's softmax probability, 1 / sum(exp(z - max z)); for one class sigmoid(|z|)."""
    if binary:
        size = out.add("Abs", [logits], "fcn_edge/abs")
        winner = out.add("Sigmoid", [size], "fcn_edge/winner")
        return out.add("Squeeze", [winner, "fcn_edge/channel"], name)
    top = out.add(
        "ReduceMax", [logits, out.constant("class_axis", np.array([1]))], "fcn_edge/top", keepdims=1
    )
    below = out.add("Exp", [out.add("Sub", [logits, top], "fcn_edge/below_top")], "fcn_edge/odds")
    total = out.add("ReduceSum", [below, "fcn_edge/class_axis"], "fcn_edge/total", keepdims=0)
    return out.add("Reciprocal", [total], name)


def _value(name: str, elem_type: int, *dims: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type, list(dims))


def _output(name: str, card: Card, classes: int) -> onnx.ValueInfoProto:
    if name == "labels":
        return _value(name, ELEM_TYPE[card.label_dtype], "batch", "height", "width")
    if name == "confidence":
        return _value(name, TensorProto.FLOAT, "batch", "height", "width")
    return _value(name, TensorProto.FLOAT, "batch", classes, "height", "width")
