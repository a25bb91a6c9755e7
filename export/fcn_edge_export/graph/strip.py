"""Doc strings and metadata of a model removed, so that equal exports give equal bytes."""

from __future__ import annotations

import onnx

__all__ = ["strip"]


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove every doc string and metadata entry, in place: they hold folder names and stack traces."""
    for graph_or_model in (model, model.graph):
        graph_or_model.doc_string = ""
        del graph_or_model.metadata_props[:]
    del model.graph.value_info[:]
    _strip_nodes(model.graph)
    return model


def _strip_nodes(graph: onnx.GraphProto) -> None:
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            attribute.doc_string = ""
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    inner.doc_string = ""
                    del inner.metadata_props[:]
                    _strip_nodes(inner)
