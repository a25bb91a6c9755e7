"""The tensors of a model: the names, types and shapes of an fcn-edge file, and the check that it has them."""

from __future__ import annotations

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.protobuf.summary import ModelSummary
from fcn_edge_runtime.model.protobuf.value_info import TensorInfo

__all__ = ["IR_VERSION", "OPSET", "OUTPUTS", "check_contract"]

IR_VERSION = 10
OPSET = 18
OUTPUTS = ("labels", "confidence", "probabilities", "logits")
# Bytes of a tensor that a file may declare per byte of its own; ONNX stores an int64 in at least one byte.
_INFLATION = 16

_NAMES = {1: "float32", 2: "uint8", 4: "uint16", 10: "float16", 11: "float64", 6: "int32", 7: "int64"}
_FIX = "export again with `fcn-edge export`"


def check_contract(summary: ModelSummary, card: Card, size: int, name: str = "the model") -> None:
    """Compare what the file declares with the contract of an fcn-edge model and with its own card.

    Args:
        summary: what the file declares.
        card: the file's card.
        size: the file's bytes.
        name: what messages call the file.

    Raises:
        ModelError: the first thing that differs, with got and expected.
    """
    if summary.external_tensors:
        shown = ", ".join(summary.external_tensors[:3])
        raise ModelError(
            f"{name} keeps weights outside the file (such as {shown}), "
            f"expected one file that holds everything: {_FIX}"
        )
    if summary.function_count:
        raise ModelError(f"{name} holds {summary.function_count} local functions, expected none: {_FIX}")
    if summary.ir_version != IR_VERSION:
        raise ModelError(f"{name} has ONNX IR version {summary.ir_version}, expected {IR_VERSION}: {_FIX}")
    if summary.opsets.get("") != OPSET:
        got = summary.opsets.get("", "none")
        raise ModelError(f"{name} has ONNX operator set {got}, expected {OPSET}: {_FIX}")
    foreign = [op for op in summary.op_types if "::" in op]
    if foreign:
        raise ModelError(f"{name} has the operator {foreign[0][:80]}, expected only ONNX's own: {_FIX}")
    if summary.largest_tensor_bytes > _INFLATION * size:
        raise ModelError(
            f"{name} declares a tensor of {summary.largest_tensor_bytes} bytes, the file has {size}: {_FIX}"
        )
    _check_tensors(summary, card, name)


def _check_tensors(summary: ModelSummary, card: Card, name: str) -> None:
    inputs = [tensor.name for tensor in summary.inputs]
    if inputs != ["image"]:
        raise ModelError(f"{name} has the inputs {inputs[:5]}, expected ['image']: {_FIX}")
    channels = card.input.channels
    _check(name, summary.inputs[0], card.input.dtype, ("batch", "height", "width", channels))
    outputs = [tensor.name for tensor in summary.outputs]
    foreign = [output for output in outputs if output not in OUTPUTS]
    if "labels" not in outputs or foreign or len(set(outputs)) != len(outputs):
        raise ModelError(
            f"{name} has the outputs {outputs[:5]}, "
            f"expected labels and at most {', '.join(OUTPUTS[1:])}: {_FIX}"
        )
    # A binary network has one plane of logits for its two classes.
    planes = {len(card.classes)} | ({1} if len(card.classes) == 2 else set())
    for tensor in summary.outputs:
        if tensor.name == "labels":
            _check(name, tensor, card.label_dtype, ("batch", "height", "width"))
        elif tensor.name == "confidence":
            _check(name, tensor, "float32", ("batch", "height", "width"))
        else:
            got = tensor.dims[1] if tensor.dims and len(tensor.dims) == 4 else None
            classes = got if isinstance(got, int) and got in planes else len(card.classes)
            _check(name, tensor, "float32", ("batch", classes, "height", "width"))


def _check(name: str, tensor: TensorInfo, dtype: str, shape: tuple[str | int, ...]) -> None:
    """A symbol must be a symbol (of any name), a number must be equal."""
    fits = tensor.dims is not None and len(tensor.dims) == len(shape)
    for got, expected in zip(tensor.dims or (), shape, strict=False):
        fits = fits and (not isinstance(got, int) if isinstance(expected, str) else got == expected)
    got_type = _NAMES.get(tensor.elem_type, f"type {tensor.elem_type}")
    if not fits or got_type != dtype:
        dims = "no shape" if tensor.dims is None else f"[{', '.join(map(str, tensor.dims[:8]))}]"
        raise ModelError(
            f"{name}: '{tensor.name}' is {got_type} {dims}, "
            f"expected {dtype} [{', '.join(map(str, shape))}]: {_FIX}"
        )
