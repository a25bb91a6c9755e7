"""Further outputs of a finished model: the logits of a probe, or values to measure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.names import FULL_SIZE, LOGITS, LOGITS_LOW, LOGITS_PADDED
from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["with_logits_output", "with_outputs"]


def with_logits_output(model: onnx.ModelProto) -> bytes:
    """The probe of a file: the same bytes with `logits` added as an output.

    A file with a sparse head has no such tensor: it also gets the upsampling that computes it, and the inputs
    of that upsampling as further outputs.

    Raises:
        ArtifactError: the model has no tensor of that name, so it cannot be probed.
    """
    made = {name for node in model.graph.node for name in node.output}
    if LOGITS_LOW in made:
        return _sparse_probe(model, made)
    if any(o.name == LOGITS for o in model.graph.output):
        return with_outputs(model, [])
    if not any(LOGITS in node.output for node in model.graph.node):
        raise ArtifactError(
            f"verify: the model holds no tensor called '{LOGITS}', so it cannot be probed: export again"
        )
    return with_outputs(model, [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, None)])


def _sparse_probe(model: onnx.ModelProto, made: set[str]) -> bytes:
    more = onnx.ModelProto()
    if LOGITS not in made:
        padded = "fcn_edge/size" in made
        logits = LOGITS_PADDED if padded else LOGITS
        out = Nodes()
        half_pixel = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        out.add("Resize", [LOGITS_LOW, "", "", FULL_SIZE], logits, **half_pixel)
        if padded:
            axes = out.constant("probe_axes", np.array([2, 3]))
            out.add("Slice", [logits, "fcn_edge/crop_start", "fcn_edge/size", axes], LOGITS)
        more.graph.node.extend(out.nodes)
        more.graph.initializer.extend(out.constants)
    given = {o.name for o in model.graph.output}
    kinds = {LOGITS: TensorProto.FLOAT, LOGITS_LOW: TensorProto.FLOAT, FULL_SIZE: TensorProto.INT64}
    more.graph.output.extend(
        helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items() if name not in given
    )
    return bytes(model.SerializeToString() + more.SerializeToString())


def with_outputs(model: onnx.ModelProto, outputs: Iterable[onnx.ValueInfoProto]) -> bytes:
    """The model's bytes with further outputs: protobuf merges messages that follow each other."""
    more = onnx.ModelProto()
    more.graph.output.extend(outputs)
    return bytes(model.SerializeToString() + more.SerializeToString())
