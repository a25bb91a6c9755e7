"""What an ONNX file declares, read from its protobuf wire format without a protobuf library.

The runtime must judge a file before onnxruntime parses it, and has no `onnx` to do so. This walker visits
each field once, copies nothing but names, shapes and metadata, skips weights by their length, and is bounded
in fields, depth and memory, so that a hostile file costs no more than a message.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fcn_edge_runtime.errors import ModelError

__all__ = ["BYTES", "VARINT", "ModelSummary", "TensorInfo", "Walk", "summarize"]

MAX_FIELDS = 800_000
MAX_DEPTH = 64
MAX_NAME = 4096
MAX_TENSORS = 4096
MAX_METADATA = 16 << 20
MAX_RANK = 64

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# Bits of one element by TensorProto.DataType; strings (8) have no size of their own.
_BITS = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}

# Which fields of a message hold further messages: message -> field number -> message.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "metadata", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "initializer", 11: "input", 12: "output", 15: "sparse"},
    "subgraph": {1: "node", 5: "initializer", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "subgraph", 2: "subgraph"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "subgraph", 10: "tensor", 11: "subgraph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}

# One field: its number, its wire type, and either the value or the span of its bytes.
Field = tuple[int, int, int, int]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the graph.

    Attributes:
        name: the tensor's name.
        elem_type: ONNX's TensorProto.DataType (1 float32, 2 uint8, 4 uint16); 0 if it is no tensor.
        dims: one entry a dimension: a number, a symbol's name, or None; None if no shape is given.
    """

    name: str
    elem_type: int
    dims: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class ModelSummary:
    """What the file declares; nothing in it was computed or checked against the contract.

    Attributes:
        ir_version: ONNX IR version; 0 if absent.
        opsets: version by domain; "" is ONNX's own.
        function_count: local functions.
        external_tensors: names of tensors whose data lies outside the file, wherever they are declared.
        metadata: value by key, as bytes.
        inputs: the graph's inputs.
        outputs: the graph's outputs.
        node_count: nodes, those of subgraphs included.
        op_types: how often each operator occurs; operators of other domains as "domain::name".
        parameter_count: elements of all initializers.
        largest_tensor_bytes: the size that the largest tensor declares, whether its data is there or not.
    """

    ir_version: int
    opsets: Mapping[str, int]
    function_count: int
    external_tensors: tuple[str, ...]
    metadata: Mapping[str, bytes]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    node_count: int
    op_types: Mapping[str, int]
    parameter_count: int
    largest_tensor_bytes: int


