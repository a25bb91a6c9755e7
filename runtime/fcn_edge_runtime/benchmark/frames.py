"""Frames to measure on: a user's pictures or computed ones, at any size, as the model takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, check_pixels
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.model.golden_input import pattern

__all__ = ["MOST_FRAMES", "Size", "computed_frame", "frames_for", "resampled"]

Size = tuple[int, int]  # height, width

MOST_FRAMES = 16  # pictures kept in memory; more of them would not change what a frame takes
_COMPUTED = 4
_TILE = 512


def frames_for(spec: InputSpec, size: Size | None, images: Sequence[str] = ()) -> list[np.ndarray]:
    """Frames (H, W, C) of the model's dtype.

    Args:
        spec: the model's input.
        size: (height, width); None keeps the pictures as they are.
        images: files, folders and patterns, of which the first `MOST_FRAMES` are read; computed frames
            if there are none.

    Raises:
        InputError: there are no pictures, one cannot be read, or the size is beyond all images.
        UsageError: neither a size nor pictures are given.
    """
    if size is not None:
        check_pixels(size[0] * size[1], MAX_PIXELS, "a frame")
    if images:
        read = (read_image(job.source, spec) for job in find_images(images)[:MOST_FRAMES])
        return [frame if size is None else resampled(frame, size) for frame in read]
    if size is None:
        raise UsageError("got neither a size nor images, expected one of them")
    return [computed_frame(spec, size, seed) for seed in range(1, _COMPUTED + 1)]


def computed_frame(spec: InputSpec, size: Size, seed: int = 1) -> np.ndarray:
    """A computed picture (H, W, C): the self-test's pattern, repeated where it is larger than a tile."""
    height, width = size
    tile = pattern(1, min(height, _TILE), min(width, _TILE), spec.channels, seed, spec)[0]
    rows, columns = np.arange(height) % tile.shape[0], np.arange(width) % tile.shape[1]
    return np.ascontiguousarray(tile[rows[:, None], columns])


def resampled(frame: np.ndarray, size: Size) -> np.ndarray:
    """The frame at another size by its nearest pixels, which do for timing, in any dtype."""
    (height, width), (rows, columns) = size, frame.shape[:2]
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.ascontiguousarray(frame[row[:, None], column])
