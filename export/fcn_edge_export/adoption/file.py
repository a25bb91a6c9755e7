"""An ONNX file of others: read, checked, and what it tells of its image."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto
from onnx.inliner import inline_local_functions

from fcn_edge_export.adoption.cleanup import MAX_BYTES, cleaned, reads
from fcn_edge_export.adoption.fused import FUSED
from fcn_edge_export.adoption.integers import OF_INTEGERS
from fcn_edge_export.adoption.opset import opset_of
from fcn_edge_export.brevity import brief, listed
from fcn_edge_export.widen import precision_of, widened
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.model.card import CARD_KEY
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE

__all__ = ["OnnxFile", "read_onnx"]

MAX_BATCH = 64
_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}

_KINDS = {
    b"PK\x03\x04": "a zip archive, such as a checkpoint of PyTorch or TorchScript",
    b"git-lfs": "a pointer of Git LFS in place of the file (`git lfs pull` fetches it)",
    b'{"': "a file of safetensors or JSON",
    b"<html": "a page of the web in place of the file",
    b"<!DOCTYPE": "a page of the web in place of the file",
    b"TFL3": "a model of TensorFlow Lite",
    b"\x89HDF": "a model of Keras",
}
_INTEGERS = ("QuantizeLinear", "DequantizeLinear")
_QUANTIZED = ("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")


@dataclass(frozen=True)
class OnnxFile:
    """A given file.

    Attributes:
        path: where it is.
        model: with all its weights, and functions inlined.
        sha256: of model and weights.
        input: the name of the image.
        dtype: of the image: float32, or of whole pixels.
        batch: images that it takes at once; None is any.
        layout: "NCHW" or "NHWC".
        size: (height, width) that it is bound to; None is any.
        declared: height and width as it declares them, which may be one alone.
        precision: in which the given file computes; `model` does so in float32.
    """

    path: Path
    model: onnx.ModelProto
    sha256: str
    input: str
    dtype: str
    batch: int | None
    layout: str
    size: tuple[int, int] | None
    declared: tuple[int | None, int | None] = (None, None)
    precision: str = "float32"

    @property
    def integers(self) -> bool:
        """Whether others quantized it: its integers are kept."""
        return any(node.op_type in _INTEGERS for node in self.model.graph.node)

    @property
    def opset(self) -> int:
        """The version of ONNX's operators that it was written for."""
        return opset_of(self.model)

    def part(self, tensors: Sequence[str]) -> onnx.ModelProto:
        """The part of the model that computes some tensors, which are its outputs."""
        wanted, kept = {*tensors}, []
        for node in reversed(self.model.graph.node):
            if wanted.intersection(node.output):
                wanted.update(reads(node))
                kept.append(node)
        known = {output.name: output for output in self.model.graph.output}
        result = onnx.ModelProto()
        result.CopyFrom(self.model)
        graph = result.graph
        for field, values in (
            (graph.node, kept[::-1]),
            (graph.initializer, [t for t in self.model.graph.initializer if t.name in wanted]),
            (graph.input, [v for v in self.model.graph.input if v.name in wanted]),
            (graph.output, [known.get(name, onnx.ValueInfoProto(name=name)) for name in tensors]),
        ):
            del field[:]
            field.extend(values)
        return result


def read_onnx(path: str | os.PathLike[str], input_name: str | None, layout: str | None) -> OnnxFile:
    """Read a file of others, with the weights that lie beside it.

    Args:
        path: the file.
        input_name: which input is the image; None takes the only one.
        layout: of the image, "NCHW" or "NHWC"; None reads it off its shape.

    Raises:
        InputError: it cannot be read, or is not an ONNX model of one image.
        UsageError: it is already a file of fcn-edge, or nothing says what its image is.
    """
    file = Path(path)
    model = _loaded(file)
    if any(entry.key == CARD_KEY for entry in model.metadata_props):
        raise UsageError(f"{file} is a file of fcn-edge, expected one of another exporter")
    _check_operators(file, model)
    if model.functions:
        model = inline_local_functions(model)
    data = model.SerializeToString(deterministic=True)
    model = cleaned(file, model)
    precision = precision_of(model)
    if precision != "float32":
        model = widened(model)
    image = _image_input(file, model, input_name)
    kind = image.type.tensor_type
    if kind.elem_type not in _DTYPES:
        got = TensorProto.DataType.Name(kind.elem_type).lower()
        raise InputError(
            f"{file}: its input {image.name[:80]!r} is {got}, expected floats, or whole pixels as "
            "uint8, int32 or int64"
        )
    if not kind.HasField("shape"):
        kind.shape.dim.extend([onnx.TensorShapeProto.Dimension()] * 4)
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    if len(dims) != 4:
        raise InputError(
            f"{file}: its input {image.name[:80]!r} has {len(dims)} axes, expected an image: "
            "[batch, channels, height, width] or [batch, height, width, channels]"
        )
    layout = layout or _layout_of(dims) or _layout_inside(model, image.name)
    if layout is None:
        shown = ", ".join("any" if dim is None else str(dim) for dim in dims)
        raise UsageError(
            f"{file}: nothing says which axis of its input [{shown}] holds the channels: give "
            "--layout NCHW or --layout NHWC"
        )
    sides = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    large = [
        f"{got} {what}"
        for got, what, most in (
            (dims[0], "images at once", MAX_BATCH),
            (sides[0], "rows", MAX_SIDE),
            (sides[1], "columns", MAX_SIDE),
        )
        if got is not None and got > most
    ]
    if large:
        raise InputError(
            f"{file} takes {' of '.join(large)}, expected at most {MAX_BATCH} images of "
            f"{MAX_SIDE}x{MAX_SIDE} pixels"
        )
    height, width = sides
    size = None if height is None or width is None else (height, width)
    return OnnxFile(
        file,
        model,
        hashlib.sha256(data).hexdigest(),
        image.name,
        _DTYPES[kind.elem_type],
        dims[0],
        layout,
        size,
        sides,
        precision,
    )