@dataclass
class Walk:
    """The walker's state: the buffer, what is left of its budget, and what it has found."""

    buffer: memoryview
    fields_left: int = MAX_FIELDS
    metadata_left: int = MAX_METADATA
    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    functions: int = 0
    graphs: int = 0
    external: list[str] = field(default_factory=list)
    metadata: dict[str, bytes] = field(default_factory=dict)
    inputs: list[TensorInfo] = field(default_factory=list)
    outputs: list[TensorInfo] = field(default_factory=list)
    ops: Counter[str] = field(default_factory=Counter)
    nodes: int = 0
    parameters: int = 0
    largest: int = 0

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """The unsigned 64-bit value at `position`, and where it ends."""
        value = shift = 0
        while position < end and shift < 70:
            byte = self.buffer[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position
            shift += 7
        raise _damaged("a number runs past its end")

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message that lies in buffer[start:end]."""
        # Most tags and lengths are one byte; reading those in place halves the time of a hostile file.
        buffer, position = self.buffer, start
        while position < end:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise _damaged(f"it declares more than {MAX_FIELDS} fields")
            tag = buffer[position]
            if tag < 0x80:
                position += 1
            else:
                tag, position = self.varint(position, end)
            number, wire = tag >> 3, tag & 7
            if number == 0 or number >= 1 << 29:
                raise _damaged(f"field number {number} does not exist")
            if wire == VARINT:
                value, position = self.varint(position, end)
                yield number, wire, value, 0
                continue
            if wire == BYTES:
                if position < end and buffer[position] < 0x80:
                    length = buffer[position]
                    position += 1
                else:
                    length, position = self.varint(position, end)
            elif wire in (FIXED64, FIXED32):
                length = 8 if wire == FIXED64 else 4
            else:
                raise _damaged(f"wire type {wire} is not used by ONNX")
            if length > end - position:
                raise _damaged("a field is longer than the message that holds it")
            yield number, wire, position, position + length
            position += length

    def packed(self, wire: int, value: int, stop: int) -> Iterator[int]:
        """The numbers of a repeated integer field, packed or not."""
        if wire == VARINT:
            yield value
        elif wire == BYTES:
            while value < stop:
                number, value = self.varint(value, stop)
                yield number

    def text(self, start: int, end: int) -> str:
        """The text in buffer[start:end]; bytes that are no UTF-8 become a replacement mark."""
        if end - start > MAX_NAME:
            raise _damaged(f"a name has {end - start} bytes, at most {MAX_NAME} are read")
        return bytes(self.buffer[start:end]).decode("utf-8", "replace")


def summarize(buffer: bytes | bytearray | memoryview) -> ModelSummary:
    """Read what a serialized ModelProto declares, in bounded time and memory.

    Args:
        buffer: the whole file. It is only read, never copied.

    Raises:
        ModelError: the bytes are no protobuf of ONNX's form, or beyond the limits of this module.
    """
    with memoryview(buffer) as view:
        walk = Walk(view.cast("B"))
        stack: list[tuple[str, int, int, int]] = [("model", 0, len(walk.buffer), 0)]
        while stack:
            message, start, end, depth = stack.pop()
            if depth > MAX_DEPTH:
                raise _damaged(f"it is nested more than {MAX_DEPTH} deep")
            reader = _READERS.get(message)
            if reader is not None:
                reader(walk, start, end)
            children = _CHILDREN.get(message)
            if children is not None:
                stack += [
                    (children[number], value, stop, depth + 1)
                    for number, wire, value, stop in walk.fields(start, end)
                    if wire == BYTES and number in children
                ]
    if walk.graphs != 1:
        raise _damaged(f"it holds {walk.graphs} graphs, expected one")
    # The stack reverses the order of siblings; inputs and outputs are given in the file's order.
    return ModelSummary(
        ir_version=walk.ir_version,
        opsets=walk.opsets,
        function_count=walk.functions,
        external_tensors=tuple(reversed(walk.external)),
        metadata=walk.metadata,
        inputs=tuple(reversed(walk.inputs)),
        outputs=tuple(reversed(walk.outputs)),
        node_count=walk.nodes,
        op_types=dict(sorted(walk.ops.items())),
        parameter_count=walk.parameters,
        largest_tensor_bytes=walk.largest,
    )


def _damaged(what: str) -> ModelError:
    return ModelError(f"the file is no ONNX model, or damaged ({what}): export again")


def _model(walk: Walk, start: int, end: int) -> None:
    for number, wire, value, _ in walk.fields(start, end):
        if number == 1 and wire == VARINT:
            walk.ir_version = value


def _graph(walk: Walk, start: int, end: int) -> None:
    del start, end
    walk.graphs += 1


def _function(walk: Walk, start: int, end: int) -> None:
    del start, end
    walk.functions += 1


def _opset(walk: Walk, start: int, end: int) -> None:
    domain, version = "", 0
    for number, wire, value, stop in walk.fields(start, end):
        if number == 1 and wire == BYTES:
            domain = walk.text(value, stop)
        elif number == 2 and wire == VARINT:
            version = value
    domain = "" if domain == "ai.onnx" else domain  # two names of one domain
    if domain in walk.opsets:
        raise _damaged(f"the operator set {domain or 'ai.onnx'!r} is declared twice")
    walk.opsets[domain] = version


def _metadata(walk: Walk, start: int, end: int) -> None:
    key, value = "", b""
    walk.metadata_left -= end - start
    if walk.metadata_left < 0:
        raise _damaged(f"its metadata has more than {MAX_METADATA} bytes")
    for number, wire, position, stop in walk.fields(start, end):
        if number == 1 and wire == BYTES:
            key = walk.text(position, stop)
        elif number == 2 and wire == BYTES:
            value = bytes(walk.buffer[position:stop])
    if key in walk.metadata:
        raise _damaged(f"the metadata entry {key!r} is there twice")
    walk.metadata[key] = value


def _node(walk: Walk, start: int, end: int) -> None:
    op_type = domain = ""
    for number, wire, value, stop in walk.fields(start, end):
        if number == 4 and wire == BYTES:
            op_type = walk.text(value, stop)
        elif number == 7 and wire == BYTES:
            domain = walk.text(value, stop)
    walk.nodes += 1
    walk.ops[op_type if domain in ("", "ai.onnx") else f"{domain}::{op_type}"] += 1


def _tensor(walk: Walk, start: int, end: int) -> int:
    """Note the tensor's declared size and whether its data lies outside. Returns its elements."""
    name, elem_type, external, elements, rank = "", 0, False, 1, 0
    for number, wire, value, stop in walk.fields(start, end):
        if number == 1:
            for size in walk.packed(wire, value, stop):
                if size >= 1 << 63:
                    raise _damaged("a tensor has a negative size")
                rank += 1
                if rank > MAX_RANK:
                    raise _damaged(f"a tensor has more than {MAX_RANK} dimensions")
                elements *= size
        elif number == 2 and wire == VARINT:
            elem_type = value
        elif number == 8 and wire == BYTES:
            name = walk.text(value, stop)
        elif (number == 13 and wire == BYTES) or (number == 14 and wire == VARINT and value):
            external = True
    if external and len(walk.external) < MAX_TENSORS:
        walk.external.append(name)
    walk.largest = max(walk.largest, elements * _BITS.get(elem_type, 8) // 8)
    return elements


def _initializer(walk: Walk, start: int, end: int) -> None:
    walk.parameters += _tensor(walk, start, end)


def _input(walk: Walk, start: int, end: int) -> None:
    _value_info(walk, walk.inputs, start, end)


def _output(walk: Walk, start: int, end: int) -> None:
    _value_info(walk, walk.outputs, start, end)


def _value_info(walk: Walk, found: list[TensorInfo], start: int, end: int) -> None:
    if len(found) >= MAX_TENSORS:
        raise _damaged(f"it has more than {MAX_TENSORS} inputs or outputs")
    name, elem_type, dims = "", 0, None
    for number, wire, value, stop in walk.fields(start, end):
        if number == 1 and wire == BYTES:
            name = walk.text(value, stop)
        elif number == 2 and wire == BYTES:
            for kind, kind_wire, inner, inner_stop in walk.fields(value, stop):
                if kind == 1 and kind_wire == BYTES:
                    elem_type, dims = _tensor_type(walk, inner, inner_stop)
                elif kind_wire == BYTES and kind != 6:  # sequence, map, optional, sparse: no tensor
                    elem_type, dims = 0, None
    found.append(TensorInfo(name, elem_type, dims))


def _tensor_type(walk: Walk, start: int, end: int) -> tuple[int, tuple[int | str | None, ...] | None]:
    elem_type = 0
    dims: list[int | str | None] | None = None
    for number, wire, value, stop in walk.fields(start, end):
        if number == 1 and wire == VARINT:
            elem_type = value
        elif number == 2 and wire == BYTES:
            dims = [] if dims is None else dims
            for inner, inner_wire, dim, dim_stop in walk.fields(value, stop):
                if inner == 1 and inner_wire == BYTES:
                    dims.append(_dimension(walk, dim, dim_stop))
            if len(dims) > MAX_RANK:
                raise _damaged(f"a tensor has more than {MAX_RANK} dimensions")
    return elem_type, None if dims is None else tuple(dims)


def _dimension(walk: Walk, start: int, end: int) -> int | str | None:
    size: int | str | None = None
    for number, wire, value, stop in walk.fields(start, end):
        if number == 1 and wire == VARINT:
            size = value
        elif number == 2 and wire == BYTES:
            size = walk.text(value, stop)
    return size


_READERS = {
    "model": _model,
    "graph": _graph,
    "function": _function,
    "opset": _opset,
    "metadata": _metadata,
    "node": _node,
    "tensor": _tensor,
    "initializer": _initializer,
    "input": _input,
    "output": _output,
}
