"""Smaller images for the network, and their labels back at the size of the source: whole factors only.

A whole factor keeps the geometry exact: a label covers a square of source pixels, and the camera's matrices
scale by one number.
"""

from __future__ import annotations

import numpy as np

__all__ = ["grown", "scaled_intrinsics", "shrunk"]


def shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """The means of squares of `factor` pixels: (ceil(H / factor), ceil(W / factor), C), the same dtype.

    The last row and column of squares are filled up with the image's edge.
    """
    if factor == 1:
        return image
    height, width, channels = image.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.pad(image, ((0, rows * factor - height), (0, columns * factor - width), (0, 0)), mode="edge")
    squares = padded.reshape(rows, factor, columns, factor, channels)
    if image.dtype.kind == "f":
        means: np.ndarray = squares.mean(axis=(1, 3), dtype=np.float32)
        return means
    # Integers, rounded half up: the same picture on every machine.
    total = squares.sum(axis=(1, 3), dtype=np.uint32)
    area = factor * factor
    rounded: np.ndarray = ((total + area // 2) // area).astype(image.dtype)
    return rounded


def grown(plane: np.ndarray, factor: int, size: tuple[int, ...]) -> np.ndarray:
    """Each value as a square of `factor` pixels, cut to (height, width): nearest neighbour, ids stay ids."""
    return np.repeat(np.repeat(plane, factor, axis=0), factor, axis=1)[: size[0], : size[1]]


def scaled_intrinsics(matrix: list[float], columns: int, factor: int) -> list[float]:
    """K (9 numbers, 3 columns) or P (12 numbers, 4 columns) of a camera, for an image shrunk by `factor`.

    Pixel centres lie at whole numbers, so u' = (u + 1/2) / factor - 1/2: focal lengths, skew and baseline
    terms are divided, and the principal point moves with the centres.
    """
    scaled = list(matrix)
    for row in (0, 1):
        for column in range(columns):
            scaled[row * columns + column] /= factor
        scaled[row * columns + 2] += 0.5 / factor - 0.5
    return scaled
