"""Limits on oversized constants: operators that make huge tensors are found before onnxruntime runs them.

A file of one kilobyte can declare "a tensor of zeros, 50,000 x 40,000", in many ways. What an export never
writes is refused without computing it:

- an operator whose inputs are all constants, because an export folds it; except the few that cannot grow;
- loops and scans, which a network of convolutions does not need, and sparse tensors;
- a size, a repeat, a padding or a stride beyond what one image can need.

Sizes that a graph computes from the image's size are not followed: the seal detects accidents, and a model
by an attacker is a program (see SECURITY.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.protobuf.fields import Graph, Model, Tensor
from fcn_edge_runtime.model.protobuf.reading import BYTES, Reader, Span
from fcn_edge_runtime.model.protobuf.views import (
    MAX_NUMBERS,
    AttributeView,
    NodeView,
    Numbers,
    TensorView,
    read_attribute,
    read_node,
)

__all__ = ["MAX_ELEMENTS", "MAX_FACTOR", "check_limits"]

# Elements that constants may make one operator produce: 128 MB of the widest type.
MAX_ELEMENTS = 1 << 24
# How often an operator may repeat its input: 64 x 64, twice what a stride of 32 needs in each direction.
MAX_FACTOR = 1 << 12

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


@dataclass
class _Scope:
    """A graph inside the file: its constants by name, and the graph around it.

    Of stored tensors only the place is kept: few of them are sizes, and only those are read.
    """

    reader: Reader
    span: Span
    outer: _Scope | None = None
    stored: dict[str, Span] = field(default_factory=dict)
    constants: dict[str, Numbers] = field(default_factory=dict)

    def holds(self, name: str) -> bool:
        here = name in self.constants or name in self.stored
        return here or (self.outer is not None and self.outer.holds(name))

    def numbers(self, name: str) -> Numbers:
        if name in self.constants:
            return self.constants[name]
        if name in self.stored:
            return TensorView(self.reader, self.stored[name]).numbers()
        return None if self.outer is None else self.outer.numbers(name)


def check_limits(buffer: bytes | memoryview, name: str = "the model") -> None:
    """Refuse a file with an operator that makes more, by constants, than an export ever needs.

    Args:
        buffer: a serialized ModelProto, which `summarize` has accepted.
        name: what messages call the file.

    Raises:
        ModelError: names the operator and what it would make.
    """
    with memoryview(buffer) as view:
        reader = Reader(view.cast("B"))
        scopes = [_Scope(reader, span) for span in reader.spans(0, len(reader.buffer), Model.GRAPH)]
        while scopes:
            scope = scopes.pop()
            for node in _nodes(scope):
                numbers: dict[str, Numbers] = {}
                graphs: list[Span] = []
                for span in node.attributes:
                    attribute = read_attribute(reader, *span)
                    numbers[attribute.name] = _numbers(attribute)
                    graphs += attribute.graphs
                reason = _check(node, numbers, scope)
                if reason:
                    raise ModelError(f"{name} has an operator {node.op_type[:64]} {reason}: export again")
                scopes += [_Scope(reader, span, scope) for span in graphs]


def _nodes(scope: _Scope) -> Iterator[NodeView]:
    """The nodes of a graph in their order, once its stored constants are in the scope."""
    reader, spans = scope.reader, []
    for number, wire, first, last in reader.fields(*scope.span):
        if wire == BYTES and number == Graph.NODE:
            spans.append((first, last))
        elif wire == BYTES and number == Graph.INITIALIZER:
            scope.stored[reader.last_text(first, last, Tensor.NAME)] = (first, last)
        elif wire == BYTES and number == Graph.SPARSE_INITIALIZER:
            raise _sparse()
    return (read_node(reader, *span) for span in spans)


def _sparse() -> ModelError:
    return ModelError("the file holds a sparse tensor, which an export never writes: export again")


def _numbers(attribute: AttributeView) -> Numbers:
    """The numbers of an attribute, whether it holds one, a list or a tensor."""
    if attribute.sparse:
        raise _sparse()
    if attribute.ints is None:
        return None
    numbers = attribute.ints if attribute.i is None else (attribute.i, *attribute.ints)
    if not numbers and attribute.tensor is not None:
        return attribute.tensor.numbers()
    return numbers if len(numbers) <= MAX_NUMBERS else None


def _check(node: NodeView, numbers: dict[str, Numbers], scope: _Scope) -> str | None:
    """What is wrong with a node; None if nothing is. Notes in the scope what it adds to the constants."""
    if node.op_type in _LOOPS:
        return "that repeats a part of the graph, which an export never writes"
    if node.op_type == "Constant":
        found = [values for key, values in numbers.items() if key.startswith("value")]
        scope.constants.update(dict.fromkeys(node.outputs, found[0] if found else None))
        return None
    if all(scope.holds(name) for name in node.inputs if name):
        return _on_constants(node, scope)
    return _on_data(node, numbers, scope)


def _on_constants(node: NodeView, scope: _Scope) -> str | None:
    values: Numbers = None
    if node.op_type == "Concat":
        parts = [scope.numbers(name) for name in node.inputs]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts) and sum(map(len, known)) <= MAX_NUMBERS:
            values = sum(known, ())
    elif node.op_type in _KEEP_COUNT and node.inputs:
        values = scope.numbers(node.inputs[0]) if node.op_type in _KEEP_VALUES else None
        scope.constants.update(dict.fromkeys(node.outputs, values))
        return None
    if values is None:
        return "that computes with constants alone, which an export folds"
    scope.constants.update(dict.fromkeys(node.outputs, values))
    return None


def _product(values: tuple[float, ...]) -> float:
    """The elements of a shape; a size of 0 or -1 keeps the input's. Numbers beyond any memory are cut."""
    return min(math.prod(max(abs(v), 1) for v in values), 1e30)


def _padded(pads: tuple[float, ...]) -> float:
    """The elements of padding, begins then ends, around a single one."""
    half = len(pads) // 2
    sides = zip(pads[:half], pads[half:], strict=False)
    return min(math.prod(1 + abs(begin) + abs(end) for begin, end in sides), 1e30)


_COUNTED = (
    (_SIZES, _product, MAX_ELEMENTS, "that makes {:.3g} elements"),
    (_FACTORS, _product, MAX_FACTOR, "that repeats its input {:.3g} times"),
    (_PADS, _padded, MAX_ELEMENTS, "that pads by {:.3g} elements"),
)


def _on_data(node: NodeView, numbers: dict[str, Numbers], scope: _Scope) -> str | None:
    for table, count, limit, what in _COUNTED:
        for position in table.get(node.op_type, ()):
            given = node.inputs[position] if position < len(node.inputs) else ""
            if not given or not scope.holds(given):
                continue
            values = scope.numbers(given)
            if values is None:
                return f"whose size {given[:64]!r} is not a short list of whole numbers"
            if count(values) > limit:
                return f"{what.format(count(values))}, expected at most {limit}"
    return _in_attributes(numbers)


def _in_attributes(numbers: dict[str, Numbers]) -> str | None:
    for key, values in numbers.items():
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
