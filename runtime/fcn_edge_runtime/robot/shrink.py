"""Shrinks images for the network and enlarges their labels to the source size, by integer factors.

An integer factor keeps the geometry exact: a label covers a square of source pixels, and the camera's
matrices scale by one number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["grown", "scaled_intrinsics", "shrunk"]


def shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """The means of squares of `factor` pixels: (ceil(H / factor), ceil(W / factor), C), the same dtype.

    The last row and column of squares are padded with the image's edge.
    """
    if factor == 1:
        return image
    height, width, channels = image.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.pad(image, ((0, rows * factor - height), (0, columns * factor - width), (0, 0)), mode="edge")
    # 255 * 16 * 16, the largest sum of bytes, fits into 16 bits. Adding slices is faster than sum().
    kind = np.dtype({"uint8": np.uint16, "uint16": np.uint32}.get(image.dtype.name, np.float32))
    total = _added(padded.reshape(rows, factor, columns * factor, channels), kind)
    total = _added(total.reshape(rows, columns, factor, channels).swapaxes(1, 2), kind)
    area = factor * factor
    if kind.kind == "f":
        return total / kind.type(area)
    # Integers, rounded half up: the same result on every machine.
    rounded: np.ndarray = ((total + kind.type(area // 2)) // kind.type(area)).astype(image.dtype)
    return rounded


def _added(parts: np.ndarray, kind: np.dtype[Any]) -> np.ndarray:
    """The sum over the second axis."""
    total = parts[:, 0].astype(kind)
    for index in range(1, parts.shape[1]):
        total += parts[:, index]
    return total


def grown(plane: np.ndarray, factor: int, size: tuple[int, ...]) -> np.ndarray:
    """Each value as a square of `factor` pixels, cut to (height, width): nearest neighbor, ids stay ids."""
    return np.repeat(np.repeat(plane, factor, axis=0), factor, axis=1)[: size[0], : size[1]]


def scaled_intrinsics(matrix: list[float], columns: int, factor: int) -> list[float]:
    """K (9 numbers, 3 columns) or P (12 numbers, 4 columns) of a camera, for an image shrunk by `factor`.

    Pixel centers are at integers, so u' = (u + 1/2) / factor - 1/2: focal lengths, skew and baseline
    terms are divided, and the principal point moves with the centers.
    """
    scaled = list(matrix)
    for row in (0, 1):
        for column in range(columns):
            scaled[row * columns + column] /= factor
        scaled[row * columns + 2] += 0.5 / factor - 0.5
    return scaled
