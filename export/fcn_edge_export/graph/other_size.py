"""The graph of a finished file at another working size, to measure it: speed and labels, without PyTorch.

The network is taken out of the file, and image, head and resizing are grafted around it again. A file that is
to be used is exported at that working size, since only PyTorch can verify it.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.graft import can_be_sparse, graft
from fcn_edge_export.graph.names import FULL_SIZE, LOGITS, LOGITS_LOW, LOGITS_PADDED, TRACED_INPUT
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.graph.working_size import fitted
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, WorkingSize
from fcn_edge_runtime.session.session import open_session

__all__ = ["at_working_size"]

OURS = "fcn_edge/"
# Names that the graft gives to tensors of the network; it may give them to others the next time.
PLAIN = {LOGITS_PADDED: LOGITS, LOGITS_LOW: "network/logits_low", FULL_SIZE: "network/full_size"}


def at_working_size(model: onnx.ModelProto, card: Card, working: WorkingSize) -> onnx.ModelProto:
    """The graph that an export at this working size would write, with `labels` as its output.

    Args:
        model: of a float file that sees images at their own size.
        card: of the file.
        working: see `parse_working_size`.

    Raises:
        UsageError: the file is of lower precision or works at a size already, or the size is smaller than the
            network takes.
    """
    if card.precision != "fp32" or card.working_size is not None:
        raise UsageError(
            "got a file of lower precision, or at a working size: expected the float file at the image's size"
        )
    multiple = card.geometry.size_multiple
    network = _network(model, card)
    working = fitted(working, card.geometry.smallest_size)
    coarse = multiple == 1 and can_be_sparse(network)
    return graft(
        network,
        card,
        sparse=card.head == "sparse",
        multiple=multiple,
        working=WorkingSize(working.fraction, working.size, working.least, coarse),
    )


def _network(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """What was grafted into the file: `normalized` to `logits`."""
    nodes = [node for node in model.graph.node if not node.name.startswith(OURS)]
    made = {name for node in nodes for name in node.output}
    nodes = [_renamed(node, PLAIN) for node in nodes]
    if not {LOGITS, LOGITS_PADDED} & made:  # the sparse head does without the last upsampling
        half_pixel = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        inputs = [PLAIN[LOGITS_LOW], "", "", PLAIN[FULL_SIZE]]
        nodes.append(helper.make_node("Resize", inputs, [LOGITS], **half_pixel))
    read = {name for node in nodes for name in node.input}
    channels, classes = card.input.channels, _logits(model, card)
    graph = helper.make_graph(
        nodes,
        "network",
        [_value(TRACED_INPUT, channels)],
        [_value(LOGITS, classes)],
        [constant for constant in model.graph.initializer if constant.name in read],
    )
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


def _logits(model: onnx.ModelProto, card: Card) -> int:
    """How many logits a pixel the network gives: one where it is binary, else one for each class."""
    side = card.geometry.smallest_size
    image = np.zeros((1, side, side, card.input.channels), card.input.dtype)
    return int(open_session(with_logits_output(model), "cpu").run(image, [LOGITS])[LOGITS].shape[1])


def _value(name: str, channels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "height", "width"])
