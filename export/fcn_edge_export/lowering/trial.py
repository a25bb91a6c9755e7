"""A graph with all of its body in integers, quickly made to measure it: no gate, no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import onnx

from fcn_edge_export.lowering.body import body_of, typed
from fcn_edge_export.lowering.fold_normalization import folded
from fcn_edge_export.lowering.prepared import prepared
from fcn_edge_export.lowering.qdq import target_named
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["in_integers"]

FITTED = 4  # images that weights are fitted to


def in_integers(
    model: onnx.ModelProto, spec: InputSpec, images: Sequence[npt.NDArray[Any]]
) -> onnx.ModelProto:
    """The graph as `quantize` makes it for this machine where no layer must stay in float.

    Args:
        model: of a float file.
        spec: its input formula.
        images: (N, H, W, C) each, to calibrate on.

    Raises:
        ArtifactError: no layer can be computed in integers, or onnxruntime's quantizer failed.
    """
    plain = typed(model)
    body, target = body_of(plain), target_named(None)
    entry = folded(plain, body, spec, signed=target.signed)
    whole = prepared(entry, body, target, images, images[:FITTED])
    return whole.fitted(images[:FITTED]).in_integers()
