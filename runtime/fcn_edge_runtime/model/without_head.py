"""A model without its head: the same network, ending in the logits before their last upsampling.

    ... --> logits_low --Resize--> logits --ArgMax, Cast--> labels      what a file holds
    ... --> logits_low                                                  what is left

The labels can then be computed by `numpy_head`. The file's protobuf is cut and joined without being parsed
as a whole; what is no longer needed, the head's operators and other outputs, is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from fcn_edge_runtime.model.protobuf.fields import (
    DataType,
    Graph,
    Model,
    TensorType,
    Type,
    ValueInfo,
)
from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader, Span
from fcn_edge_runtime.model.protobuf.tensors import read_tensor
from fcn_edge_runtime.model.protobuf.views import AttributeView, NodeView, read_node
from fcn_edge_runtime.model.protobuf.writing import field, message

__all__ = ["Scores", "WithoutHead", "scores_of", "with_tail", "without_head"]

# From the labels backwards: the first input of each is made by the next.
_DECISIONS = (("Cast", "ArgMax", "Resize"), ("Cast", "Squeeze", "Greater", "Resize"))
_TYPES = {DataType.UINT8: "uint8", DataType.UINT16: "uint16"}
_MODE = "coordinate_transformation_mode"
_ALIGN_CORNERS = {"half_pixel": False, "pytorch_half_pixel": False, "align_corners": True}
_SPARSE, _FULL = "logits_low", "logits"  # names that every file has for these


@dataclass(frozen=True)
class WithoutHead:
    """A model that ends in logits of low resolution.

    Attributes:
        model: its bytes.
        logits: the name of its only output, [batch, classes, h, w] float32.
        align_corners: of the upsampling that is left out.
        labels: the type that the labels had, uint8 or uint16.
    """

    model: bytes = dataclass_field(repr=False)
    logits: str
    align_corners: bool
    labels: str


@dataclass(frozen=True)
class Scores:
    """A model that ends in the logits that its labels are decided on.

    Attributes:
        model: its bytes.
        logits: the name of its only output, [batch, classes, h, w] float32.
        align_corners: of the upsampling that is left out; None where the logits have the image's size.
        padded: whether that upsampling went to the size of the padded image, which was cut afterwards.
    """

    model: bytes = dataclass_field(repr=False)
    logits: str
    align_corners: bool | None
    padded: bool


def scores_of(data: bytes) -> Scores:
    """The model without its head, whichever that is.

    Args:
        data: a file that `ModelFile` has accepted.

    Raises:
        ModelError: the bytes are not an ONNX model.
    """
    with memoryview(data) as view:
        reader, nodes = _nodes(view)
        makers = {name: node for node in nodes.values() for name in node.outputs}
        last = makers.get("labels")
        padded = last is not None and last.op_type == "Slice"
        found = _upsampling(makers, last.inputs[0] if last is not None and padded else "labels")
        name, align_corners = _FULL, None
        if _SPARSE in makers:
            name, align_corners = _SPARSE, False
        elif found is not None:
            name, align_corners = found.logits, found.align_corners
        return Scores(_cut(reader, nodes, _needed(makers, name), name), name, align_corners, padded)


def without_head(data: bytes) -> WithoutHead | None:
    """The model without its head.

    Args:
        data: a file that `ModelFile` has accepted.

    Returns:
        None where the labels are not simply the class of the largest of logits that were bilinearly upsampled
        to the image's size: the head of such a file is needed as it is.

    Raises:
        ModelError: the bytes are not an ONNX model.
    """
    with memoryview(data) as view:
        reader, nodes = _nodes(view)
        makers = {name: node for node in nodes.values() for name in node.outputs}
        upsampling = _upsampling(makers, "labels")
        if upsampling is None:
            return None
        model = _cut(reader, nodes, _needed(makers, upsampling.logits), upsampling.logits)
    return WithoutHead(model, upsampling.logits, upsampling.align_corners, upsampling.labels)


def _nodes(view: memoryview) -> tuple[Reader, dict[Span, NodeView]]:
    """The nodes by where they are in the file."""
    reader = Reader(view)
    return reader, {
        span: read_node(reader, *span)
        for graph in reader.spans(0, len(view), Model.GRAPH)
        for span in reader.spans(*graph, Graph.NODE)
    }


def _cut(reader: Reader, nodes: dict[Span, NodeView], needed: set[str], logits: str) -> bytes:
    """The model with only what makes the needed values, and the logits as its output."""

    def stays(number: int, begin: int, end: int) -> bool:
        if number == Graph.NODE:
            return not needed.isdisjoint(nodes[begin, end].outputs)
        if number == Graph.INITIALIZER:
            return read_tensor(reader, begin, end).name in needed
        return number not in (Graph.OUTPUT, Graph.VALUE_INFO)

    float32 = message(Type.TENSOR_TYPE, field(TensorType.ELEM_TYPE, DataType.FLOAT))
    output = message(Graph.OUTPUT, field(ValueInfo.NAME, logits), message(ValueInfo.TYPE, float32))
    return _changed(reader, stays, (output,))


def with_tail(model: bytes, tail: Iterable[bytes]) -> bytes:
    """The model with other outputs, and what makes them.

    Args:
        model: an ONNX model, such as `without_head` gives.
        tail: fields of a GraphProto: nodes, initializers, outputs.
    """
    with memoryview(model) as view:
        return _changed(Reader(view), lambda number, _begin, _end: number != Graph.OUTPUT, tail)


def _changed(reader: Reader, stays: Callable[[int, int, int], bool], more: Iterable[bytes]) -> bytes:
    """The model with only those fields of its graph that stay, and with more of them."""
    view = reader.buffer

    def cut(start: int, stop: int) -> bytes:
        kept = [
            field(number, view[begin:end])
            for number, wire, begin, end in reader.fields(start, stop)
            if wire == BYTES and stays(number, begin, end)
        ]
        return b"".join((*kept, *more))

    model = []
    for number, wire, value, stop in reader.fields(0, len(view)):
        if wire == VARINT:
            model.append(field(number, value))
        elif wire == BYTES:
            model.append(field(number, cut(value, stop) if number == Model.GRAPH else view[value:stop]))
    return b"".join(model)


def _needed(makers: dict[str, NodeView], name: str) -> set[str]:
    """The name of this tensor and of all that it is made of."""
    needed, waiting = {name}, [name]
    while waiting:
        maker = makers.get(waiting.pop())
        more = [] if maker is None else [name for name in maker.inputs if name not in needed]
        needed.update(more)
        waiting += more
    return needed


@dataclass(frozen=True)
class _Upsampling:
    """The Resize that the labels are decided on: its input, its kind, and the type of the labels."""

    logits: str
    align_corners: bool
    labels: str


def _upsampling(makers: dict[str, NodeView], labels: str) -> _Upsampling | None:
    """What the labels, a value of that name, are decided on; None if they are decided in another way."""
    for decision in _DECISIONS:
        chain = list(_chain(makers, labels, len(decision)))
        if tuple(node.op_type for node in chain) != decision:
            continue
        cast, best, resize = (
            defaultdict(AttributeView, node.attributes) for node in (chain[0], chain[1], chain[-1])
        )
        given = resize[_MODE].s
        mode = "half_pixel" if given is None else given
        inputs = chain[-1].inputs
        plain = (
            resize["mode"].s == "linear"
            and mode in _ALIGN_CORNERS
            and not resize["antialias"].i
            and resize["axes"].ints == ()
            and len(inputs) == 4
            and inputs[2] == ""
        )
        first = chain[1].op_type != "ArgMax" or (best["axis"].i == 1 and not best["select_last_index"].i)
        dtype = _TYPES.get(cast["to"].i or 0)
        if plain and first and dtype is not None:
            return _Upsampling(inputs[0], _ALIGN_CORNERS[mode], dtype)
        return None
    return None


def _chain(makers: dict[str, NodeView], name: str, length: int) -> Iterator[NodeView]:
    for _ in range(length):
        node = makers.get(name)
        if node is None:
            return
        yield node
        name = node.inputs[0] if node.inputs else ""
