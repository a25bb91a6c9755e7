"""One run over a graph without computing its tensors, for an image of a given size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from math import prod
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.dry_run.arrangement import sides_of
from fcn_edge_runtime.model.dry_run.operators import ALLOWED, CUT_OFF, MORE_TYPES, TYPE_SOURCES, TYPES
from fcn_edge_runtime.model.dry_run.tensor import Known, Refused, Step
from fcn_edge_runtime.model.dry_run.values import COMPUTED, MOST
from fcn_edge_runtime.model.protobuf.fields import DataType
from fcn_edge_runtime.model.protobuf.summary import GraphView
from fcn_edge_runtime.model.protobuf.tensors import MAX_RANK, MAX_SIDE, NUMPY_TYPES, TensorView
from fcn_edge_runtime.model.protobuf.views import NodeView

__all__ = ["DryRun"]

# Bytes of tensors for each pixel of the image, and for each class of each pixel. What one operator alone
# reads is free after it, and is room for its output; the rest adds up, as if it were all there at once: the
# order in which onnxruntime runs a graph is its own. U-Nets take 1 KB, dense blocks 10, and transformers of
# 150 MB 31 KB: a file has what a small one may take, and more by its size, so that no small file takes much.
BYTES, MOST_BYTES = 20 << 10, 40 << 10
BYTES_OF_CLASS, BYTES_OF_CLASSES = 48, 16 << 10
# Multiplications for each pixel: ten times what a U-Net needs.
PRODUCTS = 8 << 20
# An image counts as at least so many pixels: a smaller one takes no less of what does not depend on its size.
FEWEST = 64 * 64
# A network that sees more than the image, which is resized or padded for it, may take what an image of that
# size may, and at most so much: a U-Net takes 2 GB at 1024x2048, and a card may state up to 4096x4096.
SEEN_BYTES, SEEN_PRODUCTS = 4 << 30, 2 << 40
# Bytes that are made of stored tensors alone, as onnxruntime does when it loads a file: for each byte of the
# file, and besides. Weights of 8 bits become floats, and are perhaps turned.
STORED, BESIDES = 8, 4 << 20
# Sides of stored tensors up to so many are kept, to compute sizes with.
FEW_FLOATS, FEW_INTEGERS = 64, MOST
# An attribute's number: sizes are bounded more tightly by the rules.
LARGEST = 1 << 20

_NUMBERS = {name: kind for kind, name in NUMPY_TYPES.items()}
_MEASURES = ("Shape", "Size")  # their values do not need those of their inputs


class _Count:
    """What a graph costs, compared with its limits as it adds up."""

    def __init__(self, images: int, pixels: int, seen: int, classes: int, size: int) -> None:
        more = size // FEWEST
        of_pixel = min(BYTES + more, MOST_BYTES) + min(classes * BYTES_OF_CLASS, BYTES_OF_CLASSES + more)
        pixels = max(images * pixels, FEWEST)
        self.stored_left: float = STORED * size + BESIDES
        self.bytes_left: float = max(pixels * of_pixel, images * min(seen * of_pixel, SEEN_BYTES))
        self.products_left: float = max(pixels * PRODUCTS, images * min(seen * PRODUCTS, SEEN_PRODUCTS))
        self.most = self.bytes_left

    def work(self, products: float) -> None:
        if products > self.products_left:
            raise Refused("that takes more time than the network of an export needs")
        self.products_left -= products

    def scratch(self, elements: float) -> None:
        if 4 * elements > self.most:
            raise Refused(f"that takes over {self.most:.3g} bytes while it runs")

    def made(self, size: float, room: float, *, constant: bool) -> None:
        """Add bytes of tensors, for which there will be room once the operator has run."""
        if constant:
            self.stored_left -= size
            if self.stored_left < 0:
                raise Refused("that makes far more of stored tensors than the file holds")
            return
        if size > self.bytes_left:
            raise Refused(f"with which tensors take over {self.most:.3g} bytes, more than those of an export")
        self.bytes_left -= max(size - room, 0)


class DryRun:
    """A graph, ready to be followed for any size of image. It refers to nothing of the file's bytes.

    Args:
        graph: what `read_model` gave, within the limits of `limits.check_graph`.
        size: bytes of the file.
        classes: of the model.
        kind: type of a number in the image, one of `NUMPY_TYPES`.
        name: what messages call the file.
        trusted: operators to follow no further: what they make is not limited.
        seen: (height, width) of an image -> of what the network sees.
    """

    def __init__(
        self,
        graph: GraphView,
        size: int,
        classes: int,
        kind: int,
        name: str,
        trusted: Collection[str] = (),
        seen: Callable[[int, int], tuple[int, int]] | None = None,
    ) -> None:
        self._classes, self._kind = classes, kind
        self._seen = seen
        self._name, self._trusted = name, frozenset(trusted)
        self._size = size
        self._stored = {key: _stored(tensor) for key, tensor in graph.tensors.items()}
        self._steps: list[Step] = []
        for node in graph.nodes:
            try:
                if node.op_type == "Constant":
                    self._stored.update(_constant(node))
                else:
                    self._steps.append(_step(node))
            except Refused as reason:
                raise self._error(node.op_type, reason) from None
        uses = Counter(name for step in self._steps for name in step.inputs)
        uses.update(("image", "", *(tensor.name for tensor in graph.outputs)))
        self._steps = [
            step._replace(alone=tuple([uses[name] == 1 for name in step.inputs])) for step in self._steps
        ]

    def check(self, batch: int, height: int, width: int, channels: int) -> None:
        """Follow the graph for images of this size.

        Raises:
            ModelError: an operator would make more than the network of an export does.
        """
        self.follow(batch, height, width, channels)

    def follow(self, batch: int, height: int, width: int, channels: int) -> dict[str, Known]:
        """What is known of each tensor for images of this size, by name.

        Those that trusted operators make are left out.

        Raises:
            ModelError: as `check`.
        """
        seen = self._seen(height, width) if self._seen is not None else (height, width)
        count = _Count(batch, height * width, prod(seen), self._classes, self._size)
        known = dict(self._stored)
        known["image"] = Known((batch, height, width, channels), self._kind)
        unknown: set[str] = set()
        with np.errstate(all="ignore"):
            for step in self._steps:
                if step.op in self._trusted or not unknown.isdisjoint(step.inputs):
                    unknown.update(filter(None, step.outputs))
                    continue
                try:
                    made = _follow(step, [known[name] if name else None for name in step.inputs], count)
                except Refused as reason:
                    shape = f" for an image of {batch}x{height}x{width}"
                    raise self._error(step.op, f"{reason}{shape}") from None
                known.update(zip(step.outputs, made, strict=False))
        return known

    def check_count(self, most: int, why: str) -> None:
        """Refuse more operators than that; those that the user trusts are not counted.

        Args:
            most: operators.
            why: the reason, and what to do.

        Raises:
            ModelError: there are more.
        """
        counts = Counter(step.op for step in self._steps if step.op not in self._trusted)
        if counts.total() > most:
            op = counts.most_common(1)[0][0]
            raise ModelError(
                f"{self._name} has {counts.total()} operators, expected at most {most}, because {why}, "
                f"or allow the most frequent one if you trust the file (--allow-operators {op})"
            )

    def _error(self, op: str, reason: object) -> ModelError:
        return ModelError(
            f"{self._name} has an operator {op} {reason}: export again, "
            f"or allow it if you trust the file (--allow-operators {op})"
        )


def _follow(step: Step, inputs: list[Known | None], count: _Count) -> list[Known]:
    """What an operator makes."""
    op = step.op
    try:
        shapes = ALLOWED[op](step, inputs, count)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise Refused("whose inputs do not fit it") from None
    if len(step.outputs) > len(shapes):
        raise Refused(f"with {len(step.outputs)} outputs")
    constant, exact, valued, elements, room, total = True, op not in CUT_OFF, True, 0, 0, 0
    for x, alone in zip(inputs, step.alone, strict=True):
        if x is not None:
            constant = constant and x.constant
            exact = exact and x.exact
            valued = valued and x.value is not None
            elements += x.elements
            if alone and not x.constant:
                room += x.bytes
    kind = _kind(step, inputs)
    made: list[Known] = []
    for dims in shapes[: len(step.outputs)]:
        if len(dims) > MAX_RANK or max(dims, default=0) > MAX_SIDE:
            raise Refused(f"that makes {len(dims)} dimensions, of at most {max(dims)}")
        tensor = Known(dims, MORE_TYPES.get(op, kind) if made else kind, exact=exact, constant=constant)
        elements += tensor.elements
        total += tensor.bytes
        made.append(tensor)
    count.made(total, room, constant=constant)
    count.work(16 * elements)
    if exact and (valued or op in _MEASURES) and made and made[0].elements <= MOST:
        made[0].value = _value(step, inputs)
    return made


def _kind(step: Step, inputs: list[Known | None]) -> int:
    """The type of what an operator makes."""
    op = step.op
    if op in TYPES:
        return TYPES[op]
    if op in ("Cast", "EyeLike"):
        kind = step.numbers.get("to", step.numbers.get("dtype", DataType.FLOAT))
        if kind not in NUMPY_TYPES:
            raise Refused(f"to the type {kind}")
        return kind
    if op == "ConstantOfShape":
        return DataType.FLOAT if step.tensor is None else _NUMBERS[step.tensor.dtype.str]
    at = TYPE_SOURCES.get(op, 0)
    source = inputs[at] if at < len(inputs) else None
    return DataType.FLOAT if source is None else source.kind


def _value(step: Step, inputs: list[Known | None]) -> np.ndarray | None:
    """The value of what an operator makes, if it can be known."""
    first = inputs[0] if inputs else None
    if step.op == "Shape" and first is not None:
        return sides_of(step, first)
    if step.op == "Size" and first is not None:
        return np.array(first.elements, np.int64)
    computed = COMPUTED.get(step.op)
    if computed is None:
        return None
    arrays: list[Any] = [None if x is None else x.value for x in inputs]
    try:
        return computed(step, arrays)
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError):
        return None


def _stored(tensor: TensorView) -> Known:
    floats = NUMPY_TYPES[tensor.data_type][1] == "f"
    few = tensor.elements <= (FEW_FLOATS if floats else FEW_INTEGERS)
    value = tensor.values() if few else None
    return Known(tensor.dims, tensor.data_type, value, constant=True)


def _constant(node: NodeView) -> dict[str, Known]:
    """The tensor that a node `Constant` holds, by its name."""
    if len(node.outputs) != 1 or node.inputs or len(node.attributes) != 1:
        raise Refused("of another form than one value")
    ((key, view),) = node.attributes.items()
    if key == "value" and view.tensor is not None:
        found = _stored(view.tensor)
    elif key == "value_int" and view.i is not None:
        found = Known((), DataType.INT64, np.array(view.i, np.int64), constant=True)
    elif key == "value_ints":
        value = np.array(view.ints, np.int64)
        found = Known((len(view.ints),), DataType.INT64, value, constant=True)
    elif key in ("value_float", "value_floats"):
        found = Known((view.floats,) if key == "value_floats" else (), DataType.FLOAT, constant=True)
    else:
        raise Refused(f"with the value {key}")
    return {node.outputs[0]: found}


def _step(node: NodeView) -> Step:
    """The node without references to the file."""
    numbers: dict[str, int] = {}
    lists: dict[str, tuple[int, ...]] = {}
    texts: dict[str, str] = {}
    tensor: np.ndarray | None = None
    for key, view in node.attributes.items():
        if view.i is not None:
            numbers[key] = view.i
        elif view.ints:
            lists[key] = view.ints
        elif view.s is not None:
            texts[key] = view.s
        elif view.tensor is not None:
            if view.tensor.elements != 1:
                raise Refused(f"with {view.tensor.elements} numbers in {key}")
            tensor = view.tensor.values()
    for key, values in (*lists.items(), *((key, (i,)) for key, i in numbers.items())):
        if max(values) > LARGEST or min(values) < -LARGEST:
            raise Refused(f"with {key} beyond {LARGEST}")
    op = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return Step(op, node.inputs, node.outputs, numbers, lists, texts, tensor)
