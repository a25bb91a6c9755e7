"""The reference of an adopted file: the given ONNX file itself, run without any optimization.

    image --scale, mean, std--> (resize) --edge padding--> given file --upsample--> --crop--> logits

The formulas are those of `reference`, in numpy. Resizing is bilinear with half-pixel centers as a matrix a
side: the weight of input pixel i for output pixel o is max(0, 1 - |i + 0.5 - c| / s), c = (o + 0.5) in / out,
over their sum. With s = max(1, in / out) that is `F.interpolate(..., antialias=True)`, with s = 1 plain
`F.interpolate(..., align_corners=False)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.brevity import brief
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card import InputSpec, WorkingSize
from fcn_edge_runtime.session.session import Session

__all__ = ["GivenFile", "OnnxReference", "resized"]

Array = npt.NDArray[Any]
LEAST = 1e-6  # probabilities are kept this far from 0 and 1, where logits are infinite


@dataclass(frozen=True)
class GivenFile:
    """A given file as a function of normalized pixels.

    Attributes:
        session: of the file as it was given, without optimization.
        input: its name.
        output: the name of the tensor taken.
        dtype: of its input.
        to_input: the axes of NCHW in its input's order.
        from_output: the axes of its output in the order of NCHW; three where it has none for one class.
        batch: how many images it takes at once; None is any.
        activation: applied to its logits, and undone here: "none", "sigmoid" or "softmax".
    """

    session: Session
    input: str
    output: str
    dtype: str = "float32"
    to_input: Sequence[int] = (0, 1, 2, 3)
    from_output: Sequence[int] = (0, 1, 2, 3)
    batch: int | None = None
    activation: str = "none"

    def __call__(self, x: Array) -> npt.NDArray[np.float32]:
        """Logits (batch, classes, height, width) of normalized pixels (batch, channels, height, width).

        Raises:
            ArtifactError: onnxruntime failed.
        """
        given = np.ascontiguousarray(x.transpose(self.to_input)).astype(self.dtype)
        # Of a batch of one size each image is given so many times, and read once.
        parts = (
            [given]
            if self.batch is None
            else [np.repeat(x, self.batch, 0) for x in np.split(given, len(given))]
        )
        try:
            found = [self.session.raw.run([self.output], {self.input: part})[0] for part in parts]
            found = found if self.batch is None else [part[:1] for part in found]
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors derive from Exception alone)
            size = "x".join(map(str, given.shape))
            raise ArtifactError(f"the given file fails with an input of {size}: {brief(error)}") from None
        logits: Array = np.concatenate(found).transpose(self.from_output).astype(np.float32)
        if logits.ndim == 3:
            logits = logits[:, None]
        if self.activation == "sigmoid":
            p = logits.clip(LEAST, 1 - LEAST)
            logits = np.log(p) - np.log1p(-p)
        elif self.activation == "softmax":
            logits = np.log(logits.clip(LEAST, None))
        return logits


@dataclass(frozen=True)
class OnnxReference:
    """The given file's logits for an image, see the formulas of the module.

    Attributes:
        network: normalized pixels -> logits, both (batch, channels, height, width).
        spec: how pixels are normalized.
        multiple: the network's sizes are multiples of this; others are padded at the bottom and right.
        resizes: whether its logits have another height and width than its input.
        working: the size the network works at; None is the image's.
    """

    network: Callable[[Array], npt.NDArray[np.float32]]
    spec: InputSpec
    multiple: int = 1
    resizes: bool = False
    working: WorkingSize | None = None

    def normalized(self, images: Array) -> npt.NDArray[np.float32]:
        """(batch, channels, height', width') float32: normalized, at the working size, edge-padded."""
        mean, std = (np.array(values).reshape(1, -1, 1, 1) for values in (self.spec.mean, self.spec.std))
        x = (np.moveaxis(images, -1, 1).astype(np.float64) * self.spec.scale - mean) / std
        if self.working is not None:
            x = resized(x, self.working.of(*images.shape[1:3]), antialias=True)
        down, right = (-x.shape[-2] % self.multiple, -x.shape[-1] % self.multiple)
        padded = np.pad(x, ((0, 0), (0, 0), (0, down), (0, right)), mode="edge") if down or right else x
        return padded.astype(np.float32)

    def __call__(self, images: Array) -> npt.NDArray[np.float32]:
        """Logits (batch, classes, height, width) float32 for images (batch, height, width, channels)."""
        x = self.normalized(images)
        logits = self.network(x)
        if self.resizes:
            logits = resized(logits, x.shape[2:])
        image = images.shape[1:3]
        height, width = image if self.working is None else self.working.of(*image)
        logits = logits[..., :height, :width]
        if self.working is not None:
            logits = resized(logits, image)
        return np.ascontiguousarray(logits, np.float32)


def resized(values: Array, size: Sequence[int], *, antialias: bool = False) -> Array:
    """Values (..., h, w) at another (height, width), bilinear."""
    height, width = values.shape[-2:]
    rows, columns = (
        _weights(before, int(after), antialias=antialias)
        for before, after in zip((height, width), size, strict=True)
    )
    result: Array = rows.astype(values.dtype) @ values @ columns.T.astype(values.dtype)
    return result


@lru_cache(maxsize=64)
def _weights(before: int, after: int, *, antialias: bool) -> npt.NDArray[np.float64]:
    """(after, before): the weight of every input pixel for every output pixel."""
    scale = before / after
    centers = (np.arange(after) + 0.5) * scale
    distance = np.abs(np.arange(before) + 0.5 - centers[:, None]) / (max(1.0, scale) if antialias else 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    normal: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normal
