"""A model without its head: the same network, ending in the scores before their last upsampling.

    ... --> scores --Resize--> logits --ArgMax, Cast--> labels          what a file holds
    ... --> scores                                                      what this makes of it

The labels can then be computed by `numpy_head`. The file is cut in its wire format, without a protobuf
library; what nobody needs any more, the head's operators and other outputs, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fcn_edge_runtime.model.protobuf import BYTES, VARINT, Walk

__all__ = ["WithoutHead", "without_head"]

# Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
_GRAPH, _NODE, _INITIALIZER, _OUTPUT, _VALUE_INFO = 7, 1, 5, 12, 13
# From the labels backwards: the first input of each is made by the next.
_DECISIONS = (("Cast", "ArgMax", "Resize"), ("Cast", "Squeeze", "Greater", "Resize"))
_TYPES = {2: "uint8", 4: "uint16"}
_MODE = "coordinate_transformation_mode"
_ALIGN_CORNERS = {b"half_pixel": False, b"pytorch_half_pixel": False, b"align_corners": True}


@dataclass(frozen=True)
class WithoutHead:
    """A model that ends in scores.

    Attributes:
        model: its bytes.
        scores: the name of its only output, [batch, classes, h, w] float32.
        align_corners: of the upsampling that is left out.
        labels: the type that the labels had, uint8 or uint16.
    """

    model: bytes = field(repr=False)
    scores: str
    align_corners: bool
    labels: str


def without_head(data: bytes) -> WithoutHead | None:
    """The model without its head.

    Args:
        data: of a file that `ModelFile` found to be in order.

    Returns:
        None where the labels are not simply the class of the largest of scores that were bilinearly upsampled
        to the image's size: the head of such a file is needed as it is.

    Raises:
        ModelError: the bytes are no ONNX model.
    """
    with memoryview(data) as view:
        walk = Walk(view)
        top = list(walk.fields(0, len(view)))
        start, stop = next((v, s) for n, wire, v, s in top if n == _GRAPH and wire == BYTES)
        graph = [(n, v, s) for n, wire, v, s in walk.fields(start, stop) if wire == BYTES]
        nodes = {v: _node(walk, v, s) for n, v, s in graph if n == _NODE}
        makers = {name: node for node in nodes.values() for name in node.outputs}
        resize = _upsampling(makers)
        if resize is None or any(node.subgraphs for node in nodes.values()):
            return None
        scores = resize.inputs[0]
        needed = _needed(makers, scores)

        def stays(number: int, begin: int, end: int) -> bool:
            if number == _NODE:
                return not needed.isdisjoint(nodes[begin].outputs)
            if number == _INITIALIZER:
                return _name(walk, begin, end, 8) in needed
            return number not in (_OUTPUT, _VALUE_INFO)

        inner = [_field(n, view[v:s]) for n, v, s in graph if stays(n, v, s)]
        float32 = _field(2, _field(1, b"\x08\x01"))
        inner.append(_field(_OUTPUT, _field(1, scores.encode()) + float32))
        model = [
            _varint(n << 3 | VARINT) + _varint(v)
            if wire == VARINT
            else _field(n, b"".join(inner) if n == _GRAPH else view[v:s])
            for n, wire, v, s in top
            if wire in (VARINT, BYTES)
        ]
    return WithoutHead(
        b"".join(model),
        scores,
        _ALIGN_CORNERS[resize.texts.get(_MODE, b"half_pixel")],
        _TYPES[makers["labels"].numbers["to"]],
    )


def _needed(makers: dict[str, _Node], name: str) -> set[str]:
    """The name of this tensor and of all that it is made of."""
    needed, waiting = {name}, [name]
    while waiting:
        maker = makers.get(waiting.pop())
        more = [] if maker is None else [name for name in maker.inputs if name not in needed]
        needed.update(more)
        waiting += more
    return needed


@dataclass(frozen=True)
class _Node:
    """Of a node, what the cut needs to know: its attributes are texts, numbers, lists and subgraphs."""

    op_type: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    texts: dict[str, bytes] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    subgraphs: list[str] = field(default_factory=list)


def _upsampling(makers: dict[str, _Node]) -> _Node | None:
    """The Resize that the labels are decided on; None if they are decided in another way."""
    for decision in _DECISIONS:
        chain = list(_chain(makers, "labels", len(decision)))
        if tuple(node.op_type for node in chain) != decision:
            continue
        resize, best = chain[-1], chain[1]
        mode = resize.texts.get(_MODE, b"half_pixel")
        plain = (
            resize.texts.get("mode") == b"linear"
            and mode in _ALIGN_CORNERS
            and not resize.numbers.get("antialias")
            and "axes" not in resize.lists
            and len(resize.inputs) == 4
            and resize.inputs[2] == ""
        )
        first = best.op_type != "ArgMax" or (
            best.numbers.get("axis") == 1 and not best.numbers.get("select_last_index")
        )
        plain = plain and chain[0].numbers.get("to") in _TYPES
        return resize if plain and first else None
    return None


def _chain(makers: dict[str, _Node], name: str, length: int) -> Iterator[_Node]:
    for _ in range(length):
        node = makers.get(name)
        if node is None:
            return
        yield node
        name = node.inputs[0] if node.inputs else ""


def _node(walk: Walk, start: int, end: int) -> _Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 4: [""]}
    node = _Node()
    for number, wire, value, stop in walk.fields(start, end):
        if wire == BYTES and number in texts:
            texts[number].append(walk.text(value, stop))
        elif wire == BYTES and number == 5:
            _attribute(walk, value, stop, node)
    return replace(node, op_type=texts[4][-1], inputs=tuple(texts[1]), outputs=tuple(texts[2]))


def _attribute(walk: Walk, start: int, end: int, node: _Node) -> None:
    """Note an attribute at its node."""
    name = _name(walk, start, end, 1)
    for number, wire, value, stop in walk.fields(start, end):
        if number == 3 and wire == VARINT:
            node.numbers[name] = value
        elif number == 4 and wire == BYTES:
            node.texts[name] = bytes(walk.buffer[value:stop])
        elif number == 8:
            node.lists.add(name)
        elif number in (6, 11):
            node.subgraphs.append(name)


def _name(walk: Walk, start: int, end: int, number: int) -> str:
    found = (walk.text(v, s) for n, wire, v, s in walk.fields(start, end) if n == number and wire == BYTES)
    return next(found, "")


def _field(number: int, content: bytes | bytearray | memoryview) -> bytes:
    return b"".join((_varint(number << 3 | BYTES), _varint(len(content)), content))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
