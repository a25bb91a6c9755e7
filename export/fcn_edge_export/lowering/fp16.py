"""A verified float file in half precision, for GPUs. On a CPU it is slower than its parent.

    image --normalize (float32)--> [ body: float16 ] --classifier--> logits (float32) --upsample--> ArgMax

The body alone is converted, by onnxruntime's own converter: logits upsampled with 11 bits tie and band.
Importing and running this module loads no torch.

On a CPU onnxruntime computes such a file in float32 with weights rounded to float16, so a gate on a CPU
verifies the weights alone. Run it on the GPU that the file is for. On a provider where it was not verified,
the file's self-test runs when the file is opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from fcn_edge_export.graph.names import LOGITS_LOW, TRACED_INPUT
from fcn_edge_export.graph.strip import strip
from fcn_edge_export.lowering.body import OURS, head_of, typed
from fcn_edge_export.lowering.lower import (
    LoweringResult,
    checked_output,
    gate_child,
    open_parent,
    write_child,
)
from fcn_edge_export.options import Fp16Options
from fcn_edge_export.verification.cases import frame_cases
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.evaluation.labels import LabelSource, labels_of
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import LoweringInfo
from fcn_edge_runtime.progress import Progress, Stages

__all__ = ["body_in_fp16", "convert_to_fp16"]

Array = npt.NDArray[Any]


def convert_to_fp16(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    images: FrameSource,
    *,
    labels: LabelSource | None = None,
    options: Fp16Options | None = None,
    progress: Progress | None = None,
) -> LoweringResult:
    """Convert the body of a verified float file to float16 and verify the result against its parent.

    Args:
        path: the float file.
        output: the file to write, ending in .onnx. `NAME.verification.json` is written beside it.
        images: frames to verify on: a folder, paths, arrays, a mapping or a function that takes the card, see
            `fcn_edge_runtime.imaging.frames.frames_of`.
        labels: their true labels: a folder, arrays, a mapping or a function, see
            `fcn_edge_runtime.evaluation.labels.labels_of`; mean IoU may fall by half a point.
        options: agreement and device; None means the defaults.
        progress: receives the stages as they run.

    Raises:
        VerificationError: it does not agree. Nothing is written.
        UsageError: an option out of range, or a parent that is not a verified fp32 file.
        InputError: no frames are given, or one cannot be segmented.
        ModelError: the parent was not written by fcn-edge, or was changed.
        ProviderError: the device does not start.
        ArtifactError: the conversion failed, or the file cannot be written. Nothing is written.
    """
    options = options or Fp16Options()
    place = checked_output(path, output, "fp16")
    stages = Stages(progress)
    with stages.stage("open") as did:
        parent = open_parent(Path(path))
        if any(LOGITS_LOW in node.output for node in parent.model.graph.node):
            raise UsageError(
                f"{path} has the sparse head, which is for CPUs, and fp16 is for GPUs: "
                "export it with the dense head first"
            )
        given = frames_of(images, parent.card)
        truth = None if labels is None else labels_of(labels, images, list(given), parent.card)
        frames = tuple(frame_cases(given, parent.card))
        if not frames:
            raise InputError("got no frames to verify on, expected some of what the model will see")
        did.text = f"{parent.card.name}, {len(frames)} frames to verify on"
    with stages.stage("fp16") as did:
        model = body_in_fp16(parent.model)
        did.text = f"body in float16, logits and what follows in float32; {len(model.graph.node)} nodes"
    child = gate_child(
        stages,
        parent,
        model,
        frames,
        precision="fp16",
        least=options.agreement,
        lowering=LoweringInfo(parent.digest, "gpu"),
        truth=truth,
        device=options.device,
    )
    return write_child(stages, place, parent, child, {})


def body_in_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with its body, from the normalized image to the classifiers, in float16.

    Raises:
        ArtifactError: the model has no tensor of logits, or onnxruntime's converter failed.
    """
    whole = typed(model)
    head, classifiers = head_of(whole)
    behind = head - set(classifiers)
    ours = [n for n in whole.graph.node if n.name.startswith(OURS)]
    body = [n for n in whole.graph.node if n.name not in behind and not n.name.startswith(OURS)]
    rest = [n for n in whole.graph.node if n.name in behind]
    converted = _converted(whole, body, _boundary(whole, body, [*ours, *rest]))

    made = onnx.ModelProto()
    made.CopyFrom(whole)
    graph = made.graph
    for kind in ("node", "initializer"):
        graph.ClearField(kind)
    first = [i for i, n in enumerate(ours) if TRACED_INPUT in n.output]
    split = first[0] + 1 if first else 0
    graph.node.extend(_in_order([*ours[:split], *converted.node, *rest, *ours[split:]]))
    known = {i.name for i in converted.initializer}
    outside = {name for n in (*ours, *rest) for name in n.input}
    clash = [n for n in outside & known if _type_of(converted, n) != _type_of(whole.graph, n)]
    if clash:
        raise ArtifactError(f"fp16: the constant {clash[0]} is read in both precisions: export again")
    graph.initializer.extend(converted.initializer)
    graph.initializer.extend(i for i in whole.graph.initializer if i.name in outside and i.name not in known)
    return strip(made)


def _in_order(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes, each behind those that it reads from: the converter appends its casts at the end."""
    made_here = {name for node in nodes for name in node.output}
    placed: set[str] = set()
    ordered: list[onnx.NodeProto] = []
    while nodes:
        later = []
        for node in nodes:
            if placed.issuperset(made_here.intersection(node.input)):
                ordered.append(node)
                placed.update(node.output)
            else:
                later.append(node)
        if len(later) == len(nodes):
            raise ArtifactError(f"fp16: the node {later[0].name} reads what is made of it")
        nodes = later
    return ordered


def _boundary(
    whole: onnx.ModelProto, body: list[onnx.NodeProto], readers: list[onnx.NodeProto]
) -> list[onnx.ValueInfoProto]:
    """The body's float values that others read, other than for their shape."""
    types = {v.name: v.type.tensor_type.elem_type for v in (*whole.graph.value_info, *whole.graph.output)}
    read = {name for node in readers if node.op_type != "Shape" for name in node.input}
    names = [name for node in body for name in node.output if name in read]
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if types.get(name) == TensorProto.FLOAT
    ]


def _converted(
    whole: onnx.ModelProto, body: list[onnx.NodeProto], outputs: list[onnx.ValueInfoProto]
) -> onnx.GraphProto:
    """The body alone, converted, with float32 at its input and at its outputs."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    channels = next(iter(whole.graph.input)).type.tensor_type.shape.dim[3].dim_value
    image = helper.make_tensor_value_info(
        TRACED_INPUT, TensorProto.FLOAT, ["batch", channels, "height", "width"]
    )
    read = {name for node in body for name in node.input}
    part = helper.make_model(
        helper.make_graph(
            body, "body", [image], outputs, [i for i in whole.graph.initializer if i.name in read]
        ),
        opset_imports=list(whole.opset_import),
        ir_version=whole.ir_version,
    )
    try:
        converted: onnx.ModelProto = convert_float_to_float16(part, keep_io_types=True)
    except Exception as error:
        raise ArtifactError(f"fp16: onnxruntime's converter stopped: {error}") from error
    return converted.graph


def _type_of(graph: onnx.GraphProto, name: str) -> int:
    return next((i.data_type for i in graph.initializer if i.name == name), 0)
