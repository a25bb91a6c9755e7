"""Nodes behind the labels of a plain file, which take some of them back; and the plain file again."""

from __future__ import annotations

import onnx

from fcn_edge_export.graph.names import LABELS
from fcn_edge_export.graph.nodes import Nodes, rename
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["with_nodes", "without_nodes"]


def with_nodes(plain: onnx.ModelProto, further: Nodes, decided: str) -> onnx.ModelProto:
    """The model with nodes that make `labels` of its own labels, which are called `decided` from then on.

    The last of the nodes, whose name is that of the plain file's last one, is named after the others.
    """
    further.nodes[-1].name = f"{_folder(decided)}labels"
    model = onnx.ModelProto()
    model.CopyFrom(plain)
    rename(model.graph, LABELS, decided)
    model.graph.node.extend(further.nodes)
    model.graph.initializer.extend(further.constants)
    return model


def without_nodes(model: onnx.ModelProto, decided: str, absent: str) -> onnx.ModelProto:
    """The plain file of one of `with_nodes`: without all nodes and constants named like `decided`.

    Raises:
        ArtifactError: the model has no labels of that name: "verify: the card", and `absent`.
    """
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    graph = plain.graph
    if not any(decided in node.output for node in graph.node):
        raise ArtifactError(f"verify: the card {absent}")
    for node in [node for node in graph.node if node.name.startswith(_folder(decided))]:
        graph.node.remove(node)
    for constant in [c for c in graph.initializer if c.name.startswith(_folder(decided))]:
        graph.initializer.remove(constant)
    rename(graph, decided, LABELS)
    return plain


def _folder(decided: str) -> str:
    """fcn_edge/reject/ of fcn_edge/reject/decided."""
    return decided[: decided.rindex("/") + 1]