def _loaded(file: Path) -> onnx.ModelProto:
    try:
        status = file.stat()
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{file} is a folder, pipe or device, expected an ONNX file")
        if size > MAX_BYTES:
            raise InputError(f"{file} has {size} bytes, an ONNX file has at most {MAX_BYTES}")
        model = onnx.load(file)
        model.SerializeToString()  # above 2 GiB with its weights, it is not one file
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except (DecodeError, UnicodeDecodeError):
        raise InputError(f"{file} is {_other_kind(file)}, expected an ONNX file") from None
    except (
        EncodeError,
        ValueError,
        onnx.checker.ValidationError,
    ) as error:  # weights outside, too large, missing
        raise InputError(f"cannot read the weights of {file}: {brief(error)}") from None
    if not model.graph.node:
        raise InputError(f"{file} is not an ONNX model: it holds no operators")
    return model


def _other_kind(file: Path) -> str:
    """What a file that onnx does not read seems to be."""
    with file.open("rb") as opened:
        start = opened.read(64)
    for sign, kind in _KINDS.items():
        if sign in start:
            return kind
    return "no ONNX model, or a damaged one"


def _check_operators(file: Path, model: onnx.ModelProto) -> None:
    known = {"", "ai.onnx", *(function.domain for function in model.functions)}
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    foreign = sorted(
        {
            f"{n.domain}::{n.op_type}"
            for n in nodes
            if n.domain not in known and n.op_type not in OF_INTEGERS | FUSED
        }
    )
    if foreign:
        raise InputError(
            f"{file} has operators that are not ONNX's own ({listed(foreign)}): export it without them, or "
            "without an optimizer that puts them in"
        )
    quantized = sorted({node.op_type for node in nodes} & set(_QUANTIZED))
    if quantized:
        raise InputError(
            f"{file} chooses the scales of its integers for each image ({listed(quantized)}), expected "
            "fixed scales: adopt its float file, then `fcn-edge quantize` that"
        )


def _image_input(file: Path, model: onnx.ModelProto, wanted: str | None) -> onnx.ValueInfoProto:
    inputs = {value.name: value for value in model.graph.input}
    if wanted is not None and wanted not in inputs:
        raise UsageError(f"{file} has no input {wanted[:80]!r}, it has {listed(inputs) or 'none'}")
    if not inputs:
        raise InputError(f"{file} has no input, expected an image")
    read = {name for node in model.graph.node for name in reads(node)}
    images = [v for v in inputs.values() if v.name == wanted or (wanted is None and _may_be_image(v, read))]
    if not images and len(inputs) == 1:
        images = [*inputs.values()]
    if len(images) != 1:
        shown = listed(f"{v.name}: {_shape_text(v)}" for v in (images or inputs.values()))
        if images and not _all_need(model, [v.name for v in images]):
            raise UsageError(f"{file} has several inputs ({shown}): name the image with --input-name")
        raise InputError(
            f"{file} has {len(inputs)} inputs ({shown}), expected "
            + ("scores of one image alone" if images else "one of them to be an image")
        )
    image: onnx.ValueInfoProto = images[0]
    if not image.type.HasField("tensor_type"):
        raise InputError(f"{file}: its input {image.name[:80]!r} is not a tensor, expected an image")
    return image


def _all_need(model: onnx.ModelProto, inputs: Sequence[str]) -> bool:
    """Whether each output depends on all of these inputs."""
    for output in model.graph.output:
        wanted = {output.name}
        for node in reversed(model.graph.node):
            if wanted.intersection(node.output):
                wanted.update(reads(node))
        if not wanted.issuperset(inputs):
            return False
    return True


def _may_be_image(value: onnx.ValueInfoProto, read: set[str]) -> bool:
    kind = value.type.tensor_type
    four = not kind.HasField("shape") or len(kind.shape.dim) == 4
    return value.name in read and value.type.HasField("tensor_type") and four


def _shape_text(value: onnx.ValueInfoProto) -> str:
    if not value.type.HasField("tensor_type"):
        return "no tensor"
    dims = value.type.tensor_type.shape.dim
    return "x".join(str(dim.dim_value) if dim.HasField("dim_value") else "any" for dim in dims) or "a number"


def _layout_of(dims: Sequence[int | None]) -> str | None:
    first, last = dims[1], dims[3]
    channels_first = first is not None and (last is None or first < last)
    channels_last = last is not None and (first is None or last < first)
    if channels_first == channels_last:
        return None
    return "NCHW" if channels_first else "NHWC"


def _layout_inside(model: onnx.ModelProto, image: str) -> str | None:
    """The layout that the first operator which knows one expects."""
    same = {image}
    for node in model.graph.node:
        if not same.intersection(node.input):
            continue
        if node.op_type == "Conv":
            return "NCHW"
        if node.op_type == "Transpose":
            turned = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
            return "NHWC" if turned == [0, 3, 1, 2] else None
        same.update(node.output)
    return None
