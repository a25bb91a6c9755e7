"""Operators that make huge tensors out of nothing, found before onnxruntime runs, or even folds, them.

A file of one kilobyte can say "a tensor of zeros, 50,000 x 40,000", in many ways. What an export never writes
is refused whole, so that there is nothing to compute here:

- an operator whose inputs are all constants, for an export folds it; but for the few that cannot grow;
- loops and scans, which have no place in a network of convolutions, and sparse tensors;
- a size, a repeat, a padding or a stride beyond what one image can need.

Sizes that a graph computes from the image's own are not followed: the seal tells accidents from exports, and
a model by an attacker is a program (see SECURITY.md).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.protobuf import BYTES, VARINT, Walk

__all__ = ["MAX_ELEMENTS", "MAX_FACTOR", "check_limits"]

# Elements that one operator may be told to make by constants: 128 MB of the widest type.
MAX_ELEMENTS = 1 << 24
# How often an operator may repeat its input: 64 x 64, twice what a stride of 32 needs in each direction.
MAX_FACTOR = 1 << 12

_FEW = 64  # shapes, scales and pads have fewer numbers than this
_FLOAT, _INT32, _INT64 = 1, 6, 7
_LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
# On constants alone: those that give each element once, with or without another type or shape.
_KEEP_VALUES = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
_KEEP_COUNT = _KEEP_VALUES | {"DequantizeLinear", "QuantizeLinear", "Transpose"}
# Operator -> which inputs hold sizes, how often to repeat, or padding.
_SIZES = {
    "Expand": (1,),
    "Resize": (3,),
    "CenterCropPad": (1,),
    "MaxUnpool": (2,),
    "Col2Im": (1,),
    "AffineGrid": (1,),
    "DFT": (1,),
    "STFT": (1, 3),
    "Range": (0, 1),
}
_FACTORS = {"Tile": (1,), "Resize": (2,), "Upsample": (1,), "OneHot": (1,)}
_PADS = {"Pad": (1,)}
# Attribute -> how it is counted, whatever the operator.
_SIZE_ATTRIBUTES = frozenset({"output_shape", "kernel_shape", "pooled_shape", "shape"})
_SIDE_ATTRIBUTES = frozenset({"output_height", "output_width"})
_PAD_ATTRIBUTES = frozenset({"pads", "output_padding"})
_FACTOR_ATTRIBUTES = frozenset({"strides", "dilations"})

Span = tuple[int, int]
# The numbers of a constant; None where they are many, or of a type that no size has.
Values = tuple[float, ...] | None


@dataclass
class _Scope:
    """A graph inside the file: its constants by name, and the graph around it.

    Of stored tensors only the place is kept: few of them are sizes, and only those are looked into.
    """

    walk: Walk
    span: Span
    outer: _Scope | None = None
    stored: dict[str, Span] = field(default_factory=dict)
    constants: dict[str, Values] = field(default_factory=dict)

    def holds(self, name: str) -> bool:
        here = name in self.constants or name in self.stored
        return here or (self.outer is not None and self.outer.holds(name))

    def values(self, name: str) -> Values:
        if name in self.constants:
            return self.constants[name]
        if name in self.stored:
            return _tensor(self.walk, *self.stored[name])
        return None if self.outer is None else self.outer.values(name)


@dataclass
class _Node:
    op_type: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Values] = field(default_factory=dict)
    graphs: list[Span] = field(default_factory=list)


def check_limits(buffer: bytes | memoryview, name: str = "the model") -> None:
    """Refuse a file with an operator that makes more, by constants, than an export ever asks for.

    Args:
        buffer: a serialized ModelProto, which `wire.summarize` has accepted.
        name: what messages call the file.

    Raises:
        ModelError: names the operator and what it would make.
    """
    with memoryview(buffer) as view:
        walk = Walk(view.cast("B"))
        scopes = [
            _Scope(walk, (start, end))
            for number, wire, start, end in walk.fields(0, len(walk.buffer))
            if number == 7 and wire == BYTES
        ]
        while scopes:
            scope = scopes.pop()
            for node in _nodes(scope):
                reason = _judge(node, scope)
                if reason:
                    raise ModelError(f"{name} has an operator {node.op_type[:64]} {reason}: export again")
                scopes += [_Scope(walk, span, scope) for span in node.graphs]


def _judge(node: _Node, scope: _Scope) -> str | None:
    """What is wrong with a node; None if nothing is. Notes in the scope what it adds to the constants."""
    if node.op_type in _LOOPS:
        return "that repeats a part of the graph, which no file of ours does"
    if node.op_type == "Constant":
        found = [values for key, values in node.attributes.items() if key.startswith("value")]
        scope.constants.update(dict.fromkeys(node.outputs, found[0] if found else None))
        return None
    if all(scope.holds(name) for name in node.inputs if name):
        return _on_constants(node, scope)
    return _on_data(node, scope)


def _on_constants(node: _Node, scope: _Scope) -> str | None:
    values: Values = None
    if node.op_type == "Concat":
        parts = [scope.values(name) for name in node.inputs]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts) and sum(map(len, known)) <= _FEW:
            values = sum(known, ())
    elif node.op_type in _KEEP_COUNT and node.inputs:
        values = scope.values(node.inputs[0]) if node.op_type in _KEEP_VALUES else None
        scope.constants.update(dict.fromkeys(node.outputs, values))
        return None
    if values is None:
        return "that computes with constants alone, which an export folds"
    scope.constants.update(dict.fromkeys(node.outputs, values))
    return None


def _on_data(node: _Node, scope: _Scope) -> str | None:
    for table, count, limit, what in (
        (_SIZES, _product, MAX_ELEMENTS, "that makes {:.3g} elements"),
        (_FACTORS, _product, MAX_FACTOR, "that repeats its input {:.3g} times"),
        (_PADS, _padded, MAX_ELEMENTS, "that pads by {:.3g} elements"),
    ):
        for position in table.get(node.op_type, ()):
            given = node.inputs[position] if position < len(node.inputs) else ""
            if not given or not scope.holds(given):
                continue
            values = scope.values(given)
            if values is None:
                return f"whose size {given[:64]!r} is no short list of whole numbers"
            if count(values) > limit:
                return f"{what.format(count(values))}, expected at most {limit}"
    return _in_attributes(node)


def _in_attributes(node: _Node) -> str | None:
    for key, values in node.attributes.items():
        limit, made = MAX_ELEMENTS, 0.0
        if key in _PAD_ATTRIBUTES:
            made = _padded(values or ())
        elif key in _SIZE_ATTRIBUTES or key in _SIDE_ATTRIBUTES:
            made = _product(values or ())
        elif key in _FACTOR_ATTRIBUTES:
            limit, made = MAX_FACTOR, _product(values or ())
        if made > limit:
            return f"whose {key} make {made:.3g}, expected at most {limit}"
    return None


def _product(values: tuple[float, ...]) -> float:
    """The elements of a shape; a size of 0 or -1 keeps the input's. Numbers beyond any memory are cut."""
    return min(math.prod(max(abs(v), 1) for v in values), 1e30)


