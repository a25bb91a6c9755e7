"""Whether a network computes each logit of a window of its image, and its two axes apart from each other.

Of such a network an image of two large sides holds nothing that two stripes do not hold, one as high and one
as wide: no sum over the whole map, whose error grows with the area; no position or other number made of the
size among its values; and no shape that is made of height and width together. What is not known to be so is
not: an operator that is not listed, a branch inside of the graph.
"""

from __future__ import annotations

import onnx
from onnx import helper

from fcn_edge_export.graph.names import TRACED_INPUT

__all__ = ["is_local"]

_AXES = frozenset({2, 3})  # of the maps, whose axes stay in their order
_WINDOWS = frozenset(
    """
    Abs Add And AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose DepthToSpace Div Dropout
    Elu Equal Erf Exp Gelu Greater HardSigmoid HardSwish Identity LeakyRelu Less Log Max MaxPool Mean Min
    Mish Mul Neg Not Or PRelu Pad Pow Reciprocal Relu Resize Round Selu Sigmoid Slice Softplus Softsign
    SpaceToDepth Split Sqrt Sub Sum Tanh ThresholdedRelu Where
    """.split()  # noqa: SIM905 (a table of words reads better than a list of quotes)
)
# Their inputs that shape a result and are not among its values.
_SHAPING = {"Resize": (1, 2, 3), "Slice": (1, 2, 3, 4), "Pad": (1, 3), "Split": (1,)}
_MOVING = frozenset({"Cast", "Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze"})


def is_local(network: onnx.ModelProto) -> bool:
    """Whether each logit is computed of a window, and each axis apart from the other.

    Args:
        network: `normalized` -> `logits`, both NCHW.
    """
    of_image = {TRACED_INPUT}
    of_size: dict[str, frozenset[int]] = {}  # name -> the axes that it is made of
    for node in network.graph.node:
        if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
            return False
        from_image = [index for index, name in enumerate(node.input) if name in of_image]
        from_size = [index for index, name in enumerate(node.input) if name in of_size]
        if node.op_type == "Shape" and from_image:
            of_size[node.output[0]] = _axes_of(node)
        elif from_image:
            shaping = _SHAPING.get(node.op_type, ())
            if node.op_type not in _WINDOWS or any(index in shaping for index in from_image):
                return False
            if any(index not in shaping for index in from_size):
                return False
            of_image.update(node.output)
        elif from_size:
            axes = frozenset[int]().union(*(of_size[node.input[index]] for index in from_size))
            if axes == _AXES and node.op_type not in _MOVING:
                return False
            of_size.update(dict.fromkeys(node.output, axes))
    return True


def _axes_of(node: onnx.NodeProto) -> frozenset[int]:
    """Height and width among what a Shape gives."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    start, end = attributes.get("start", 0), attributes.get("end", 4)
    return _AXES & set(range(4)[start:end])
