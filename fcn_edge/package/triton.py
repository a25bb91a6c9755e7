"""A model in the layout of NVIDIA's Triton Inference Server.

    REPOSITORY/NAME/config.pbtxt    shapes, batching, TensorRT, warm-up
    REPOSITORY/NAME/labels.txt      names of the classes, a line each
    REPOSITORY/NAME/1/model.onnx    the file as it is

Keys as of triton-inference-server/onnxruntime_backend@00fd3e8. Triton does not check the seal, so the file is
checked here, and its self-test runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcn_edge.package.folder import require_free, write_folder
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.selftest import require_passed, run_selftest
from fcn_edge_runtime.session.session import open_session

__all__ = ["TritonOptions", "TritonPackage", "package_for_triton"]

WARM = (480, 640)  # where no sizes are given
_TYPES = {"uint8": "TYPE_UINT8", "uint16": "TYPE_UINT16", "float32": "TYPE_FP32"}


@dataclass(frozen=True)
class TritonOptions:
    """How Triton is to run a model.

    Attributes:
        name: of the model in requests; None takes that of the file.
        sizes: (height, width) that TensorRT prepares for, the usual one first; empty for no TensorRT.
        batch: images that run together at most.
        delay: microseconds that an image waits for others of its size.
        fp16: let TensorRT compute in half precision, which changes some labels.
        force: replace a model of that name.
    """

    name: str | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    batch: int = 8
    delay: int = 2000
    fp16: bool = False
    force: bool = False


@dataclass(frozen=True)
class TritonPackage:
    """What was written: the model's folder in the repository, its name in requests, its card, all bytes."""

    folder: Path
    name: str
    card: Card
    bytes: int


def package_for_triton(model: Path, repository: Path, options: TritonOptions | None = None) -> TritonPackage:
    """Write a model into a repository of Triton's.

    Args:
        model: a file that `fcn-edge export` wrote.
        repository: the folder, with other models or without; it is made.
        options: None means the defaults.

    Raises:
        ModelError: the model is missing, damaged, or not ours.
        VerificationError: its self-test fails on this machine.
        UsageError: the name is taken or cannot be a folder's, or a size does not fit.
        ArtifactError: nothing can be written there.
    """
    options = options or TritonOptions()
    name = options.name or re.sub(r"[^A-Za-z0-9_.-]+", "_", model.stem)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,100}", name):
        raise UsageError(
            f"got the name {name[:100]!r}, expected letters, digits, '_', '-' and '.': give --name"
        )
    folder = repository / name
    require_free(folder, force=options.force)
    with ModelFile.open(model) as file:
        _check_sizes(file.card, options.sizes)
        require_passed(run_selftest(open_session(file, "cpu"), file.card, file.golden))
        files = {
            "config.pbtxt": _config(file, name, options).encode(),
            "labels.txt": "".join(f"{entry.name}\n" for entry in file.card.classes).encode(),
            "1/model.onnx": file.data(),
        }
        write_folder(folder, files, force=options.force)
        return TritonPackage(folder, name, file.card, sum(map(len, files.values())))


def _check_sizes(card: Card, sizes: Sequence[tuple[int, int]]) -> None:
    smallest, largest = card.geometry.smallest_size, card.geometry.largest_size
    for size in sizes:
        if min(size) < smallest or (largest and (size[0] > largest[0] or size[1] > largest[1])):
            most = f" and at most {size_text(largest)}" if largest else ""
            raise UsageError(f"got the size {size_text(size)}, expected sides of at least {smallest}{most}")


def _config(file: ModelFile, name: str, options: TritonOptions) -> str:
    """The text of config.pbtxt."""
    card = file.card
    dims = {
        "labels": (-1, -1),
        "confidence": (-1, -1),
        **dict.fromkeys(("probabilities", "logits"), (len(card.classes), -1, -1)),
    }
    outputs = []
    for tensor in file.summary.outputs:
        shape = dims[tensor.name]
        if len(shape) == 3 and tensor.dims is not None and isinstance(tensor.dims[1], int):
            shape = (tensor.dims[1], -1, -1)  # a binary network has one logit
        kind = card.label_dtype if tensor.name == "labels" else "float32"
        extra = ' label_filename: "labels.txt"' if tensor.name == "labels" else ""
        outputs.append(f'  {{ name: "{tensor.name}" data_type: {_TYPES[kind]} dims: {list(shape)}{extra} }}')
    image = _TYPES[card.input.dtype]
    warm = options.sizes or (_between(WARM, card),)
    return "\n".join(
        [
            f'name: "{name}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {options.batch}",
            "input [",
            f'  {{ name: "image" data_type: {image} dims: [-1, -1, {card.input.channels}] }}',
            "]",
            "output [",
            ",\n".join(outputs),
            "]",
            "# Images of one height and width run together.",
            f"dynamic_batching {{ max_queue_delay_microseconds: {options.delay} }}",
            *(_tensorrt(card, options) if options.sizes else ()),
            "model_warmup [",
            ",\n".join(_warmup(size, card) for size in warm),
            "]",
            _parameter("fcn_edge.sha256", file.digest),
            _parameter("fcn_edge.classes", json.dumps([c.name for c in card.classes], ensure_ascii=False)),
            "",
        ]
    )


def _between(size: tuple[int, int], card: Card) -> tuple[int, int]:
    """A size that the network takes, near this one."""
    height, width = (max(side, card.geometry.smallest_size) for side in size)
    most = card.geometry.largest_size or (height, width)
    return min(height, most[0]), min(width, most[1])


def _tensorrt(card: Card, options: TritonOptions) -> list[str]:
    """TensorRT, with engines for images between the smallest and the largest of the sizes."""
    heights, widths = zip(*options.sizes, strict=True)
    shapes = {
        "min": (1, min(heights), min(widths)),
        "opt": (options.batch, *options.sizes[0]),
        "max": (options.batch, max(heights), max(widths)),
    }
    values = {
        "precision_mode": "FP16" if options.fp16 else "FP32",
        "trt_engine_cache_enable": "1",
        **{f"trt_profile_{end}_shapes": _profile(shape, card) for end, shape in shapes.items()},
    }
    parameters = [f'        parameters {{ key: "{key}" value: "{value}" }}' for key, value in values.items()]
    return [
        "optimization {",
        "  execution_accelerators {",
        "    gpu_execution_accelerator: [",
        '      { name: "tensorrt"',
        *parameters,
        "      }",
        "    ]",
        "  }",
        "}",
    ]


def _profile(shape: tuple[int, int, int], card: Card) -> str:
    """The image, and the tensor that TensorRT begins with: it takes no bytes, so onnxruntime casts them."""
    batch, height, width = shape
    channels = card.input.channels
    first = "fcn_edge/planes" if card.input.dtype == "float32" else "fcn_edge/float"
    return f"image:{batch}x{height}x{width}x{channels},{first}:{batch}x{channels}x{height}x{width}"


def _warmup(size: tuple[int, int], card: Card) -> str:
    dims = f"dims: [{size[0]}, {size[1]}, {card.input.channels}]"
    value = f"data_type: {_TYPES[card.input.dtype]} {dims} zero_data: true"
    return f'  {{ name: "{size_text(size)}" batch_size: 1 inputs {{ key: "image" value: {{ {value} }} }} }}'


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: {json.dumps(value, ensure_ascii=False)} }} }}'
