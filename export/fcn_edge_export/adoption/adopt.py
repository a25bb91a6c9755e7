"""adopt(): an ONNX file whose PyTorch is gone becomes a verified file; the reference is the given file."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import onnx

from fcn_edge_export.adoption.file import OnnxFile, read_onnx
from fcn_edge_export.adoption.loosened import AS_IT_IS, loosened
from fcn_edge_export.adoption.network import network_of
from fcn_edge_export.adoption.probe import Found, probe, session_of
from fcn_edge_export.adoption.reference import OnnxReference
from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.brevity import brief, listed
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.final_card import drafted
from fcn_edge_export.finish import ExportResult, Network, finish, simplified
from fcn_edge_export.graph.graft import check_classes
from fcn_edge_export.graph.names import TRACED_INPUT
from fcn_edge_export.graph.working_size import fitted
from fcn_edge_export.options import AdoptOptions, wanted_working_size
from fcn_edge_export.simplify import Simplified, simplify
from fcn_edge_export.sizes import Sizes
from fcn_edge_runtime.errors import ArtifactError, FcnEdgeError, InputError, UsageError
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import Card, WorkingSize
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.session.session import SessionOptions, open_session

__all__ = ["adopt"]


def adopt(
    source: str | os.PathLike[str],
    card: Card,
    path: str | os.PathLike[str],
    *,
    images: FrameSource | None = None,
    options: AdoptOptions | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Turn an ONNX file of another exporter into one of ours, verified against the given file itself.

    PyTorch is not needed. The given file has one input, an image [batch, channels, height, width] or [batch,
    height, width, channels], and among its outputs one score per class and pixel, at the image's size or a
    whole factor smaller. Final ArgMax, Softmax and Sigmoid are left out and done by the new file. A file that
    is bound to one image size works at it: images are resized inside, and labels have the image's own size.
    A quantized file (QuantizeLinear and DequantizeLinear) keeps its integers.

    Args:
        source: the given file; weights beside it are read too.
        card: name, classes and input, as the network was trained to get it. With no classes they are
            numbered.
        path: the file to write, ending in .onnx. `NAME.verification.json` is written beside it.
        images: further inputs to verify at, see `export`.
        options: input, output, layout, and those of `export`; None means the defaults.
        progress: receives the stages as they run.

    Raises:
        InputError: the given file cannot be read, or is not a network of one image.
        UsageError: nothing says which output or axis to take, or an option does not fit.
        VerificationError: the new file does not decide like the given one. Nothing is written.
        ArtifactError: a stage failed, or the file cannot be written. Nothing is written.
        ProviderError: one of the devices does not start.
    """
    target = OutputFile.at(path)
    options = options or AdoptOptions()
    drafted(card, numbered_classes(2))  # checked before the work starts
    frames = frames_of(images, card) if images is not None else {}
    working = wanted_working_size(options)
    stages = Stages(progress)

    with stages.stage("read") as did:
        file = read_onnx(source, options.input_name, options.layout)
        _check_input(file, card)
        used = loosened(file) if options.dynamic and file.size is not None else file
        pixels = f"{file.size[0]}x{file.size[1]} pixels" if file.size else "any size"
        did.text = f"{len(file.model.graph.node)} nodes, opset {file.opset}, {file.layout}, {pixels}"
        did.text += "" if file.precision == "float32" else f", {file.precision} taken as float32"
        did.text += ", with integers, which are kept" if file.integers else ""

    with stages.stage("probe") as did:
        found = _probe_loosened(used, card, options) if used is not file else probe(file, card, options)
        sizes = found.sizes
        if used is not file:
            _check_loosened(file, found, card.input.channels)
        draft = drafted(card, numbered_classes(sizes.classes))
        check_classes(sizes.classes, draft)
        working = _working_size(found.file, working, sizes)
        did.text = (
            f"{sizes.classes} logits a pixel in its tensor {found.taken.tensor[:80]!r}"
            + (f", before its {found.taken.without}" if found.taken.without else "")
            + (f", working at {working}" if working else "")
            + (f", padded to multiples of {sizes.multiple}" if sizes.multiple > 1 else "")
            + (f", upsampled {sizes.reduction} times" if sizes.reduction > 1 else "")
            + (f", reduced {sizes.enlargement} times" if sizes.enlargement > 1 else "")
        )

    converted = network_of(found.file, found.taken, found.given, sizes, card.input.channels)

    def folded(model: onnx.ModelProto) -> Simplified:
        result = simplify(model)
        _check_control_flow(file, result.model)  # a branch on what is known is gone by now
        return result

    # The simplifier would compute the weights of their integers.
    if file.integers:
        network = converted
    else:
        network = simplified(stages, converted, folded, allow_unsimplified=options.allow_unsimplified)
    _check_control_flow(file, network)
    _check_batch(file, network, (2, card.input.channels, *(found.file.size or (sizes.smallest,) * 2)))

    resizes = sizes.reduction > 1 or sizes.enlargement > 1

    def reference(working: WorkingSize | None) -> OnnxReference:
        return OnnxReference(found.given, draft.input, sizes.multiple, resizes, working)

    finished = Network(
        network,
        replace(sizes, output=found.taken.output[:80]),
        reference,
        file.sha256,
        earlier={"convert": converted, "simplify": network},
        activation=found.given.activation if found.taken.activation == "none" else found.taken.activation,
        compared_with="onnx",
        integers=file.integers,
    )
    return finish(finished, draft, target, frames, working, options, stages)


