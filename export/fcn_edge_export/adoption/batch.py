"""Files that were exported at one number of images hold it in their operators: it is taken out of these.

A reshape is told which of its axes holds the images by comparing what shape inference gives for one batch and
for twice as many: the axis of its input that grows has so many elements before it, and as many are before the
axis of its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fcn_edge_export.graph.inferred import inferred_shapes

__all__ = ["take_any_batch"]


def take_any_batch(network: onnx.ModelProto, image: tuple[int, ...], *, fixed: bool) -> None:
    """Take the number of images out of the sizes that are written into operators, in place.

    Args:
        network: of one input [batch, channels, height, width].
        image: the shape of that input, with the number of images that it was exported for.
        fixed: whether this height and width are the only ones.
    """
    graph = network.graph
    shapes = inferred_shapes(network, image)
    constants = {
        t.name: numpy_helper.to_array(t).ravel().tolist() for t in graph.initializer if t.data_type == t.INT64
    }
    producers = {name: node for node in graph.node for name in node.output}
    rows: set[int] = set()  # of matrices in which each row is followed by that of the next image
    for index, node in enumerate(graph.node):
        place = {"Resize": 3, "Reshape": 1}.get(node.op_type, len(node.input))
        if len(node.input) <= place:
            continue
        name = f"given/size_{index}"
        made = producers.get(node.input[place])
        size = constants.get(node.input[place], [])
        batched = shapes.get(node.input[0], image)[:1] == image[:1]
        if node.op_type == "Reshape" and made is not None and made.op_type == "Concat":
            # Of the first sizes, and those that are read off a map.
            first = constants.get(made.input[0], [])
            if first[:1] == [image[0]] and batched:
                rest = any(-1 in constants.get(part, []) for part in made.input)
                made.input[0] = _added(graph, name, [0 if rest else -1, *first[1:]])
        elif (
            node.op_type == "Resize"
            and size[:1] == [image[0]]
            and all(a.name != "axes" for a in node.attribute)
        ):
            node.attribute.append(helper.make_attribute("axes", [*range(1, len(size))]))
            node.input[place] = _added(graph, name, size[1:])
        elif node.op_type == "Reshape" and size and fixed:
            twice = inferred_shapes(network, (2 * image[0], *image[1:]))
            before, grown, after = (
                found.get(tensor)
                for found, tensor in (
                    (shapes, node.input[0]),
                    (twice, node.input[0]),
                    (shapes, node.output[0]),
                )
            )
            if before and grown and after and prod(grown) == 2 * prod(before):
                outer = _before_images(before, grown, rows)
                axis = _axis_of_images(outer, after)
                if len(after) == 2 and axis == 0 and outer > 1:
                    rows.add(outer)
                node.input[place] = _added(graph, name, [*after[:axis], -1, *after[axis + 1 :]])
        elif node.op_type == "Reshape" and size[:1] == [image[0]] and batched:
            node.input[place] = _added(graph, name, [0 if -1 in size else -1, *size[1:]])


def _before_images(before: Sequence[int], grown: Sequence[int], rows: set[int]) -> int:
    """How many elements of a tensor, in its order, are before the axis of the images."""
    axis = next(axis for axis, side in enumerate(before) if grown[axis] != side)
    return before[0] if axis == 0 and before[0] in rows else prod(before[:axis])


def _axis_of_images(outer: int, after: Sequence[int]) -> int:
    """The axis of a reshaped tensor that holds the images, before which there are so many elements."""
    if len(after) == 2 and outer == after[0]:
        return 0  # rows of a matrix product, whose length is that of its weights
    passed = 1
    for axis, side in enumerate(after):
        if passed == outer or passed * side > outer:
            return axis
        passed *= side
    return len(after) - 1


def _added(graph: onnx.GraphProto, name: str, size: Sequence[int]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(size, np.int64), name))
    return name
