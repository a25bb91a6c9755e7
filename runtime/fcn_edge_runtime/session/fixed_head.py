"""The head of a network for images of one size: operators that OpenVINO compiles to a few loops.

    columns   the logits left and right of each column of pixels, interpolated: at the logits' own height
    rows      between each two rows of these, at as many heights as there are rows of pixels between them
    labels    class after class, the larger score and the number of its class: the first of the largest wins

What a pixel is made of are constants, as in `numpy_head`, whose `Axis` they come from. Products, sums and
comparisons of elements, unlike an operator that resizes, stay in float32 where OpenVINO computes the network
in bfloat16, and it makes one loop of many of them. In onnxruntime's own kernels each would be a loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fcn_edge_runtime.model.protobuf.fields import (
    Attribute,
    AttributeType,
    DataType,
    Graph,
    Node,
    Tensor,
    TensorType,
    Type,
    ValueInfo,
)
from fcn_edge_runtime.model.protobuf.writing import field, message
from fcn_edge_runtime.session.numpy_head import Axis

__all__ = ["MOST_CLASSES", "fixed_head"]

# Every class is computed at every pixel, while numpy leaves out most of both: with more, it is as fast.
MOST_CLASSES = 16
_TYPES = {np.dtype(np.float32): DataType.FLOAT, np.dtype(np.int64): DataType.INT64}
_LABELS = {"uint8": DataType.UINT8, "uint16": DataType.UINT16}


def fixed_head(
    logits: str, shape: Sequence[int], size: tuple[int, int], *, align_corners: bool, dtype: str
) -> tuple[bytes, ...]:
    """What a graph that makes logits lacks to make the labels of one image: operators, constants, the output.

    Args:
        logits: their name.
        shape: theirs, (1, classes, h, w).
        size: (height, width) of the labels.
        align_corners: see `numpy_head.labels_of_logits`.
        dtype: of the labels, "uint8" or "uint16".

    Returns:
        Fields of a GraphProto, for opset 18.
    """
    _, classes, rows, columns = shape
    height, width = size
    down = Axis.of(rows, height, align_corners=align_corners)
    before, after, fraction = Axis.of(columns, width, align_corners=align_corners).neighbors()
    graph = _Fields()

    left, right = (graph.node("Gather", logits, graph.stored(side), axis=3) for side in (before, after))
    wide = graph.between(left, graph.node("Sub", right, left), graph.stored(fraction))
    above, below = (
        graph.node("Gather", wide, graph.stored(side), axis=2) for side in (down.padded[:-1], down.padded[1:])
    )
    layout = graph.stored(np.array([classes, down.cells, 1, width]))
    starts, steps = (
        graph.split(graph.node("Reshape", value, layout), classes)
        for value in (above, graph.node("Sub", below, above))
    )
    place = graph.stored(down.fraction[None, :, :, None])
    scores = [graph.between(start, step, place) for start, step in zip(starts, steps, strict=True)]

    label = graph.number(0)
    best = graph.number(0) if classes == 1 else scores.pop(0)
    for number, score in enumerate(scores, 1):
        wins = graph.node("Greater", score, best)
        label = graph.node("Where", wins, graph.number(number), label)
        best = graph.node("Max", score, best)

    label = graph.node("Cast", label, to=_LABELS[dtype])
    label = graph.node("Reshape", label, graph.stored(np.array([1, down.cells * down.most, width])))
    graph.node("Gather", label, graph.stored(down.places()), axis=1, output="labels")
    kind = message(Type.TENSOR_TYPE, field(TensorType.ELEM_TYPE, _LABELS[dtype]))
    output = message(Graph.OUTPUT, field(ValueInfo.NAME, "labels"), message(ValueInfo.TYPE, kind))
    return (*graph.fields, output)


class _Fields:
    """Fields of a graph, one after another, and names for what they make."""

    def __init__(self) -> None:
        self.fields: list[bytes] = []

    def stored(self, values: np.ndarray) -> str:
        """A constant; returns its name."""
        name = self._name()
        tensor = [field(Tensor.DIMS, side) for side in values.shape]
        tensor += [field(Tensor.DATA_TYPE, _TYPES[values.dtype]), field(Tensor.NAME, name)]
        little = values.astype(values.dtype.newbyteorder("<"))
        self.fields.append(message(Graph.INITIALIZER, *tensor, field(Tensor.RAW_DATA, little.tobytes())))
        return name

    def number(self, value: int) -> str:
        """A float that goes with all elements; returns its name."""
        return self.stored(np.full((1, 1, 1, 1), value, np.float32))

    def node(self, op: str, *inputs: str, output: str = "", **attributes: int) -> str:
        """An operator; returns the name of its output."""
        output = output or self._name()
        self._add(op, inputs, [output], attributes)
        return output

    def split(self, value: str, count: int) -> list[str]:
        """Parts of one along the first axis; returns their names."""
        outputs = [f"{self._name()}.{part}" for part in range(count)]
        self._add("Split", (value, self.stored(np.ones(count, np.int64))), outputs, {"axis": 0})
        return outputs

    def between(self, start: str, step: str, fraction: str) -> str:
        """The sum of a start and a part of a step; returns its name."""
        return self.node("Add", start, self.node("Mul", step, fraction))

    def _add(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, int]
    ) -> None:
        integer = field(Attribute.TYPE, AttributeType.INT)
        parts = [field(Node.INPUT, name) for name in inputs]
        parts += [field(Node.OUTPUT, name) for name in outputs]
        parts += [field(Node.NAME, outputs[0]), field(Node.OP_TYPE, op)]
        parts += [
            message(Node.ATTRIBUTE, field(Attribute.NAME, name), field(Attribute.I, value), integer)
            for name, value in attributes.items()
        ]
        self.fields.append(message(Graph.NODE, *parts))

    def _name(self) -> str:
        return f"fcn_edge.head.{len(self.fields)}"
