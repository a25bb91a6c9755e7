"""Labels from low-resolution logits without upsampling them: exact, and cheap where classes cover areas.

Bilinear upsampling makes every pixel a convex combination of the four corners of its cell of the low
resolution. So, with z the logits of a cell's corners:

    uniform   one class wins at all four corners: it wins everywhere inside.
    pair      two classes a and b win at the corners, and every other class is at most (z_a + z_b) / 2 at each
              corner: then it is at most max(z_a, z_b) everywhere inside, and the sign of z_a - z_b decides.
              One number is interpolated for a pixel instead of one for every class.
    hard      every other cell: all logits of the cell's pixels are interpolated, and the first of the largest
              wins, as in the dense head.

The logits are padded by one at every edge, so that pixels beyond the outermost centers have cells, too. Which
cell a pixel lies in is computed with integers: it is exact at every size. The rounding that remains is that
of a sum of four products, below 8 * 2^-23 of the largest logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.nodes import Nodes

__all__ = ["Upsampling", "sparse_labels", "upsampling_of"]

MODES = {"half_pixel": False, "pytorch_half_pixel": False, "align_corners": True}
HEAD = "fcn_edge/head/"


class Upsampling:
    """The bilinear upsampling that a network ends in.

    Attributes:
        node: the Resize.
        low: the name of the logits it reads, [batch, classes, height, width].
        align_corners: whether the outermost pixels lie on the outermost logits.
    """

    def __init__(self, node: onnx.NodeProto, *, align_corners: bool) -> None:
        self.node, self.low, self.align_corners = node, node.input[0], align_corners


def upsampling_of(graph: onnx.GraphProto, logits: str) -> Upsampling | None:
    """The upsampling that gives `logits`; None if they do not come from plain bilinear upsampling."""
    node = next((n for n in graph.node if logits in n.output), None)
    if node is None or node.op_type != "Resize":
        return None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    mode = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    plain = (
        attributes.get("mode") == b"linear" and not attributes.get("antialias") and "axes" not in attributes
    )
    if not plain or mode not in MODES or len(node.input) < 4 or not node.input[3]:
        return None
    return Upsampling(node, align_corners=MODES[mode])


class _Head:
    """The head being written: arithmetic on named values, each under a name of its own."""

    def __init__(self, out: Nodes) -> None:
        self.out = out
        self.count = 0

    def op(self, op: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        return self.out.add(op, inputs, f"{HEAD}{self.count}_{op}", **attributes)

    def ints(self, *values: int) -> str:
        self.count += 1
        return self.out.constant(f"head/{self.count}", np.array(values, np.int64))

    def scalar(self, value: float, dtype: type = np.int64) -> str:
        self.count += 1
        return self.out.constant(f"head/{self.count}", np.array(value, dtype))

    def reshape(self, value: str, *dims: str | int) -> str:
        """Reshape to dimensions that are numbers or one-element vectors."""
        parts = [d if isinstance(d, str) else self.ints(d) for d in dims]
        return self.op("Reshape", value, self.op("Concat", *parts, axis=0))

    def part(self, value: str, axis: int, start: int, end: int) -> str:
        return self.op("Slice", value, self.ints(start), self.ints(end), self.ints(axis))

    def dim(self, value: str, axis: int) -> str:
        """Length of an axis, a vector of one element."""
        return self.op("Shape", value, start=axis, end=axis + 1)


class _AxisNodes:
    """Operators that find where the pixels of one axis lie among the cells, one more than there are logits.

    Attributes:
        cells: how many, a vector of one element. `most` is the largest number of pixels in one of them.
        place: [pixels] int64: cell * most + position in the cell.
        fraction: [cells, most] float32: how far from a cell's first corner to its second each pixel lies.
    """

    def __init__(self, head: _Head, logits: str, pixels: str, *, align_corners: bool) -> None:
        op, one = head.op, head.ints(1)
        zero = head.scalar(0)
        self.cells = op("Add", logits, one)
        # Position of pixel y, counted from the padding in front: (slope y + offset) / unit, all integers.
        #   half pixel      (y + 1/2) logits / pixels - 1/2 + 1
        #   align corners   y (logits - 1) / (pixels - 1) + 1
        if align_corners:
            slope, unit = op("Sub", logits, one), op("Max", op("Sub", pixels, one), one)
            offset = unit
        else:
            slope, unit = op("Add", logits, logits), op("Add", pixels, pixels)
            offset = op("Add", logits, pixels)
        y = op("Range", zero, op("Squeeze", pixels), head.scalar(1))
        cell = op("Div", op("Add", op("Mul", y, slope), offset), unit)
        number = op("Range", zero, op("Squeeze", self.cells), head.scalar(1))
        begins = op("Mul", number, unit)
        # The first pixel of a cell: the least y with slope y + offset >= cell * unit. Of one logit alone
        # (slope 0, aligned) every pixel lies in the same cell, which begins at 0.
        before = op("Max", op("Sub", begins, offset), head.ints(0))
        rises = op("Max", slope, one)
        first = op("Div", op("Sub", op("Add", before, rises), one), rises)
        inside = op("Sub", y, op("Gather", first, cell))
        self.most = op("Add", op("ReduceMax", inside, keepdims=1), one)
        self.place = op("Add", op("Mul", cell, self.most), inside)
        step = op("Range", zero, op("Squeeze", self.most), head.scalar(1))
        pixel = op("Add", op("Unsqueeze", first, one), op("Unsqueeze", step, head.ints(0)))
        # Which cell is exact; how far into it is rounded as PyTorch rounds it, scale * (y + 1/2) - 1/2.
        # Cell 0 begins before the first logit.
        half = head.scalar(0.0 if align_corners else 0.5, np.float32)
        ratio = (slope, unit) if align_corners else (logits, pixels)
        scale = op("Div", *(op("Cast", length, to=TensorProto.FLOAT) for length in ratio))
        at = op("Sub", op("Mul", op("Add", op("Cast", pixel, to=TensorProto.FLOAT), half), scale), half)
        logit = op("Cast", op("Sub", number, one), to=TensorProto.FLOAT)
        self.fraction = op("Sub", at, op("Unsqueeze", logit, one))


def sparse_labels(
    out: Nodes, low: str, size: Sequence[str], name: str, *, elem_type: int, align_corners: bool, binary: bool
) -> str:
    """Add the head: labels [batch, height, width] of logits [batch, classes, h, w].

    Args:
        out: where to.
        low: the logits.
        size: names of height and width, vectors of one int64 each.
        name: what to call the labels.
        elem_type: of the labels.
        align_corners: see `Upsampling`.
        binary: there is one logit, and label 1 where it is above 0.
    """
    head = _Head(out)
    op = head.op
    if binary:
        # Class 0 gets the logit 0: the first of two equal logits wins, so label 1 needs a logit above 0.
        low = op("Concat", op("Sub", low, low), low, axis=1)
    batch, classes = head.dim(low, 0), head.dim(low, 1)
    rows = _AxisNodes(head, head.dim(low, 2), size[0], align_corners=align_corners)
    columns = _AxisNodes(head, head.dim(low, 3), size[1], align_corners=align_corners)
    padded = op("Pad", low, head.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="edge")
    # The logits of one position side by side, so that a corner is one run of memory.
    corners = head.reshape(op("Transpose", padded, perm=[0, 2, 3, 1]), -1, classes)

    best = op("ArgMax", padded, axis=1, keepdims=0, select_last_index=0)
    upper, lower = head.part(best, 1, 0, -1), head.part(best, 1, 1, 1 << 40)
    four = [head.part(half, 2, *ends) for half in (upper, lower) for ends in ((0, -1), (1, 1 << 40))]
    least, greatest = (head.reshape(op(which, *four), -1) for which in ("Min", "Max"))
    mixed = op("Not", op("Equal", least, greatest))
    cell = op("Squeeze", op("NonZero", mixed), head.ints(0))

    at_row, at_column, near = _corners_of(head, cell, rows, columns, corners)
    a, b = (op("Gather", which, cell) for which in (least, greatest))
    logits_a, logits_b = _logits_of(head, near, a), _logits_of(head, near, b)
    is_pair = _pairs(head, near, logits_a, logits_b)

    def chosen(value: str, condition: str) -> str:
        return op("Compress", value, condition, axis=0)

    def inside(values: str, condition: str, axes: Sequence[int]) -> str:
        """Values at corners [cells, 4, ...] interpolated at pixels: [cells, ..., rows, columns]."""
        down = op("Gather", rows.fraction, chosen(at_row, condition))
        right = op("Gather", columns.fraction, chosen(at_column, condition))
        return _interpolated(head, values, down, right, axes)

    difference = chosen(op("Squeeze", op("Sub", logits_a, logits_b), head.ints(2)), is_pair)
    wins = op(
        "GreaterOrEqual", inside(difference, is_pair, ()), head.scalar(0, np.float32)
    )  # at a tie the first, which is a
    lone = head.ints(1, 2)
    pair_labels = op(
        "Where",
        wins,
        *(op("Unsqueeze", op("Cast", chosen(w, is_pair), to=elem_type), lone) for w in (a, b)),
    )
    is_hard = op("Not", is_pair)
    all_scores = inside(chosen(near, is_hard), is_hard, (1,))
    hard_labels = op("Cast", op("ArgMax", all_scores, axis=1, keepdims=0), to=elem_type)

    area = op("Mul", rows.most, columns.most)
    plain = op("Unsqueeze", op("Cast", least, to=elem_type), head.ints(1))
    labels = op("Expand", plain, op("Concat", head.ints(1), area, axis=0))
    for condition, found in ((is_pair, pair_labels), (is_hard, hard_labels)):
        index = op("Unsqueeze", chosen(cell, condition), head.ints(1))
        labels = op("ScatterND", labels, index, head.reshape(found, -1, area))

    by_cell = head.reshape(labels, batch, rows.cells, columns.cells, rows.most, columns.most)
    by_row = op("Transpose", by_cell, perm=[0, 1, 3, 2, 4])
    canvas = head.reshape(
        by_row, batch, op("Mul", rows.cells, rows.most), op("Mul", columns.cells, columns.most)
    )
    return out.add("Gather", [op("Gather", canvas, rows.place, axis=1), columns.place], name, axis=2)


def _corners_of(
    head: _Head, cell: str, rows: _AxisNodes, columns: _AxisNodes, corners: str
) -> tuple[str, str, str]:
    """(cell row, cell column, logits [cells, 4, classes] at its corners, row by row) of cells by number."""
    op, one = head.op, head.ints(1)
    of_image = op("Mul", rows.cells, columns.cells)
    image, rest = op("Div", cell, of_image), op("Mod", cell, of_image)
    row, column = op("Div", rest, columns.cells), op("Mod", rest, columns.cells)
    wide = op("Add", columns.cells, one)
    tall = op("Add", rows.cells, one)
    first = op("Add", op("Mul", op("Add", op("Mul", image, tall), row), wide), column)
    offsets = op("Concat", head.ints(0), one, wide, op("Add", wide, one), axis=0)
    index = op("Add", op("Unsqueeze", first, one), offsets)
    return row, column, op("Gather", corners, index)


def _logits_of(head: _Head, near: str, which: str) -> str:
    """The logits [cells, 4, 1] of one class a cell, out of [cells, 4, classes]."""
    index = head.op("Unsqueeze", which, head.ints(1, 2))
    four = head.op("Concat", *([index] * 4), axis=1)
    return head.op("GatherElements", near, four, axis=2)


def _pairs(head: _Head, near: str, logits_a: str, logits_b: str) -> str:
    """Which cells [cells] are decided by two classes alone."""
    op, axis = head.op, head.ints(2)
    half = op("Mul", op("Add", logits_a, logits_b), head.scalar(0.5, np.float32))
    above = op("ReduceSum", op("Cast", op("Greater", near, half), to=TensorProto.FLOAT), axis, keepdims=1)
    # Of a and b one is above their half, or none if they are equal; then no third may be above them.
    third = op("Greater", above, head.scalar(1, np.float32))
    top = op("Greater", op("ReduceMax", near, axis, keepdims=1), op("Max", logits_a, logits_b))
    fails = op("Cast", op("Or", third, top), to=TensorProto.FLOAT)
    return op("Equal", op("ReduceSum", fails, head.ints(1, 2), keepdims=0), head.scalar(0, np.float32))


def _interpolated(head: _Head, values: str, down: str, right: str, axes: Sequence[int]) -> str:
    """Bilinear: [cells, 4, ...] with [cells, rows] and [cells, columns] -> [cells, ..., rows, columns]."""
    op = head.op
    last = 1 + len(axes)
    corner = [
        op("Unsqueeze", op("Squeeze", head.part(values, 1, i, i + 1), head.ints(1)), head.ints(last))
        for i in range(4)
    ]
    if axes:
        down, right = (op("Unsqueeze", f, head.ints(*axes)) for f in (down, right))
    left_side, right_side = (
        op("Add", corner[i], op("Mul", down, op("Sub", corner[i + 2], corner[i]))) for i in (0, 1)
    )
    across = op("Unsqueeze", op("Sub", right_side, left_side), head.ints(last + 1))
    start = op("Unsqueeze", left_side, head.ints(last + 1))
    return op("Add", start, op("Mul", op("Unsqueeze", right, head.ints(last)), across))
