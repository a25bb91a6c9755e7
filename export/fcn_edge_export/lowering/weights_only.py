"""A verified float file with its weights in 8 bits: a quarter of the size, computed in float as before.

    weights (int8) --DequantizeLinear--> Conv, ConvTranspose, MatMul or Gemm of floats

Each output channel has a scale of its own, and no zero point. Nothing is calibrated, since activations are
not rounded. Our runtimes unpack the weights once, when the file is opened, and then take the parent's time
and memory; another onnxruntime does so where `session.disable_quant_qdq` is 1, and in each frame where it is
not. The classifier and what follows it stay as they are, as in every file of lower precision.

Importing and running this module loads no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fcn_edge_export.graph.strip import strip
from fcn_edge_export.lowering.body import OURS, constants_of, drop_unused, head_of, typed
from fcn_edge_export.lowering.lower import (
    LoweringResult,
    checked_output,
    gate_child,
    open_parent,
    write_child,
)
from fcn_edge_export.options import WeightsOptions
from fcn_edge_export.verification.cases import frame_cases
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.evaluation.labels import LabelSource, labels_of
from fcn_edge_runtime.imaging.frames import FrameSource, evenly, frames_of
from fcn_edge_runtime.model.card import LoweringInfo
from fcn_edge_runtime.model.card_facts import ANY
from fcn_edge_runtime.progress import Progress, Stages

__all__ = ["quantize_weights", "with_small_weights"]

LEAST = 1024  # weights: below, the bytes of the scales and of the node are not worth it
MOST_VERIFIED = 48
TOP = 127


def quantize_weights(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    images: FrameSource | None = None,
    *,
    labels: LabelSource | None = None,
    options: WeightsOptions | None = None,
    progress: Progress | None = None,
) -> LoweringResult:
    """Put the weights of a verified float file into 8 bits, and verify that it agrees with its parent.

    Args:
        path: the float file.
        output: the file to write, ending in .onnx. `NAME.verification.json` is written beside it.
        images: frames to verify on: a folder, paths, arrays, a mapping or a function that takes the card, see
            `fcn_edge_runtime.imaging.frames.frames_of`; of more than 48, some are taken. None verifies on the
            patterns of the self-test, which is said in a warning.
        labels: their true labels: a folder, arrays, a mapping or a function, see
            `fcn_edge_runtime.evaluation.labels.labels_of`; mean IoU may fall by half a point.
        options: the agreement; None means the default.
        progress: receives the stages as they run.

    Raises:
        VerificationError: it does not agree. Nothing is written.
        UsageError: an option out of range, labels without images, or a parent that is not a verified fp32
            file or has no weights to speak of.
        InputError: images that cannot be segmented.
        ModelError: the parent was not written by fcn-edge, or was changed.
        ArtifactError: the file cannot be written. Nothing is written.
    """
    options = options or WeightsOptions()
    place = checked_output(path, output, "int8-weights")
    if labels is not None and images is None:
        raise UsageError("labels are given without images: give the folder of the frames they belong to")
    stages = Stages(progress)
    with stages.stage("open") as did:
        parent = open_parent(Path(path))
        card = parent.card
        given = {} if images is None else evenly(frames_of(images, card), MOST_VERIFIED)
        if images is not None and not given:
            raise InputError("got no frames to verify on, expected some of what the model will see")
        truth = None if labels is None or images is None else labels_of(labels, images, list(given), card)
        verified_on = f"{len(given)} frames" if given else "the self-test's patterns"
        did.text = f"{card.name}, verified on {verified_on}"
    with stages.stage("weights") as did:
        model, count, total = with_small_weights(parent.model)
        if not count:
            raise UsageError(
                f"{path} has no layer of {LEAST} weights or more before its classifier: nothing to gain"
            )
        did.text = f"{100 * count / total:.1f} % of {total / 1e6:.1f} M parameters in 8 bits"
    child = gate_child(
        stages,
        parent,
        model,
        tuple(frame_cases(given, card)),
        precision="int8-weights",
        least=options.agreement,
        lowering=LoweringInfo(parent.digest, ANY),
        truth=truth,
        fix="expect less with a lower --agreement, or keep the parent",
    )
    facts = {"parameters": total, "parameters_in_8_bits": count}
    result = write_child(stages, place, parent, child, facts)
    return result if given else result.warned("patterns-alone", _PATTERNS_ALONE)


_PATTERNS_ALONE = "no --images were given: verified on the patterns of the self-test, not on what it will see"


def with_small_weights(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int, int]:
    """A copy of the model with its large weights in 8 bits, their number, and that of all parameters.

    Raises:
        ArtifactError: the model has no tensor of logits.
    """
    made = typed(model)
    head, _ = head_of(made)
    constants = constants_of(made)
    axes: dict[str, int] = {}
    for node in made.graph.node:
        if node.name not in head and not node.name.startswith(OURS):
            for name, axis in _weights(node, constants):
                axes.setdefault(name, axis)
    unpacking, names = [], {}
    for name, axis in axes.items():
        small, scales = _rounded(numpy_helper.to_array(constants[name]), axis)
        packed, scale, names[name] = (f"fcn_edge/{part}/{name}" for part in ("int8", "scale", "weight"))
        made.graph.initializer.append(numpy_helper.from_array(small, packed))
        made.graph.initializer.append(numpy_helper.from_array(scales, scale))
        unpacking.append(helper.make_node("DequantizeLinear", [packed, scale], [names[name]], axis=axis))
    for node in made.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made.graph.node]
    made.graph.ClearField("node")
    made.graph.node.extend([*unpacking, *nodes])
    drop_unused(made)
    total = sum(prod(c.dims) for c in constants.values() if c.data_type == onnx.TensorProto.FLOAT)
    return strip(made), sum(prod(constants[name].dims) for name in axes), total


def _weights(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Iterator[tuple[str, int]]:
    """The large weights of a product, and the axis of their output channels."""
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    for index, name in enumerate(node.input[:2]):
        weight = constants.get(name)
        if weight is None or prod(weight.dims) < LEAST or len(weight.dims) < 2:
            continue
        if weight.data_type != onnx.TensorProto.FLOAT:
            continue
        if node.op_type in ("Conv", "ConvTranspose"):
            yield name, 0 if node.op_type == "Conv" else 1
        elif index == 0:
            yield name, len(weight.dims) - 2
        else:
            yield name, 0 if transposed else len(weight.dims) - 1


def _rounded(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights in int8, and the scale of each channel of the axis."""
    others = tuple(index for index in range(weight.ndim) if index != axis)
    largest = np.abs(weight).max(axis=others)
    scales = np.where(largest > 0, largest / TOP, 1).astype(np.float32)
    shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
    small = np.clip(np.rint(weight / scales.reshape(shape)), -TOP, TOP).astype(np.int8)
    return small, scales
