"""Which part of a file a node belongs to: before the network, the network, or the head after it.

Found in the file: the contract fixes the name of the full-size logits (`logits`, with a sparse head
`logits_low`), and every node that export adds is called `fcn_edge/...`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fcn_edge_runtime.model.protobuf.summary import read_model
from fcn_edge_runtime.model.protobuf.views import NodeView

__all__ = ["BEFORE", "HEAD", "NETWORK", "STAGES", "NodeStages", "stages_of"]

BEFORE, NETWORK, HEAD = STAGES = ("before", "network", "head")

_LOGITS = ("logits_low", "logits_padded", "logits")
_UPSAMPLING = ("Resize", "Upsample")
_OURS = "fcn_edge/"


@dataclass(frozen=True)
class NodeStages:
    """Stages by name of a node, and by name of a value for the nodes that onnxruntime names after one.

    Attributes:
        by_node: the stage of each named node.
        by_value: the stage of the node that makes a value.
    """

    by_node: dict[str, str]
    by_value: dict[str, str]

    def of(self, name: str) -> str:
        """The stage of a node that onnxruntime ran; a node that it added counts as the network's."""
        if name in self.by_node:
            return self.by_node[name]
        # "NAME_nchwc" for a layout, "NAME_token_7" for a fusion, "NAME/duplicated" for a copy.
        base = name.removesuffix("/duplicated").removesuffix("_nchwc").partition("_token_")[0]
        return self.by_node.get(base) or self.by_value.get(base) or NETWORK


def stages_of(model: bytes) -> NodeStages:
    """The stages of all nodes of a serialized model, which `summarize` has accepted.

    Nodes that `export` put before the network are `before`. The `head` makes labels of logits: all nodes
    that read the logits, directly or not, and the upsampling that gives them their full size.

    Raises:
        ModelError: the bytes are not an ONNX model.
    """
    nodes = read_model(model)[1].nodes
    made = {value for node in nodes for value in node.outputs}
    logits = next((name for name in _LOGITS if name in made), None)
    head = set() if logits is None else _head(nodes, logits)
    by_node = {}
    by_value = {}
    for node in nodes:
        name = node.name
        stage = BEFORE if name.startswith(_OURS) else NETWORK
        stage = HEAD if head.intersection(node.outputs) else stage
        by_value.update(dict.fromkeys(filter(None, node.outputs), stage))
        if name:
            by_node[name] = stage
    return NodeStages(by_node, by_value)


def _head(nodes: Sequence[NodeView], logits: str) -> set[str]:
    """The values that the head makes of the logits, and the logits if an upsampling makes them."""
    readers: dict[str, list[NodeView]] = defaultdict(list)
    for node in nodes:
        for value in filter(None, node.inputs):
            readers[value].append(node)
    head: set[str] = set()
    values = [logits]
    while values:
        for node in readers[values.pop()]:
            if not head.issuperset(node.outputs):
                head.update(node.outputs)
                values += filter(None, node.outputs)
    for node in nodes:
        if logits in node.outputs and node.op_type in _UPSAMPLING:
            head.update(node.outputs)
    return head - {""}
