"""adopt(): an ONNX file whose PyTorch is gone becomes a verified file; the reference is the given file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.final_card import drafted
from fcn_edge_export.finish import ExportResult, Network, finish, simplified
from fcn_edge_export.graph.graft import check_classes
from fcn_edge_export.graph.working_size import fitted
from fcn_edge_export.onnx_file import OnnxFile, Taken, brief, listed, read_onnx
from fcn_edge_export.onnx_network import network_of
from fcn_edge_export.onnx_reference import GivenFile, OnnxReference
from fcn_edge_export.options import AdoptOptions, wanted_working_size
from fcn_edge_export.simplify import simplify
from fcn_edge_export.sizes import STARTS, Sizes, find_sizes, reduction_of
from fcn_edge_runtime.errors import ArtifactError, FcnEdgeError, UsageError
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import Card, WorkingSize
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.session.session import SessionOptions, open_session

__all__ = ["adopt"]

Array = npt.NDArray[Any]
_AS_IT_IS = "adopt it without --dynamic, and images are resized inside to the size that it takes"
KNOWN = ("logits", "out", "output")  # names that exporters give to the logits


@dataclass(frozen=True)
class _Found:
    """What running a given file showed: which tensor holds the logits, and at which sizes it works."""

    taken: Taken
    given: GivenFile
    sizes: Sizes


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
        loosened = replace(file, model=_loosened(file), size=None) if options.dynamic else file
        pixels = f"{file.size[0]}x{file.size[1]} pixels" if file.size else "any size"
        did.text = f"{len(file.model.graph.node)} nodes, opset {file.opset}, {file.layout}, {pixels}"
        did.text += "" if file.precision == "float32" else f", {file.precision} taken as float32"
        did.text += ", with integers, which are kept" if file.integers else ""

    with stages.stage("probe") as did:
        found = _probe(loosened, card, options)
        sizes = found.sizes
        if options.dynamic and file.size is not None:
            _check_loosened(file, found, card.input.channels)
        draft = drafted(card, numbered_classes(sizes.classes))
        check_classes(sizes.classes, draft)
        working = _working_size(loosened, working, sizes)
        did.text = (
            f"{sizes.classes} logits a pixel in its tensor {found.taken.tensor[:80]!r}"
            + (f", before its {found.taken.without}" if found.taken.without else "")
            + (f", working at {working}" if working else "")
            + (f", padded to multiples of {sizes.multiple}" if sizes.multiple > 1 else "")
            + (f", upsampled {sizes.reduction} times" if sizes.reduction > 1 else "")
        )

    converted = network_of(loosened, found.taken, found.given, sizes, card.input.channels)
    # The simplifier would compute the weights of their integers.
    network = (
        converted
        if file.integers
        else simplified(stages, converted, simplify, allow_unsimplified=options.allow_unsimplified)
    )

    def reference(working: WorkingSize | None) -> OnnxReference:
        return OnnxReference(found.given, draft.input, sizes.multiple, sizes.reduction, working)

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
    if file.dtype == "uint8" and not plain:
        raise UsageError(
            f"{file.path} takes pixels as bytes and normalizes them itself, so nothing may be done before: "
            "give --normalize none"
        )


def _loosened(file: OnnxFile) -> onnx.ModelProto:
    """The model without its fixed image size.

    Raises:
        UsageError: sizes are written into its operators, so that at others it would compute something else.
    """
    shapes = {v.name: v for v in onnx.shape_inference.infer_shapes(file.model).graph.value_info}
    constants = {tensor.name: tensor for tensor in file.model.graph.initializer}
    for node in file.model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    bound = [
        f"{node.op_type} {node.name[:40]!r}"
        for node in file.model.graph.node
        if _bound(node, shapes, constants)
    ]
    if bound:
        raise UsageError(
            f"{file.path} has its image size written into its operators ({listed(bound)}): {_AS_IT_IS}"
        )
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            if value.name != file.input or index in ((2, 3) if file.layout == "NCHW" else (1, 2)):
                dim.Clear()
    return model


def _bound(
    node: onnx.NodeProto, shapes: dict[str, onnx.ValueInfoProto], constants: dict[str, onnx.TensorProto]
) -> bool:
    """Whether an operator holds a size: a pool of its whole map, a resize or cut to a constant size."""
    if node.op_type in ("AveragePool", "MaxPool"):
        kernel = next((list(a.ints) for a in node.attribute if a.name == "kernel_shape"), [])
        value = shapes.get(node.input[0])
        sides = [d.dim_value for d in value.type.tensor_type.shape.dim][2:] if value is not None else []
        return bool(kernel) and kernel == sides
    if node.op_type == "Resize":
        return len(node.input) > 3 and node.input[3] in constants
    if node.op_type == "Slice" and len(node.input) > 3 and {*node.input[2:4]} <= {*constants}:
        ends, axes = (numpy_helper.to_array(constants[name]).reshape(-1) for name in node.input[2:4])
        return any(axis in (2, 3, -1, -2) and 0 < end < 1 << 30 for end, axis in zip(ends, axes, strict=True))
    return False


def _probe(file: OnnxFile, card: Card, options: AdoptOptions) -> _Found:
    """Run the file: find the logits among its tensors, their layout, and the sizes that it takes."""
    candidates = file.candidates(options.output_name)
    data = _with_tensors(file.model, [taken.tensor for taken in candidates])
    try:
        session = open_session(data, "cpu", options=SessionOptions(optimization="none"))
    except FcnEdgeError as error:
        raise ArtifactError(f"probe: onnxruntime does not run the given file: {error}") from None
    shapes: dict[str, tuple[int, ...]] = {}
    failure = ""
    sizes = [file.size] if file.size else [(side, side) for side in STARTS]
    for size in sizes:
        try:
            values = session.raw.run([t.tensor for t in candidates], {file.input: _noise(file, card, *size)})
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors derive from Exception alone)
            failure = failure or brief(error)
            continue
        shapes = {t.tensor: v.shape for t, v in zip(candidates, values, strict=True) if v.dtype == np.float32}
        break
    else:
        raise ArtifactError(f"probe: the given file does not run at {sizes[0][0]}x{sizes[0][1]}: {failure}")
    maps = {t: axes for t in candidates if (axes := _axes(shapes.get(t.tensor), size)) is not None}
    taken = _chosen(file, maps, shapes, card, dynamic=options.dynamic)
    axes = maps[taken]
    given = GivenFile(
        session,
        file.input,
        taken.tensor,
        file.dtype,
        (0, 1, 2, 3) if file.layout == "NCHW" else (0, 2, 3, 1),
        axes,
        file.batch is not None,
        (options.activation or "none") if taken.activation == "none" else "none",
    )
    first = _in_order(shapes[taken.tensor], axes)
    if file.size is not None:
        return _Found(taken, given, Sizes(first[1], 1, 1, reduction_of(*file.size, first), fixed=file.size))

    def shape_at(height: int, width: int) -> tuple[int, ...] | None:
        try:
            return given(_noise_planes(card, height, width)).shape
        except ArtifactError:
            return None

    return _Found(taken, given, find_sizes(shape_at, size[0], first, multiple=options.size_multiple))


def _axes(shape: tuple[int, ...] | None, size: tuple[int, int]) -> tuple[int, ...] | None:
    """The axes of a map in the order of NCHW; three where it has one score a pixel and no axis of classes."""
    orders = {3: ((0, 1, 2),), 4: ((0, 1, 2, 3), (0, 3, 1, 2))}.get(len(shape or ()), ())
    for order in orders:
        try:
            reduction_of(*size, _in_order(shape or (), order))
        except ArtifactError:
            continue
        return order
    return None


def _in_order(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    ordered = tuple(shape[axis] for axis in axes)
    return ordered if len(ordered) == 4 else (ordered[0], 1, *ordered[1:])


def _chosen(
    file: OnnxFile,
    maps: dict[Taken, tuple[int, ...]],
    shapes: dict[str, tuple[int, ...]],
    card: Card,
    *,
    dynamic: bool,
) -> Taken:
    for taken, axes in maps.items():
        classes = axes[1] if len(axes) == 4 else 1
        if any(axis % len(axes) != classes for axis in taken.axes):
            raise UsageError(
                f"{file.path}: {taken.without} before its output {taken.output[:80]!r} does not go over its "
                "classes: name the tensor of the logits with --output-name"
            )
    channels = {t: _in_order(shapes[t.tensor], axes)[1] for t, axes in maps.items()}
    wanted = {len(card.classes)} | ({1} if len(card.classes) == 2 else set()) if card.classes else set()
    for fitting in (
        list(maps),
        [t for t in maps if t.output in KNOWN],
        [t for t in maps if channels[t] in wanted],
    ):
        if len(fitting) == 1:
            return fitting[0]
    seen = listed(f"{name}: {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    if not maps and dynamic:
        raise UsageError(f"{file.path} has its image size written into its operators: {_AS_IT_IS}")
    if not maps:
        raise ArtifactError(
            f"probe: none of the given file's outputs covers its image with scores, got {seen or 'none'}: "
            "expected float32 [batch, classes, height, width], at its size or a whole factor smaller"
        )
    raise UsageError(
        f"{file.path} has several maps ({seen}), and nothing says which holds the logits: name it "
        "with --output-name"
    )


def _working_size(file: OnnxFile, working: WorkingSize | None, sizes: Sizes) -> WorkingSize | None:
    if file.size is None:
        return working and fitted(working, sizes.smallest_image)
    if working is not None and working.size != file.size:
        raise UsageError(
            f"got the working size {working}, {file.path} takes images of {file.size[0]}x{file.size[1]} alone"
        )
    return WorkingSize(None, file.size, least=1)


def _check_loosened(file: OnnxFile, found: _Found, channels: int) -> None:
    """At its own size the loosened file must be the given one, bit for bit."""
    data = _with_tensors(file.model, [found.taken.tensor])
    session = open_session(data, "cpu", options=SessionOptions(optimization="none"))
    before = replace(found.given, session=session)
    assert file.size is not None  # noqa: S101 - the caller's condition
    x = np.random.default_rng(0).standard_normal((1, channels, *file.size), np.float32)
    if not np.array_equal(before(x), found.given(x)):
        raise ArtifactError("probe: the given file computes something else once its size is dynamic")


def _with_tensors(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """The model's bytes with further outputs."""
    more = onnx.ModelProto()
    known = {output.name for output in model.graph.output}
    more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return bytes(model.SerializeToString() + more.SerializeToString())


def _noise(file: OnnxFile, card: Card, height: int, width: int) -> Array:
    planes = _noise_planes(card, height, width)
    images = planes if file.layout == "NCHW" else planes.transpose(0, 2, 3, 1)
    batch = file.batch or 1
    return np.repeat(np.abs(images) * 50 if file.dtype == "uint8" else images, batch, 0).astype(file.dtype)


def _noise_planes(card: Card, height: int, width: int) -> Array:
    return np.random.default_rng(0).standard_normal((1, card.input.channels, height, width), np.float32)