def _check_input(file: OnnxFile, card: Card) -> None:
    """Raise UsageError if the card's input does not fit the file's."""
    channels = {"NCHW": 1, "NHWC": 3}[file.layout]
    value = next(v for v in file.model.graph.input if v.name == file.input)
    dim = value.type.tensor_type.shape.dim[channels]
    if dim.HasField("dim_value") and dim.dim_value != card.input.channels:
        raise UsageError(
            f"{file.path} takes images of {dim.dim_value} channels, the card says {card.input.channels}: "
            f"give --channels {dim.dim_value}"
        )
    spec = card.input
    plain = spec.scale == 1 and not any(spec.mean) and all(value == 1 for value in spec.std)
    if file.dtype != "float32" and not plain:
        raise UsageError(
            f"{file.path} takes pixels as {file.dtype} and normalizes them itself, so nothing may be done "
            "before: give --normalize none"
        )


def _check_control_flow(file: OnnxFile, network: onnx.ModelProto) -> None:
    control = sorted({n.op_type for n in network.graph.node if any(a.HasField("g") for a in n.attribute)})
    if control:
        raise InputError(
            f"{file.path} has control flow ({listed(control)}), expected a network that does the same "
            "for every image: export it with fixed branches"
        )


def _check_batch(file: OnnxFile, network: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Raise InputError if the network, as it was converted, does not run on two images."""
    x = np.random.default_rng(0).random(shape, np.float32)
    try:
        session = open_session(
            network.SerializeToString(), "cpu", options=SessionOptions(optimization="none")
        )
    except FcnEdgeError as error:
        raise InputError(f"{file.path} cannot be converted from opset {file.opset}: {brief(error)}") from None
    try:
        session.raw.run(None, {TRACED_INPUT: x})
    except Exception as error:  # noqa: BLE001 (onnxruntime's errors derive from Exception alone)
        raise InputError(
            f"{file.path} holds in its operators that it takes one image at once: export it with a dynamic "
            f"batch ({brief(error)})"
        ) from None


def _working_size(file: OnnxFile, working: WorkingSize | None, sizes: Sizes) -> WorkingSize | None:
    if file.size is None:
        return working and fitted(working, sizes.smallest_image)
    if working is not None and working.size != file.size:
        raise UsageError(
            f"got the working size {working}, {file.path} takes images of {file.size[0]}x{file.size[1]} alone"
        )
    return WorkingSize(None, file.size, least=1)


def _probe_loosened(file: OnnxFile, card: Card, options: AdoptOptions) -> Found:
    try:
        found = probe(file, card, options)
    except (ArtifactError, InputError):
        found = None
    if found is None or found.file.size is not None:
        raise UsageError(f"{file.path} has its image size written into its operators: {AS_IT_IS}")
    return found


def _check_loosened(file: OnnxFile, found: Found, channels: int) -> None:
    """At its own size the loosened file must be the given one, bit for bit."""
    before = replace(found.given, session=session_of(file, [found.taken.tensor]), batch=file.batch)
    assert file.size is not None  # noqa: S101 - the caller's condition
    x = np.random.default_rng(0).standard_normal((1, channels, *file.size), np.float32)
    if not np.array_equal(before(x), found.given(x)):
        raise ArtifactError("probe: the given file computes something else once its size is dynamic")
