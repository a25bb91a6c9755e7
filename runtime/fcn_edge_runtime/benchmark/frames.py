"""Frames to measure on: image files or computed frames, at any size, in the model's dtype."""

from __future__ import annotations

import itertools

import numpy as np

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, check_pixels
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.model.golden_input import pattern

__all__ = ["MOST_FRAMES", "Size", "computed_frame", "frames_for", "resampled"]

Size = tuple[int, int]  # height, width

MOST_FRAMES = 16  # images kept in memory; more would not change the time per frame
_COMPUTED = 4
_TILE = 512


def frames_for(card: Card, size: Size | None, images: FrameSource | None = None) -> list[np.ndarray]:
    """Frames (H, W, C) of the model's dtype.

    Args:
        card: the model's card.
        size: (height, width); None keeps the images' own sizes.
        images: what `frames_of` takes, of which the first `MOST_FRAMES` are read; None computes frames.

    Raises:
        InputError: there are no images, one cannot be read, or the size is above the limit of any image.
        UsageError: neither a size nor images are given.
    """
    if size is not None:
        check_pixels(size[0] * size[1], MAX_PIXELS, "a frame")
    if images is not None:
        read = (call() for call in itertools.islice(frames_of(images, card).values(), MOST_FRAMES))
        frames = [frame if size is None else resampled(frame, size) for frame in read]
        if not frames:
            raise InputError("got no images to measure on, expected at least one")
        return frames
    if size is None:
        raise UsageError("got neither a size nor images, expected one of them")
    return [computed_frame(card.input, size, seed) for seed in range(1, _COMPUTED + 1)]


def computed_frame(spec: InputSpec, size: Size, seed: int = 1) -> np.ndarray:
    """A computed frame (H, W, C): the self-test's pattern, repeated where the frame is larger than a tile."""
    height, width = size
    tile = pattern(1, min(height, _TILE), min(width, _TILE), spec.channels, seed, spec)[0]
    rows, columns = np.arange(height) % tile.shape[0], np.arange(width) % tile.shape[1]
    return np.ascontiguousarray(tile[rows[:, None], columns])


def resampled(frame: np.ndarray, size: Size) -> np.ndarray:
    """The frame at another size by nearest neighbors: good enough for timing, and for any dtype."""
    (height, width), (rows, columns) = size, frame.shape[:2]
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.ascontiguousarray(frame[row[:, None], column])
