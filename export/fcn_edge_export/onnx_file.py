"""An ONNX file of others: read, checked, and cut to one image in and one map of logits out.

Where the file ends in ArgMax, Softmax or Sigmoid, the tensor before it is taken: those are the logits.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto
from onnx.inliner import inline_local_functions

from fcn_edge_export.widen import precision_of, widened
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.model.card import CARD_KEY

__all__ = ["OnnxFile", "Taken", "brief", "listed", "read_onnx"]

MAX_BYTES = (1 << 31) - 1
_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
}

_AFTER_ARGMAX = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Transpose", "Reshape")
_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_INTEGERS = ("QuantizeLinear", "DequantizeLinear")
_QUANTIZED = ("QLinearConv", "ConvInteger", "MatMulInteger", "QLinearMatMul", "DynamicQuantizeLinear")
_LISTED = 8


@dataclass(frozen=True)
class Taken:
    """The tensor of a file that is taken as its logits.

    Attributes:
        tensor: its name.
        output: the output of the file that it leads to.
        without: the operators behind it that were left out, such as "Softmax and ArgMax"; empty for none.
        activation: what that operator had applied to the logits: "none", "sigmoid" or "softmax".
        axes: along which ArgMax and Softmax, where they were left out, go.
    """

    tensor: str
    output: str
    without: str = ""
    activation: str = "none"
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class OnnxFile:
    """A given file.

    Attributes:
        path: where it is.
        model: with all its weights, and functions inlined.
        sha256: of model and weights.
        input: the name of the image.
        dtype: of the image: float32 or uint8.
        batch: images that it takes at once; None is any.
        layout: "NCHW" or "NHWC".
        size: (height, width) that it is bound to; None is any.
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
    precision: str = "float32"

    @property
    def integers(self) -> bool:
        """Whether others quantized it: its integers are kept."""
        return any(node.op_type in _INTEGERS for node in self.model.graph.node)

    @property
    def opset(self) -> int:
        """The version of ONNX's operators that it was written for."""
        return next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 0)

    def candidates(self, wanted: str | None) -> list[Taken]:
        """Tensors that may hold the logits: that of the wanted name, or one for each output.

        Raises:
            UsageError: there is none of the wanted name.
        """
        made = {name for node in self.model.graph.node for name in node.output}
        outputs = [output.name for output in self.model.graph.output]
        if wanted is not None:
            if wanted not in made:
                raise UsageError(
                    f"{self.path} has no tensor {wanted[:80]!r}, expected an output, one of "
                    f"{listed(outputs)}, or a tensor inside"
                )
            outputs = [wanted]
        found = [self._before_decision(name) for name in outputs if name in made]
        return list({taken.tensor: taken for taken in found}.values())

    def _before_decision(self, output: str) -> Taken:
        """The tensor before a final ArgMax, and before a final Softmax or Sigmoid."""
        producer = {name: node for node in self.model.graph.node for name in node.output}
        taken = Taken(output, output)
        node = producer.get(output)
        while node is not None and node.op_type in _AFTER_ARGMAX:
            node = producer.get(node.input[0])
        if node is not None and node.op_type == "ArgMax":
            taken = Taken(node.input[0], output, "ArgMax", axes=(_axis(node, 0),))
        last = producer.get(taken.tensor)
        if last is not None and last.op_type in _ACTIVATIONS:
            without = " and ".join(filter(None, (last.op_type, taken.without)))
            axes = taken.axes if last.op_type == "Sigmoid" else (*taken.axes, _axis(last, -1))
            taken = Taken(last.input[0], output, without, _ACTIVATIONS[last.op_type], axes)
        return taken


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
    precision = precision_of(model)
    if precision != "float32":
        model = widened(model)
    image = _image_input(file, model, input_name)
    kind = image.type.tensor_type
    if kind.elem_type not in _DTYPES:
        got = TensorProto.DataType.Name(kind.elem_type).lower()
        raise InputError(
            f"{file}: its input {image.name[:80]!r} is {got}, expected floats or bytes: export it with a "
            "float32 input"
        )
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    if len(dims) != 4:
        raise InputError(
            f"{file}: its input {image.name[:80]!r} has {len(dims)} axes, expected an image: "
            "[batch, channels, height, width] or [batch, height, width, channels]"
        )
    layout = layout or _layout_of(file, dims)
    height, width = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    if (height is None) != (width is None):
        raise InputError(
            f"{file}: its input takes {height or 'any'} x {width or 'any'} pixels, expected both sides "
            "fixed or none: export it with both dynamic"
        )
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
        precision,
    )


def listed(names: Iterable[str]) -> str:
    """The first of some names, each of at most 80 characters."""
    texts = [str(name)[:80] for name in names]
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more


def brief(error: object) -> str:
    """The message of another library in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]


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
        raise InputError(f"{file} is not an ONNX file, or is damaged") from None
    except (
        EncodeError,
        ValueError,
        onnx.checker.ValidationError,
    ) as error:  # weights outside, too large, missing
        raise InputError(f"cannot read the weights of {file}: {brief(error)}") from None
    if not model.graph.node:
        raise InputError(f"{file} is not an ONNX model: it holds no operators")
    return model


def _check_operators(file: Path, model: onnx.ModelProto) -> None:
    known = {"", "ai.onnx", *(function.domain for function in model.functions)}
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    foreign = sorted({f"{n.domain}::{n.op_type}" for n in nodes if n.domain not in known})
    if foreign:
        raise InputError(
            f"{file} has operators that are not ONNX's own ({listed(foreign)}): export it without them, or "
            "without an optimizer that puts them in"
        )
    quantized = sorted({node.op_type for node in nodes} & set(_QUANTIZED))
    if quantized:
        raise InputError(
            f"{file} computes with integers by operators of their own ({listed(quantized)}), expected "
            "QuantizeLinear and DequantizeLinear (QDQ): export it so, or adopt its float file, then "
            "`fcn-edge quantize` that"
        )


def _image_input(file: Path, model: onnx.ModelProto, wanted: str | None) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    if wanted is not None and wanted not in inputs:
        raise UsageError(f"{file} has no input {wanted[:80]!r}, it has {listed(inputs)}")
    if len(inputs) != 1:
        raise InputError(f"{file} has {len(inputs)} inputs ({listed(inputs)}), expected one image")
    image: onnx.ValueInfoProto = next(iter(inputs.values()))
    if not image.type.HasField("tensor_type"):
        raise InputError(f"{file}: its input {image.name[:80]!r} is not a tensor, expected an image")
    return image


def _layout_of(file: Path, dims: Sequence[int | None]) -> str:
    first, last = dims[1], dims[3]
    channels_first = first is not None and (last is None or first < last)
    channels_last = last is not None and (first is None or last < first)
    if channels_first == channels_last:
        shown = ", ".join("any" if dim is None else str(dim) for dim in dims)
        raise UsageError(
            f"{file}: nothing says which axis of its input [{shown}] holds the channels: give "
            "--layout NCHW or --layout NHWC"
        )
    return "NCHW" if channels_first else "NHWC"


def _axis(node: onnx.NodeProto, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), default)
