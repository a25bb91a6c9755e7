"""Which part of a file a node belongs to: before the network, the network, or the head behind it.

Read off the file itself: the contract fixes the name of the full-size scores (`logits`, with a sparse head
`logits_low`), and every node that export adds is called `fcn_edge/...`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fcn_edge_runtime.model.protobuf import BYTES, Walk

__all__ = ["BEFORE", "HEAD", "NETWORK", "STAGES", "NodeStages", "stages_of"]

BEFORE, NETWORK, HEAD = STAGES = ("before", "network", "head")

_SCORES = ("logits_low", "logits_padded", "logits")
_UPSAMPLING = ("Resize", "Upsample")
_OURS = "fcn_edge/"


@dataclass(frozen=True)
class _Node:
    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class NodeStages:
    """NodeStages by name of a node, and by name of a value for the nodes that onnxruntime names after one."""

    by_node: dict[str, str]
    by_value: dict[str, str]

    def of(self, name: str) -> str:
        """The stage of a node that onnxruntime ran; what it made itself counts as the network's."""
        if name in self.by_node:
            return self.by_node[name]
        # "NAME_nchwc" for a layout, "NAME_token_7" for a fusion, "NAME/duplicated" for a copy.
        base = name.removesuffix("/duplicated").removesuffix("_nchwc").partition("_token_")[0]
        return self.by_node.get(base) or self.by_value.get(base) or NETWORK


def stages_of(model: bytes) -> NodeStages:
    """The stages of all nodes of a serialized model, which `wire.summarize` has accepted.

    Nodes that `export` put before the network are `before`. The `head` is what makes labels of scores: all
    that reads the scores, directly or not, and the upsampling that gives them their full size.
    """
    nodes = _nodes(model)
    made = {value for node in nodes for value in node.outputs}
    scores = next((name for name in _SCORES if name in made), "")
    readers: dict[str, list[_Node]] = defaultdict(list)
    for node in nodes:
        for value in node.inputs:
            readers[value].append(node)
    head: set[str] = set()
    values = [scores]
    while values:
        for node in readers[values.pop()]:
            if not head.issuperset(node.outputs):
                head.update(node.outputs)
                values += node.outputs
    head.update(
        value
        for node in nodes
        if scores in node.outputs and node.operator in _UPSAMPLING
        for value in node.outputs
    )
    by_node = {}
    by_value = {}
    for node in nodes:
        stage = BEFORE if node.name.startswith(_OURS) else NETWORK
        stage = HEAD if head.intersection(node.outputs) else stage
        by_value.update(dict.fromkeys(node.outputs, stage))
        if node.name:
            by_node[node.name] = stage
    return NodeStages(by_node, by_value)


def _nodes(model: bytes) -> list[_Node]:
    """The nodes of the main graph: field 7 of a ModelProto, field 1 of a GraphProto."""
    found = []
    with memoryview(model) as view:
        walk = Walk(view.cast("B"))
        for number, wire, start, end in walk.fields(0, len(walk.buffer)):
            if number == 7 and wire == BYTES:
                found += [
                    _node(walk, first, last)
                    for field, kind, first, last in walk.fields(start, end)
                    if field == 1 and kind == BYTES
                ]
    return found


def _node(walk: Walk, start: int, end: int) -> _Node:
    """NodeProto: input 1, output 2, name 3, op_type 4."""
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for number, wire, first, last in walk.fields(start, end):
        if number in texts and wire == BYTES:
            texts[number].append(walk.text(first, last))
    inputs, outputs = (tuple(text for text in texts[key] if text) for key in (1, 2))
    return _Node("".join(texts[3][-1:]), "".join(texts[4][-1:]), inputs, outputs)
