"""Bounded views of ONNX's nodes, attributes and tensors.

A view holds what is small: names, types, short lists of numbers, and the places of what is inside. Where
a field that should occur once occurs more often, the last one counts, as in protobuf; the parts of messages
that occur more often are not merged.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from fcn_edge_runtime.model.protobuf.fields import Attribute, DataType, Node, Tensor
from fcn_edge_runtime.model.protobuf.reading import BYTES, MAX_NAME, VARINT, Reader, Span, damaged

__all__ = [
    "MAX_NUMBERS",
    "MAX_RANK",
    "AttributeView",
    "NodeView",
    "Numbers",
    "TensorDeclaration",
    "TensorView",
    "read_attribute",
    "read_node",
]

MAX_RANK = 64
# Shapes, scales and pads have no more numbers than this.
MAX_NUMBERS = 64
_MAX_PACKED = 10 * MAX_NUMBERS  # bytes: a varint has at most ten

_DATA = (Tensor.FLOAT_DATA, Tensor.INT32_DATA, Tensor.INT64_DATA, Tensor.RAW_DATA)
_LETTERS = {DataType.FLOAT: "f", DataType.INT32: "i", DataType.INT64: "q"}

# Names of this module, because up to Python 3.11 the attribute of a class is slower, and these are compared
# with every field.
_INPUT, _OUTPUT, _ATTRIBUTE = Node.INPUT, Node.OUTPUT, Node.ATTRIBUTE
_NAME, _OP_TYPE, _DOMAIN = Node.NAME, Node.OP_TYPE, Node.DOMAIN
_ATTRIBUTE_NAME, _I, _INTS = Attribute.NAME, Attribute.I, Attribute.INTS

# The values of a short list; None where they are many, or of a type that is not read.
Numbers = tuple[float, ...] | None


class TensorDeclaration(NamedTuple):
    """What a stored tensor declares, whether its data is there or not.

    Attributes:
        name: empty if it has none.
        data_type: one of DataType; 0 if absent.
        elements: the product of its dimensions.
        external: its data is outside the file.
    """

    name: str
    data_type: int
    elements: int
    external: bool


class TensorView(NamedTuple):
    """The place of a stored tensor; each method reads it once."""

    reader: Reader
    span: Span

    def declared(self) -> TensorDeclaration:
        """Its name, type and size.

        Raises:
            ModelError: it has a negative size, or more than MAX_RANK dimensions.
        """
        reader = self.reader
        name, data_type, external, elements, rank = "", 0, False, 1, 0
        for number, wire, value, stop in reader.fields(*self.span):
            if number == Tensor.DIMS:
                for size in reader.packed(wire, value, stop):
                    if size >= 1 << 63:
                        raise damaged("a tensor has a negative size")
                    rank += 1
                    if rank > MAX_RANK:
                        raise damaged(f"a tensor has more than {MAX_RANK} dimensions")
                    elements *= size
            elif number == Tensor.DATA_TYPE and wire == VARINT:
                data_type = value
            elif number == Tensor.NAME and wire == BYTES:
                name = reader.text(value, stop)
            elif (number == Tensor.EXTERNAL_DATA and wire == BYTES) or (
                number == Tensor.DATA_LOCATION and wire == VARINT and value
            ):
                external = True
        return TensorDeclaration(name, data_type, elements, external)

    def numbers(self) -> Numbers:
        """The finite values of at most MAX_NUMBERS int64, int32 or float32; None for any other tensor."""
        reader, raw, data_type, many = self.reader, b"", 0, False
        ints: list[float] = []
        floats: list[float] = []
        for number, wire, first, last in reader.fields(*self.span):
            if number in _DATA and wire == BYTES and last - first > _MAX_PACKED:
                many = True
            elif number == Tensor.DATA_TYPE and wire == VARINT:
                data_type = first
            elif number == Tensor.RAW_DATA and wire == BYTES:
                raw = reader.buffer[first:last].tobytes()
            elif number in (Tensor.INT32_DATA, Tensor.INT64_DATA) and len(ints) <= MAX_NUMBERS:
                ints += [_signed(value) for value in reader.packed(wire, first, last)]
            elif number == Tensor.FLOAT_DATA and wire == BYTES and len(floats) <= MAX_NUMBERS:
                floats += _unpacked("f", bytes(reader.buffer[first:last]))
        letter = _LETTERS.get(data_type)
        values = ints or floats or (_unpacked(letter, raw) if letter else [])
        if many or letter is None or len(values) > MAX_NUMBERS:
            return None
        return tuple(value for value in values if math.isfinite(value))


class AttributeView(NamedTuple):
    """An attribute of a node: the values that are short, and the places of its graphs.

    Attributes:
        name: empty if it has none.
        i: its number.
        s: its text, cut after MAX_NAME bytes.
        ints: its list of integers; None if it has more than MAX_NUMBERS.
        tensor: its tensor.
        graphs: where its graphs are.
        sparse: it holds a sparse tensor.
    """

    name: str = ""
    i: int | None = None
    s: bytes | None = None
    ints: tuple[int, ...] | None = ()
    tensor: TensorView | None = None
    graphs: tuple[Span, ...] = ()
    sparse: bool = False


class NodeView(NamedTuple):
    """A node: its operator, inputs and outputs, and the places of the rest.

    Attributes:
        op_type: the operator's name.
        domain: the operator's domain; empty for ONNX's own.
        inputs: the names of what it reads; empty where an optional input is left out.
        outputs: the names of what it makes.
        name: where its own name is, for `Reader.text`.
        attributes: where its attributes are, for `read_attribute`.
    """

    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: Span
    attributes: tuple[Span, ...]


def read_node(reader: Reader, start: int, end: int) -> NodeView:
    """The node in buffer[start:end]."""
    op_type = domain = ""
    name = (start, start)
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[Span] = []
    for number, wire, first, last in reader.fields(start, end):
        if wire != BYTES:
            continue
        if number == _INPUT:
            inputs.append(reader.text(first, last))
        elif number == _OUTPUT:
            outputs.append(reader.text(first, last))
        elif number == _ATTRIBUTE:
            attributes.append((first, last))
        elif number == _NAME:
            name = (first, last)
        elif number == _OP_TYPE:
            op_type = reader.text(first, last)
        elif number == _DOMAIN:
            domain = reader.text(first, last)
    return NodeView(op_type, domain, tuple(inputs), tuple(outputs), name, tuple(attributes))


def read_attribute(  # noqa: C901 - one branch a field
    reader: Reader, start: int, end: int
) -> AttributeView:
    """The attribute in buffer[start:end]."""
    name, sparse, few = "", False, True
    i: int | None = None
    s: bytes | None = None
    ints: list[int] = []
    tensor: TensorView | None = None
    graphs: list[Span] = []
    for number, wire, first, last in reader.fields(start, end):
        if wire == VARINT:
            if number == _INTS:
                ints.append(first)
            elif number == _I:
                i = _signed(first)
        elif wire != BYTES:
            continue
        elif number == _ATTRIBUTE_NAME:
            name = reader.text(first, last)
        elif number == Attribute.S:
            s = reader.buffer[first : min(last, first + MAX_NAME)].tobytes()
        elif number == Attribute.T:
            tensor = TensorView(reader, (first, last))
        elif number == Attribute.INTS:
            few = few and last - first <= _MAX_PACKED and len(ints) <= MAX_NUMBERS
            ints += reader.packed(wire, first, last) if few else ()
        elif number in (Attribute.G, Attribute.GRAPHS):
            graphs.append((first, last))
        elif number in (Attribute.SPARSE_TENSOR, Attribute.SPARSE_TENSORS):
            sparse = True
    numbers = tuple(map(_signed, ints)) if few and len(ints) <= MAX_NUMBERS else None
    return AttributeView(name, i, s, numbers, tensor, tuple(graphs), sparse)


def _unpacked(letter: str, raw: bytes) -> list[float]:
    count = len(raw) // struct.calcsize(f"<{letter}")
    return list(struct.unpack_from(f"<{count}{letter}", raw))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
