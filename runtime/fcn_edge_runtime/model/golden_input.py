"""The self-test's images: computed from integers alone, so that every machine sees the same pixels.

Coarse blobs (a lattice of hashed values, bilinear in between) make a network see several classes; a little
hashed noise makes edges and texture. The same seed gives the same bytes with any numpy.
"""

from __future__ import annotations

import hashlib

import numpy as np

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE

__all__ = ["image_digest", "pattern"]

_STEP = 16
_SEED_FACTOR = 0x9E3779B9
_NOISE_SALT = 0x85EBCA6B
_MAX_ELEMENTS = 1 << 26


def pattern(batch: int, height: int, width: int, channels: int, seed: int, spec: InputSpec) -> np.ndarray:
    """A test batch (batch, height, width, channels) of `spec.dtype`.

    As uint8 the value is v = lattice + noise, clipped to 0..255: the lattice has a hashed byte every 16
    pixels and integer bilinear values between; the noise is a hashed number from -8 to 8. uint16 holds
    v * 257; float32 holds v / (255 * spec.scale), so that pixel * scale is v / 255 like the other two.

    Raises:
        ModelError: a side above 4096 or more than 64 million values in all: no self-test is that large.
    """
    elements = batch * height * width * channels
    if max(batch, height, width, channels) > MAX_SIDE or not 0 < elements <= _MAX_ELEMENTS:
        raise ModelError(
            f"the self-test declares an image of {batch}x{height}x{width}x{channels}, "
            f"expected sides of 1 to {MAX_SIDE} and at most {_MAX_ELEMENTS} values: export again"
        )
    rows, columns = -(-height // _STEP) + 1, -(-width // _STEP) + 1
    lattice = (_hashed(batch, rows, columns, channels, seed * _SEED_FACTOR) >> np.uint32(24)).astype(np.int32)

    # Weights are 16ths on each axis, so 256ths together; adding 128 before the shift rounds.
    y, x = np.arange(height), np.arange(width)
    down = (y % _STEP).astype(np.int32)[None, :, None, None]
    right = (x % _STEP).astype(np.int32)[None, None, :, None]
    upper, lower = lattice[:, y // _STEP], lattice[:, y // _STEP + 1]
    tall = (_STEP - down) * upper + down * lower
    left_part, right_part = tall[:, :, x // _STEP], tall[:, :, x // _STEP + 1]
    smooth = ((_STEP - right) * left_part + right * right_part + 128) >> 8

    hashed = _hashed(batch, height, width, channels, seed * _SEED_FACTOR + _NOISE_SALT)
    noise = (((hashed >> np.uint32(16)) * np.uint32(17)) >> np.uint32(16)).astype(np.int32) - 8
    value: np.ndarray = np.clip(smooth + noise, 0, 255)
    if spec.dtype == "uint8":
        return value.astype(np.uint8)
    if spec.dtype == "uint16":
        return (value * 257).astype(np.uint16)
    # One float32 division of exact operands: the same bits everywhere.
    exact: np.ndarray = np.divide(value.astype(np.float32), np.float32(255 * spec.scale), dtype=np.float32)
    return exact


def image_digest(image: np.ndarray) -> str:
    """SHA-256 of the image's little-endian bytes in row-major order, as hex digits."""
    little = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))
    return hashlib.sha256(little.tobytes()).hexdigest()


def _hashed(batch: int, height: int, width: int, channels: int, offset: int) -> np.ndarray:
    """lowbias32(((b * 4096 + y) * 4096 + x) * 16 + c + offset) modulo 2^32, for every index."""
    # https://github.com/skeeto/hash-prospector
    b, y, x, c = np.ogrid[:batch, :height, :width, :channels]
    index = (((b * 4096 + y) * 4096 + x) * 16 + c).astype(np.int64) + offset % 2**32
    value = (index & 0xFFFFFFFF).astype(np.uint32)
    value ^= value >> np.uint32(16)
    value *= np.uint32(0x7FEB352D)
    value ^= value >> np.uint32(15)
    value *= np.uint32(0x846CA68B)
    value ^= value >> np.uint32(16)
    return value
