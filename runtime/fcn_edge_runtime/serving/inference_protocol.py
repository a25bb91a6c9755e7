"""The Open Inference Protocol, version 2, in JSON and with its extension for binary data.

As Triton, KServe and others speak it: https://github.com/kserve/open-inference-protocol
With the extension, the body is JSON of `Inference-Header-Content-Length` bytes, and then the numbers of each
tensor that has `binary_data_size`, one after the other, little-endian.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime._fields import Fields
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.card import Card

__all__ = ["HEADER_LENGTH", "InferenceRequest", "metadata", "read_request", "write_response"]

HEADER_LENGTH = "inference-header-content-length"
_NAMES = {"uint8": "UINT8", "uint16": "UINT16", "float32": "FP32"}
_MOST_JSON = 16 << 20  # bytes of numbers written as text, which take ten times their memory
_SUBJECT = "the request"


@dataclass(frozen=True, eq=False)
class InferenceRequest:
    """What a client asks for.

    Attributes:
        images: (N, H, W, C) of the model's dtype.
        id: of the request, which the response repeats; empty without one.
        outputs: names, and whether their numbers are wanted as bytes.
    """

    images: np.ndarray
    id: str
    outputs: tuple[tuple[str, bool], ...]


def metadata(name: str, card: Card, outputs: tuple[str, ...]) -> dict[str, Any]:
    """The description of the model."""
    count, numbers = len(card.classes), _NAMES[card.label_dtype]
    shapes = {
        "labels": (numbers, [-1, -1, -1]),
        "confidence": ("FP32", [-1, -1, -1]),
        "probabilities": ("FP32", [-1, count, -1, -1]),
        "logits": ("FP32", [-1, count, -1, -1]),
    }
    return {
        "name": name,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": "image",
                "datatype": _NAMES[card.input.dtype],
                "shape": [-1, -1, -1, card.input.channels],
            }
        ],
        "outputs": [
            {"name": output, "datatype": shapes[output][0], "shape": shapes[output][1]} for output in outputs
        ],
    }


def read_request(
    body: bytes, header_length: str | None, card: Card, outputs: tuple[str, ...], max_pixels: int
) -> InferenceRequest:
    """A request's body.

    Raises:
        InputError: it does not follow the protocol, or is not for this model.
    """
    length = len(body)
    if header_length is not None:
        if not header_length.isdecimal() or not 0 < int(header_length[:20]) <= len(body):
            raise InputError(
                f"{HEADER_LENGTH} is {header_length[:20]!r}, expected 1 to {len(body)}, bytes of the body"
            )
        length = int(header_length)
    fields = Fields.parse(body[:length], _MOST_JSON, InputError, _SUBJECT)
    inputs = fields.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        fields.refuse("inputs", inputs, "one input, the image")
    given = Fields.of(inputs[0], InputError, f"{_SUBJECT}: field 'inputs[0]'")
    name, kind = given.get("name"), given.get("datatype")
    expected = _NAMES[card.input.dtype]
    if (name, kind) != ("image", expected):
        raise InputError(
            f"{_SUBJECT} has the input {str(name)[:40]!r} of the type {str(kind)[:20]!r}, expected 'image' "
            f"of the type {expected!r}"
        )
    shape = _shape(given, card, max_pixels)
    images = _numbers(given, shape, np.dtype(card.input.dtype), memoryview(body)[length:])
    request_id = fields.get("id") if "id" in fields else ""
    if not isinstance(request_id, str) or len(request_id) > 1000:
        fields.refuse("id", request_id, "a text of at most 1000 characters")
    return InferenceRequest(images, request_id, _outputs(fields, outputs))


def write_response(
    name: str, request: InferenceRequest, arrays: dict[str, np.ndarray]
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a response."""
    described, data = [], []
    for output, binary in request.outputs:
        array = np.ascontiguousarray(arrays[output])
        entry: dict[str, Any] = {
            "name": output,
            "datatype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
        }
        if binary:
            entry["parameters"] = {"binary_data_size": array.nbytes}
            data.append(array.tobytes())
        else:
            entry["data"] = array.ravel().tolist()
        described.append(entry)
    head = {"model_name": name, "model_version": "1", "outputs": described}
    if request.id:
        head["id"] = request.id
    text = json.dumps(head, separators=(",", ":")).encode()
    if not data:
        return text, {"content-type": "application/json"}
    return b"".join([text, *data]), {
        "content-type": "application/octet-stream",
        HEADER_LENGTH: str(len(text)),
    }


def _shape(given: Fields, card: Card, max_pixels: int) -> tuple[int, int, int, int]:
    shape = given.get("shape")
    channels = card.input.channels
    sides = isinstance(shape, list) and len(shape) == 4 and all(type(side) is int for side in shape)
    if not sides or min(shape) < 1 or shape[3] != channels:
        given.refuse("shape", shape, f"[batch, height, width, {channels}]")
    if shape[0] * shape[1] * shape[2] > max_pixels:
        given.refuse("shape", shape, f"at most {max_pixels} pixels")
    return shape[0], shape[1], shape[2], channels


def _numbers(given: Fields, shape: tuple[int, ...], kind: np.dtype[Any], rest: memoryview) -> np.ndarray:
    size = int(np.prod(shape)) * kind.itemsize
    parameters = given.object("parameters").values if "parameters" in given else {}
    if "binary_data_size" in parameters:
        if parameters["binary_data_size"] != size or len(rest) != size:
            raise InputError(
                f"{_SUBJECT} has {len(rest)} bytes after its JSON and declares "
                f"{str(parameters['binary_data_size'])[:20]}, expected {size} for the shape {list(shape)}"
            )
        return np.frombuffer(rest, kind.newbyteorder("<")).astype(kind, copy=False).reshape(shape)
    if len(rest):
        raise InputError(f"{_SUBJECT} has {len(rest)} bytes after its JSON that no input declares")
    data = given.get("data")
    try:
        numbers = np.array(data)
    except (ValueError, OverflowError):
        numbers = np.empty(0, object)
    if numbers.dtype.kind not in "iuf" or numbers.size != int(np.prod(shape)):
        raise InputError(f"{_SUBJECT} has data that is not {int(np.prod(shape))} numbers, as its shape says")
    if kind.kind != "f":
        limits = np.iinfo(kind)
        if numbers.dtype.kind == "f" or numbers.min() < limits.min or numbers.max() > limits.max:
            raise InputError(f"{_SUBJECT} has numbers beyond {limits.min} to {limits.max}, or fractions")
    return numbers.astype(kind).reshape(shape)


def _outputs(fields: Fields, offered: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    general = fields.object("parameters").values if "parameters" in fields else {}
    always = general.get("binary_data_output") is True
    wanted = fields.get("outputs") if "outputs" in fields else []
    if not isinstance(wanted, list) or len(wanted) > len(offered):
        fields.refuse("outputs", wanted, f"a list of some of {', '.join(offered)}")
    found = []
    for number, value in enumerate(wanted):
        entry = Fields.of(value, InputError, f"{_SUBJECT}: field 'outputs[{number}]'")
        name = entry.get("name")
        if name not in offered:
            entry.refuse("name", name, f"one of {', '.join(offered)}")
        own = entry.object("parameters").values if "parameters" in entry else {}
        found.append((str(name), own.get("binary_data", always) is True))
    return tuple(found) or tuple((name, always) for name in offered)
