"""A graph with all of its body in integers, quickly made to measure it: no gate, no file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import onnx

from fcn_edge_export.lowering.body import body_of, typed
from fcn_edge_export.lowering.fold_normalization import folded
from fcn_edge_export.lowering.qdq import target_named, with_qdq
from fcn_edge_export.lowering.ranges import activation_ranges
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["in_integers"]


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
    target = target_named(None)
    plain = typed(model)
    body = body_of(plain)
    entry = folded(plain, body, spec, signed=target.signed)
    ranges = activation_ranges(entry.model, body.tensors, lambda: images, QuantizeOptions.method, entry.known)
    return with_qdq(entry.model, body, ranges, target, frozenset())
