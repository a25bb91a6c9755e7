"""A network of multiples, traced at heights and widths that are multiples: n * rows and n * columns.

The tracer knows nothing of divisibility: it computes with floor((height + 1) / 2) and such, one in another
for each layer, and compares long expressions for minutes. So the image is traced in blocks,
[batch, channels, rows, n, columns, n]: then the height is n * rows, and half of it is n / 2 * rows.
In the traced model the image takes its own shape again.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper
from torch import Tensor, nn

__all__ = ["InBlocks", "blocks_of", "without_blocks"]


class InBlocks(nn.Module):
    """The network for an image in blocks.

    Args:
        net: takes [batch, channels, height, width].
        multiple: of its heights and widths.
    """

    def __init__(self, net: nn.Module, multiple: int) -> None:
        super().__init__()
        self.net = net
        self.multiple = multiple

    def forward(self, x: Tensor) -> Tensor:
        """What the network returns for x [batch, channels, rows, multiple, columns, multiple]."""
        batch, channels, rows, _, columns, _ = x.shape
        logits: Tensor = self.net(x.reshape(batch, channels, rows * self.multiple, columns * self.multiple))
        return logits


def blocks_of(image: Tensor, multiple: int) -> Tensor:
    """[batch, channels, height, width] as [batch, channels, rows, multiple, columns, multiple]."""
    batch, channels, height, width = image.shape
    return image.reshape(batch, channels, height // multiple, multiple, width // multiple, multiple)


def without_blocks(model: onnx.ModelProto, multiple: int) -> onnx.ModelProto:
    """The model for [batch, channels, height, width], in place.

    Its nodes that reshape the blocks to the image vanish; others, which ask for the shape of the blocks, are
    given the image in blocks.

    Args:
        model: of one input [batch, channels, rows, multiple, columns, multiple].
        multiple: of its heights and widths.
    """
    graph = model.graph
    image, blocks = graph.input[0].name, f"{graph.input[0].name}_in_blocks"
    whole = {node.output[0] for node in graph.node if node.op_type == "Reshape" and node.input[0] == image}
    kept = [node for node in graph.node if node.output[0] not in whole]
    for node in kept:
        for position, name in enumerate(node.input):
            if name == image:
                node.input[position] = blocks
            elif name in whole:
                node.input[position] = image
    if any(blocks in node.input for node in kept):
        kept = [*_reshaped(graph, image, blocks, multiple), *kept]
    del graph.node[:]
    graph.node.extend(kept)
    shape = graph.input[0].type.tensor_type.shape
    sides = [shape.dim[axis] for axis in (0, 1, 2, 4)]
    for side in sides[2:]:
        if not side.dim_param:
            side.dim_value *= multiple
    dims = [side.dim_param or side.dim_value for side in sides]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(image, TensorProto.FLOAT, dims))
    return model


def _reshaped(graph: onnx.GraphProto, image: str, blocks: str, multiple: int) -> list[onnx.NodeProto]:
    """Nodes that reshape the image to blocks."""

    def constant(name: str, *values: int) -> str:
        graph.initializer.append(
            helper.make_tensor(f"{blocks}.{name}", TensorProto.INT64, [len(values)], values)
        )
        return f"{blocks}.{name}"

    step, height, width = constant("multiple", multiple), f"{blocks}.height", f"{blocks}.width"
    nodes = [helper.make_node("Shape", [image], [f"{blocks}.start"], start=0, end=2)]
    for name, axis in ((height, 2), (width, 3)):
        nodes.append(helper.make_node("Shape", [image], [name], start=axis, end=axis + 1))
        nodes.append(helper.make_node("Div", [name, step], [f"{name}.blocks"]))
    shape = [f"{blocks}.start", f"{height}.blocks", step, f"{width}.blocks", step]
    nodes.append(helper.make_node("Concat", shape, [f"{blocks}.shape"], axis=0))
    nodes.append(helper.make_node("Reshape", [image, f"{blocks}.shape"], [blocks]))
    return nodes
