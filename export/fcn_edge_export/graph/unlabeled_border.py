"""The border of an image that a network without padding does not cover: unlabeled inside the file.

    decided --Slice, Pad--> labels

The logits of the border are 0, so that `decided` is class 0 there. Everything before it is the plain file,
which is verified as such.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from fcn_edge_export.graph.behind_labels import with_nodes, without_nodes
from fcn_edge_export.graph.names import LABELS
from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_runtime.model.card import Card

__all__ = ["with_border", "with_unlabeled_border", "without_unlabeled_border"]

_DECIDED = "fcn_edge/border/decided"  # the labels of the plain file
_PREFIX = "fcn_edge/border/"


def with_border(labels: np.ndarray, crop: int, unlabeled: int) -> np.ndarray:
    """Labels (N, H, W) without those of the border: half of `crop` above and left, the rest opposite."""
    before, behind = crop // 2, crop - crop // 2
    covered = labels[:, before:-behind, before:-behind]
    sides = (before, behind)
    return np.pad(covered, ((0, 0), sides, sides), constant_values=unlabeled)


def with_unlabeled_border(plain: onnx.ModelProto, card: Card, crop: int) -> onnx.ModelProto:
    """The file that leaves the border unlabeled.

    Args:
        plain: a grafted model.
        card: of the file, or its draft.
        crop: rows and columns of border, both sides together.
    """
    before, behind = crop // 2, crop - crop // 2
    out = Nodes()
    wide = card.label_dtype == "uint16"
    decided = _DECIDED
    if wide:  # onnxruntime has no Pad for uint16
        decided = out.add("Cast", [decided], f"{_PREFIX}wide", to=TensorProto.INT32)
    start, end, axes, pads = (
        out.constant(f"border/{name}", np.array(values, np.int64))
        for name, values in (
            ("start", [before] * 2),
            ("end", [-behind] * 2),
            ("axes", [1, 2]),
            ("pads", [0, before, before, 0, behind, behind]),
        )
    )
    value = np.array(card.unlabeled, np.int32 if wide else np.uint8)
    covered = out.add("Slice", [decided, start, end, axes], f"{_PREFIX}covered")
    last = f"{_PREFIX}padded" if wide else LABELS
    out.add("Pad", [covered, pads, out.constant("border/unlabeled", value)], last)
    if wide:
        out.add("Cast", [last], LABELS, to=TensorProto.UINT16)
    return with_nodes(plain, out, _DECIDED)


def without_unlabeled_border(model: onnx.ModelProto) -> onnx.ModelProto:
    """The plain file of one that leaves the border unlabeled.

    Raises:
        ArtifactError: the model leaves no border.
    """
    absent = "says that the border is unlabeled, and the graph labels it"
    return without_nodes(model, _DECIDED, absent)
