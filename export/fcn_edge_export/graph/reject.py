"""Rejection: labels whose confidence is too low become unlabeled inside the file.

    decided, confidence --Less, Where--> labels

Everything before it is the plain file, which is verified as such.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.behind_labels import with_nodes, without_nodes
from fcn_edge_export.graph.names import CONFIDENCE, LABELS
from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card

__all__ = ["refuse_rejecting", "rejected", "with_rejection", "without_rejection"]

_DECIDED = "fcn_edge/reject/decided"  # the labels of the plain file
_LOW, _WIDE, _KEPT = (f"fcn_edge/reject/{name}" for name in ("low", "wide", "kept"))


def refuse_rejecting(card: Card, path: object) -> None:
    """Raise UsageError for a file that leaves pixels unlabeled: what is made of its logits labels all."""
    if card.unlabeled_by:
        raise UsageError(
            f"{path} leaves pixels unlabeled, and what is made of it would not: export it without "
            f"{card.unlabeled_by}"
        )


def rejected(labels: np.ndarray, confidence: np.ndarray, least: float, unlabeled: int) -> np.ndarray:
    """What the rejection makes of labels and confidence of equal shapes: below `least` unlabeled."""
    return np.where(confidence < np.float32(least), labels.dtype.type(unlabeled), labels)


def with_rejection(plain: onnx.ModelProto, card: Card, least: float, *, confidence: bool) -> onnx.ModelProto:
    """The file that rejects.

    Args:
        plain: a grafted model whose outputs have `labels` and `confidence`.
        card: of the file, or its draft.
        least: confidence that a label needs, above 0 and below 1.
        confidence: whether it stays an output.
    """
    out = Nodes()
    decided = _DECIDED
    wide = card.label_dtype == "uint16"
    if wide:  # onnxruntime has no Where for uint16
        decided = out.add("Cast", [decided], _WIDE, to=TensorProto.INT32)
    limit = out.constant("reject/least", np.array(least, np.float32))
    low = out.add("Less", [CONFIDENCE, limit], _LOW)
    kind = np.int32 if wide else np.uint8
    nothing = out.constant("reject/unlabeled", np.array(card.unlabeled, kind))
    last = _KEPT if wide else LABELS
    out.add("Where", [low, nothing, decided], last)
    if wide:
        out.add("Cast", [last], LABELS, to=TensorProto.UINT16)
    model = with_nodes(plain, out, _DECIDED)
    graph = model.graph
    kept = [value for value in graph.output if confidence or value.name != CONFIDENCE]
    outputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    graph.ClearField("output")
    graph.output.extend(outputs)
    return model


def without_rejection(model: onnx.ModelProto) -> onnx.ModelProto:
    """The plain file of one that rejects, with `confidence` among its outputs.

    Raises:
        ArtifactError: the model holds no rejection.
    """
    absent = "names a confidence to reject, and the graph rejects nothing"
    plain = without_nodes(model, _DECIDED, absent)
    graph = plain.graph
    if all(value.name != CONFIDENCE for value in graph.output):
        shape = ["batch", "height", "width"]
        graph.output.append(helper.make_tensor_value_info(CONFIDENCE, TensorProto.FLOAT, shape))
    return plain