def _padded(pads: tuple[float, ...]) -> float:
    """The elements of padding, begins then ends, around a single one."""
    half = len(pads) // 2
    sides = zip(pads[:half], pads[half:], strict=False)
    return min(math.prod(1 + abs(begin) + abs(end) for begin, end in sides), 1e30)


def _nodes(scope: _Scope) -> Iterator[_Node]:
    """The nodes of a graph in their order, once its stored constants are in the scope."""
    walk, spans = scope.walk, []
    for number, wire, first, last in walk.fields(*scope.span):
        if wire == BYTES and number == 1:
            spans.append((first, last))
        elif wire == BYTES and number == 5:
            names = [(a, b) for n, w, a, b in walk.fields(first, last) if n == 8 and w == BYTES]
            # Of several names the last is meant, as protobuf has it.
            scope.stored[walk.text(*names[-1]) if names else ""] = (first, last)
        elif wire == BYTES and number == 15:
            raise _sparse()
    return (_node(walk, *span) for span in spans)


def _sparse() -> ModelError:
    return ModelError("the file holds a sparse tensor, which no file of ours does: export again")


def _node(walk: Walk, start: int, end: int) -> _Node:
    node = _Node()
    for number, wire, first, last in walk.fields(start, end):
        if wire == BYTES and number == 1:
            node.inputs.append(walk.text(first, last))
        elif wire == BYTES and number == 2:
            node.outputs.append(walk.text(first, last))
        elif wire == BYTES and number == 4:
            node.op_type = walk.text(first, last)
        elif wire == BYTES and number == 5:
            name, values, graphs = _attribute(walk, first, last)
            node.attributes[name] = values
            node.graphs += graphs
    return node


def _attribute(walk: Walk, start: int, end: int) -> tuple[str, Values, list[Span]]:
    """The attribute's name, its few numbers, whether one, a list or a tensor, and the graphs in it."""
    name = ""
    values: list[float] = []
    tensor: Values = ()
    graphs: list[Span] = []
    for number, wire, first, last in walk.fields(start, end):
        if wire == BYTES and number == 1:
            name = walk.text(first, last)
        elif wire == BYTES and number == 5:
            tensor = _tensor(walk, first, last)
        elif number == 3 and wire == VARINT:
            values.append(_signed(first))
        elif number == 8 and len(values) <= _FEW and (wire == VARINT or last - first <= 10 * _FEW):
            values += [_signed(v) for v in walk.packed(wire, first, last)]
        elif wire == BYTES and number in {6, 11}:
            graphs.append((first, last))
        elif wire == BYTES and number in {22, 23}:
            raise _sparse()
    numbers = tuple(values) or tensor
    return name, numbers if numbers is None or len(numbers) <= _FEW else None, graphs


def _tensor(walk: Walk, start: int, end: int) -> Values:
    """The values of a tensor of few int64, int32 or float32 numbers; None for any other."""
    elem_type = 0
    raw = b""
    many = False
    ints: list[float] = []
    floats: list[float] = []
    for number, wire, first, last in walk.fields(start, end):
        if number == 2 and wire == VARINT:
            elem_type = first
        elif number in {4, 5, 7, 9} and wire == BYTES and last - first > 10 * _FEW:
            many = True
        elif number == 9 and wire == BYTES:
            raw = bytes(walk.buffer[first:last])
        elif number in {5, 7} and len(ints) <= _FEW:
            ints += [_signed(v) for v in walk.packed(wire, first, last)]
        elif number == 4 and wire == BYTES:
            floats += _unpacked("f", bytes(walk.buffer[first:last]))
    letter = {_FLOAT: "f", _INT32: "i", _INT64: "q"}.get(elem_type)
    values = ints or floats or (_unpacked(letter, raw) if letter else [])
    if many or letter is None or len(values) > _FEW:
        return None
    return tuple(v for v in values if math.isfinite(v))


def _unpacked(letter: str, raw: bytes) -> list[float]:
    count = len(raw) // struct.calcsize(f"<{letter}")
    return list(struct.unpack_from(f"<{count}{letter}", raw))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
