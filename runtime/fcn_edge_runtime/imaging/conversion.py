"""Pixels of an image converted to the channels and the dtype that a model takes.

The rules hold for every source of images, files (`reading.py`) and messages of robots (`robot/frames.py`):

- Three channels: gray is repeated, an alpha channel is dropped.
- One channel: colors become luma by ITU-R BT.601, (299 R + 587 G + 114 B) / 1000, and alpha is dropped.
- Any other number of channels must be that of the image.
- The whole range stays the whole range: 16 bits become 8 by (v + 128) // 257, 8 become 16 by v * 257, and
  float32 gets v / (top * scale), so that value * scale runs from 0 to 1.
"""

from __future__ import annotations

import numpy as np

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["convert", "is_dark", "luma", "windowed"]

_DARK = 1 / 4  # of the range of values: 14 bits in 16


def convert(planes: np.ndarray, spec: InputSpec, name: str = "the image", remedy: str = "") -> np.ndarray:
    """Convert pixels by the rules of this module.

    Args:
        planes: (H, W, C) uint8 or uint16 in native byte order: gray (C = 1), gray and alpha (2), RGB (3) or
            RGBA (4). Colors for one-channel models must be uint8.
        spec: the model's input, `card.input`.
        name: what messages call the image.
        remedy: what a message advises if the channels do not fit.

    Returns:
        (H, W, spec.channels) of the model's dtype. It may share memory with `planes`.

    Raises:
        InputError: the model takes neither one nor three channels, and the image has another number of them.
    """
    return _scaled(_with_channels(planes, spec, name, remedy), spec)


def luma(picture: np.ndarray) -> np.ndarray:
    """The luma (H, W) uint8 of a picture (H, W, 3 or more) uint8 RGB, as Pillow computes it."""
    red, green, blue = (picture[..., c].astype(np.uint32) for c in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)


def is_dark(planes: np.ndarray, spec: InputSpec) -> bool:
    """Whether 16-bit values use at most a quarter of the range that the model's scale is for.

    Args:
        planes: (H, W, C) uint16.
        spec: the model's input. A scale of 1/4095 says that 12 bits are the whole range.
    """
    top = int(planes.max(initial=0))
    whole = {"uint8": 255 * spec.scale, "uint16": 65535 * spec.scale}.get(spec.dtype, 1.0)
    return 0 < top / 65535 * whole < _DARK


def windowed(planes: np.ndarray) -> np.ndarray:
    """16-bit pixels (..., C) for people: (..., 3) uint8; the bits in use become the whole range."""
    bits = max(int(planes.max(initial=0)).bit_length(), 8)
    shown = (planes >> (bits - 8)).astype(np.uint8)
    return np.repeat(shown[..., :1], 3, axis=-1) if shown.shape[-1] < 3 else shown[..., :3]


def _with_channels(planes: np.ndarray, spec: InputSpec, name: str, remedy: str) -> np.ndarray:
    have, wanted = planes.shape[2], spec.channels
    if have == wanted:
        return planes
    if have <= 2 and wanted in {1, 3}:
        return np.repeat(planes[:, :, :1], wanted, axis=2)
    if wanted == 3:
        return planes[:, :, :3]
    if wanted == 1:
        return luma(planes)[:, :, None]
    got = "1 channel" if have == 1 else f"{have} channels"
    raise InputError(f"{name} has {got}, expected the {wanted} of the model: {remedy}")


def _scaled(planes: np.ndarray, spec: InputSpec) -> np.ndarray:
    top = 255 if planes.dtype == np.uint8 else 65535
    if spec.dtype == "float32":
        exact: np.ndarray = planes.astype(np.float32) / np.float32(top * spec.scale)
        return exact
    if planes.dtype == np.dtype(spec.dtype):
        return planes
    if spec.dtype == "uint16":
        return planes.astype(np.uint16) * np.uint16(257)
    return ((planes.astype(np.uint32) + 128) // 257).astype(np.uint8)
