"""The tensors of a model: names, types and shapes of an fcn-edge file, and of what it gives for an image."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.protobuf.summary import ModelSummary
from fcn_edge_runtime.model.protobuf.value_info import TensorInfo

__all__ = ["IR_VERSION", "OPSET", "OUTPUTS", "check_contract", "check_operators", "check_results"]

IR_VERSION = 10
OPSET = 18
OUTPUTS = ("labels", "confidence", "probabilities", "logits")

_NAMES = {1: "float32", 2: "uint8", 4: "uint16", 10: "float16", 11: "float64", 6: "int32", 7: "int64"}
_ROUNDING = 1e-3  # of a half-precision softmax
_FIX = "export again with `fcn-edge export`"


def check_contract(summary: ModelSummary, card: Card, name: str = "the model") -> None:
    """Compare what the file declares with the contract of an fcn-edge model and with its own card.

    Args:
        summary: what the file declares.
        card: the file's card.
        name: what messages call the file.

    Raises:
        ModelError: the first thing that differs, with got and expected.
    """
    if summary.ir_version != IR_VERSION:
        raise ModelError(f"{name} has ONNX IR version {summary.ir_version}, expected {IR_VERSION}: {_FIX}")
    if summary.opsets.get("") != OPSET:
        got = summary.opsets.get("", "none")
        raise ModelError(f"{name} has ONNX operator set {got}, expected {OPSET}: {_FIX}")
    _check_tensors(summary, card, name)


def check_operators(summary: ModelSummary, card: Card, name: str = "the model") -> None:
    """Raise ModelError unless the operators are those that the card lists, and as many."""
    if summary.op_types != card.operators:
        different = summary.op_types.keys() ^ card.operators.keys() or {
            op for op, count in summary.op_types.items() if count != card.operators[op]
        }
        op = min(different)
        raise ModelError(
            f"{name} has {summary.op_types.get(op, 0)} operators {op}, its card lists "
            f"{card.operators.get(op, 0)}: {_FIX}"
        )


def check_results(values: Mapping[str, np.ndarray], shape: tuple[int, ...], card: Card) -> None:
    """Look at every number of a model's results: the last line of defense.

    Args:
        values: by name of the output.
        shape: (batch, height, width) of the image.
        card: of the model.

    Raises:
        ModelError: an output has another shape or type than the contract says, a label is not a class, a
            probability is not in 0 to 1, or a number is not finite.
    """
    for name, value in values.items():
        dtype = card.label_dtype if name == "labels" else "float32"
        if value.dtype != dtype or value.shape not in _shapes(name, shape, card):
            raise ModelError(
                f"the model gave {name} of {size_text(value.shape)} {value.dtype} for an image of "
                f"{size_text(shape)}, which breaks the contract: {_FIX}"
            )
        wrong = _wrong_numbers(name, value, card)
        if wrong:
            raise ModelError(f"the model gave {name} {wrong}")


def _shapes(name: str, shape: tuple[int, ...], card: Card) -> list[tuple[int, ...]]:
    """The shapes that an output may have for an image of (batch, height, width)."""
    if name in ("labels", "confidence"):
        return [shape]
    return [(shape[0], planes, *shape[1:]) for planes in _planes(card)]


def _planes(card: Card) -> set[int]:
    """How many planes scores may have: a binary network has one for its two classes."""
    classes = len(card.classes)
    return {classes, 1} if classes == 2 else {classes}


def _wrong_numbers(name: str, value: np.ndarray, card: Card) -> str:
    """What is wrong with the numbers of an output; empty if nothing is."""
    if name == "labels":
        largest = int(value.max())
        if largest < len(card.classes):
            return ""
        foreign = value[(value >= len(card.classes)) & (value != card.unlabeled)]
        return f"such as {foreign[0]}, it has {len(card.classes)} classes: {_FIX}" if foreign.size else ""
    # NaN is neither below nor above anything, so the comparisons are the ones that hold for good numbers.
    if name == "logits":
        with np.errstate(all="ignore"):  # one pass; a sum that overflows says nothing
            good = math.isfinite(float(value.sum())) or bool(np.isfinite(value).all())
        expected = "finite numbers"
    else:
        least, most = float(value.min()), float(value.max())
        good = least >= -_ROUNDING and most <= 1 + _ROUNDING
        expected = f"numbers in 0 to 1, got {least:.3g} to {most:.3g}"
    if good:
        return ""
    if card.input.dtype == "float32":  # only such images can hold numbers that overflow in the network
        return f"that are not {expected}: the network's numbers overflowed, check the range of the image's"
    return f"that are not {expected}: {_FIX}"


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
    planes = _planes(card)
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
