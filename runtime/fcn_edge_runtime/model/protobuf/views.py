"""Nodes and their attributes, as far as a check needs them: names, short lists of numbers, small texts."""

from __future__ import annotations

from typing import NamedTuple

from fcn_edge_runtime.model.protobuf.fields import Attribute, AttributeType, Node
from fcn_edge_runtime.model.protobuf.reading import (
    BYTES,
    FIXED32,
    VARINT,
    Reader,
    damaged,
    unwritten,
)
from fcn_edge_runtime.model.protobuf.tensors import TensorView, read_tensor

__all__ = ["MAX_NUMBERS", "MAX_OPERANDS", "AttributeView", "NodeView", "read_node"]

# Shapes, scales and pads have no more numbers than this.
MAX_NUMBERS = 64
# Inputs or outputs of one node: the widest are concatenations of dense blocks.
MAX_OPERANDS = 256

# Names of this module, because up to Python 3.11 the attribute of a class is slower, and these are compared
# with every field.
_INPUT, _OUTPUT, _ATTRIBUTE = Node.INPUT, Node.OUTPUT, Node.ATTRIBUTE
_NAME, _OP_TYPE, _DOMAIN = Node.NAME, Node.OP_TYPE, Node.DOMAIN
_SKIPPED = frozenset((Node.DOC_STRING, Node.METADATA_PROPS))
_ATTRIBUTE_NAME, _TYPE = Attribute.NAME, Attribute.TYPE
_F, _I, _S, _T, _INTS, _FLOATS = (
    Attribute.F,
    Attribute.I,
    Attribute.S,
    Attribute.T,
    Attribute.INTS,
    Attribute.FLOATS,
)
# The type of an attribute -> the field that holds its value.
_FIELDS = {
    AttributeType.FLOAT: _F,
    AttributeType.INT: _I,
    AttributeType.STRING: _S,
    AttributeType.TENSOR: _T,
    AttributeType.FLOATS: _FLOATS,
    AttributeType.INTS: _INTS,
}
_WIRES = {_F: FIXED32, _I: VARINT, _S: BYTES, _T: BYTES}


class AttributeView(NamedTuple):
    """An attribute of a node.

    Attributes:
        name: empty if it has none.
        i: its number.
        s: its text.
        ints: its list of integers.
        floats: how many numbers its list of floats has.
        tensor: its tensor.
    """

    name: str = ""
    i: int | None = None
    s: str | None = None
    ints: tuple[int, ...] = ()
    floats: int = 0
    tensor: TensorView | None = None


class NodeView(NamedTuple):
    """A node.

    Attributes:
        op_type: the operator's name.
        domain: the operator's domain; empty for ONNX's own.
        inputs: the names of what it reads; empty where an optional input is left out.
        outputs: the names of what it makes.
        name: its own name.
        attributes: by name.
    """

    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    attributes: dict[str, AttributeView]

    def number(self, attribute: str, default: int) -> int:
        """The whole number in an attribute; the default where it is left out."""
        view = self.attributes.get(attribute)
        return default if view is None or view.i is None else view.i


def read_node(reader: Reader, start: int, end: int) -> NodeView:  # noqa: C901 - one branch a field
    """The node in buffer[start:end].

    Raises:
        ModelError: a part of it occurs twice, or is one that an export never writes, such as a graph.
    """
    op_type: str | None = None
    domain: str | None = None
    name: str | None = None
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, AttributeView] = {}
    text = reader.text
    for number, wire, first, last in reader.fields(start, end):
        if wire != BYTES:
            raise unwritten(f"a node with the field {number} of another form")
        if number == _INPUT:
            inputs.append(text(first, last))
        elif number == _OUTPUT:
            outputs.append(text(first, last))
        elif number == _ATTRIBUTE:
            attribute = _read_attribute(reader, first, last)
            if attribute.name in attributes:
                raise damaged(f"a node has the attribute {attribute.name!r} twice")
            attributes[attribute.name] = attribute
        elif number == _NAME and name is None:
            name = text(first, last)
        elif number == _OP_TYPE and op_type is None:
            op_type = text(first, last)
        elif number == _DOMAIN and domain is None:
            domain = text(first, last)
        elif number not in _SKIPPED:
            raise unwritten(f"a node with the field {number} twice, or of another form")
    if len(inputs) > MAX_OPERANDS or len(outputs) > MAX_OPERANDS:
        raise unwritten(f"a node {op_type} of {len(inputs)} inputs and {len(outputs)} outputs")
    domain = "" if domain in (None, "ai.onnx") else domain  # two names of one domain
    return NodeView(op_type or "", domain or "", tuple(inputs), tuple(outputs), name or "", attributes)


def _read_attribute(  # noqa: C901, PLR0912 - one branch a field
    reader: Reader, start: int, end: int
) -> AttributeView:
    """The attribute in buffer[start:end]: one value, of the type that it declares."""
    name: str | None = None
    kind = floats = held = 0
    i: int | None = None
    s: str | None = None
    ints: list[int] = []
    tensor: TensorView | None = None
    for number, wire, first, last in reader.fields(start, end):
        if number == _ATTRIBUTE_NAME and wire == BYTES and name is None:
            name = reader.text(first, last)
            continue
        if number == _TYPE and wire == VARINT and not kind:
            kind = first
            continue
        if number == Attribute.DOC_STRING:
            continue
        again = held in (_INTS, _FLOATS) and number == held
        if held and not again:
            raise unwritten(f"an attribute {name or ''} of two values")
        held = number
        if number == _INTS:
            ints += reader.packed(wire, first, last)
        elif number == _FLOATS:
            floats += 1 if wire == FIXED32 else (last - first) // 4
        elif wire != _WIRES.get(number):
            raise unwritten(f"an attribute {name or ''} with the field {number}, such as a graph's")
        elif number == _I:
            i = _signed(first)
        elif number == _S:
            s = reader.text(first, last)
        elif number == _T:
            tensor = read_tensor(reader, first, last)
        if len(ints) > MAX_NUMBERS or floats > MAX_NUMBERS:
            raise unwritten(f"an attribute {name or ''} of more than {MAX_NUMBERS} numbers")
    if kind not in _FIELDS or held not in (0, _FIELDS[kind]):
        raise unwritten(f"an attribute {name or ''} of type {kind} with a value of another type")
    if kind == AttributeType.INT and i is None:
        i = 0
    return AttributeView(name or "", i, s, tuple(map(_signed, ints)), floats, tensor)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
