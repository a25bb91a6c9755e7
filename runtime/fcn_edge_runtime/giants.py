"""Operators that make huge tensors out of nothing, found before onnxruntime runs, or even folds, them.

A file of one kilobyte can say "a tensor of zeros, 50,000 x 40,000". Where the shape stands in the file as a
constant, it is read here and added up. Shapes that a graph computes from other numbers are not followed: the
seal tells accidents from exports, and a model by an attacker is a program (see SECURITY.md).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

from fcn_edge_runtime.wire import BYTES, VARINT, Walk

__all__ = ["MAX_ELEMENTS", "largest_made"]

# Elements that one operator may make by constants alone: 128 MB of float32.
MAX_ELEMENTS = 1 << 25

_FEW = 64  # shapes, scales and pads have fewer numbers than this
_FLOAT, _INT64 = 1, 7
# Operator -> which inputs hold sizes, whose product counts, or pads, of which the largest counts.
_SIZES = {"ConstantOfShape": (0,), "Expand": (1,), "Tile": (1,), "Resize": (2, 3), "Upsample": (1,)}
_PADS = {"Pad": (1,)}
_RANDOM = frozenset({"RandomNormal", "RandomUniform"})

Span = tuple[int, int]


@dataclass
class _Found:
    """Small constants by name, and the names that operators take sizes or pads from.

    Initializers are only noted while nodes are read: few of them are sizes, and only those are looked into.
    """

    initializers: list[Span] = field(default_factory=list)
    constants: dict[str, tuple[float, ...]] = field(default_factory=dict)
    sizes: list[tuple[str, str]] = field(default_factory=list)
    pads: list[tuple[str, str]] = field(default_factory=list)
    made: list[tuple[float, str]] = field(default_factory=list)


def largest_made(buffer: bytes | memoryview) -> tuple[float, str]:
    """Find the operator that makes the most elements by constants alone.

    For `Resize` by scales and `Pad` it is the factor, or the pixels added, that count.

    Args:
        buffer: a serialised ModelProto, which `wire.summarise` has accepted.

    Returns:
        The number of elements, 0 if there is no such operator, and the operator's type.
    """
    found = _Found()
    with memoryview(buffer) as view:
        walk = Walk(view.cast("B"))
        for number, wire, start, end in walk.fields(0, len(walk.buffer)):
            if number == 7 and wire == BYTES:
                _graph(walk, found, start, end)
        _initializers(walk, found)
    made = list(found.made)
    made += [(_product(found.constants.get(name, ())), op_type) for name, op_type in found.sizes]
    for name, op_type in found.pads:
        made.append((max((abs(v) for v in found.constants.get(name, ())), default=0), op_type))
    return max(made, default=(0, ""))


def _product(values: tuple[float, ...]) -> float:
    """The elements of a shape; a size of 0 or -1 keeps the input's. Numbers beyond any memory are cut."""
    return min(math.prod(max(abs(v), 1) for v in values), 1e30)


def _graph(walk: Walk, found: _Found, start: int, end: int) -> None:
    """Collect from a graph and, without recursion, from the graphs inside it."""
    graphs: list[Span] = [(start, end)]
    while graphs:
        for number, wire, first, last in walk.fields(*graphs.pop()):
            if wire == BYTES and number == 1:
                graphs += _node(walk, found, first, last)
            elif wire == BYTES and number == 5:
                found.initializers.append((first, last))


def _initializers(walk: Walk, found: _Found) -> None:
    """Read the initializers that an operator takes sizes or pads from."""
    wanted = {name for name, _ in (*found.sizes, *found.pads)}
    for span in found.initializers:
        names = [(a, b) for n, w, a, b in walk.fields(*span) if n == 8 and w == BYTES]
        name = walk.text(*names[-1]) if names else ""  # of several the last is meant, as protobuf has it
        if name in wanted:
            found.constants[name] = _tensor(walk, *span)[1]


def _node(walk: Walk, found: _Found, start: int, end: int) -> list[Span]:
    inputs: list[Span] = []
    outputs: list[Span] = []
    attributes: list[Span] = []
    op_type = ""
    for number, wire, first, last in walk.fields(start, end):
        if wire == BYTES and number in {1, 2}:
            (inputs if number == 1 else outputs).append((first, last))
        elif wire == BYTES and number == 4:
            op_type = walk.text(first, last)
        elif wire == BYTES and number == 5:
            attributes.append((first, last))
    for table, wanted in ((_SIZES, found.sizes), (_PADS, found.pads)):
        names = [walk.text(*inputs[i]) for i in table.get(op_type, ()) if i < len(inputs)]
        wanted += [(name, op_type) for name in names if name]
    if op_type == "Constant" or op_type in _RANDOM:
        read = [_attribute(walk, *span) for span in attributes]
        values = tuple(number for numbers, _ in read for number in numbers)
        if op_type in _RANDOM:
            found.made.append((_product(values), op_type))
        elif outputs:
            found.constants[walk.text(*outputs[0])] = values
        return [span for _, inner in read for span in inner]
    return [
        (first, last)
        for span in attributes
        for number, wire, first, last in walk.fields(*span)
        if wire == BYTES and number in {6, 11}
    ]


def _attribute(walk: Walk, start: int, end: int) -> tuple[tuple[float, ...], list[Span]]:
    """The attribute's few numbers, whether a tensor or a list, and the graphs in it."""
    values: list[float] = []
    graphs: list[Span] = []
    for number, wire, first, last in walk.fields(start, end):
        if wire == BYTES and number == 5:
            values += _tensor(walk, first, last)[1]
        elif number == 8 and len(values) < _FEW:
            values += [_signed(v) for v in walk.packed(wire, first, last)][:_FEW]
        elif wire == BYTES and number in {6, 11}:
            graphs.append((first, last))
    return tuple(values[:_FEW]), graphs


def _tensor(walk: Walk, start: int, end: int) -> tuple[str, tuple[float, ...]]:
    """Name and values of a tensor of few int64 or float32 numbers; no values for any other."""
    name, elem_type = "", 0
    raw = b""
    ints: list[float] = []
    floats: list[float] = []
    for number, wire, first, last in walk.fields(start, end):
        if number == 2 and wire == VARINT:
            elem_type = first
        elif number == 8 and wire == BYTES:
            name = walk.text(first, last)
        elif number == 9 and wire == BYTES and last - first <= 8 * _FEW:
            raw = bytes(walk.buffer[first:last])
        elif number == 7 and len(ints) < _FEW and (wire == VARINT or last - first <= 10 * _FEW):
            ints += [_signed(v) for v in walk.packed(wire, first, last)]
        elif number == 4 and wire == BYTES and last - first <= 4 * _FEW:
            floats += struct.unpack(
                f"<{(last - first) // 4}f", walk.buffer[first : last - (last - first) % 4]
            )
    if elem_type == _INT64:
        return name, tuple(ints or struct.unpack(f"<{len(raw) // 8}q", raw[: len(raw) // 8 * 8]))
    if elem_type == _FLOAT:
        values = floats or struct.unpack(f"<{len(raw) // 4}f", raw[: len(raw) // 4 * 4])
        return name, tuple(v for v in values if math.isfinite(v))
    return name, ()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
