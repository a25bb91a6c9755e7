"""Frames from a folder, paths, patterns, arrays, or a function that returns them.

Frames are read when they are needed and not kept, so that a long recording needs no memory.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.imaging.reading import read_picture
from fcn_edge_runtime.model.card import Card

__all__ = ["FrameSource", "Frames", "Read", "evenly", "frames_of"]

Array: TypeAlias = npt.NDArray[Any]
Path: TypeAlias = Union[str, "os.PathLike[str]"]
Read: TypeAlias = Callable[[], Array]
Frames: TypeAlias = Mapping[str, Read]
Given: TypeAlias = Path | Array | Read
FrameSource: TypeAlias = (
    Path | Array | Sequence[Path | Array] | Mapping[str, Given] | Callable[[Card], "FrameSource"]
)


def frames_of(given: FrameSource, card: Card, what: str = "images") -> dict[str, Read]:
    """Frames by name, each as a function that reads it as (H, W, C) of the card's dtype.

    Args:
        given: a folder, file or glob pattern; a list of those, or of arrays; an array, of one frame
            (H, W, C) or of several (N, H, W, C); a mapping from names to paths, arrays or functions without
            arguments; or a function that takes the model's card and returns any of these.
        card: the model's card, which determines how image files are read.
        what: the name of the frames in messages.

    Raises:
        InputError: something else, or paths without image files. An unreadable image file raises when it is
            read.
    """
    if callable(given):
        given = given(card)
    if isinstance(given, Mapping):
        return {str(name): _read(value, card, f"{what}[{name!r}]") for name, value in given.items()}
    if isinstance(given, (str, os.PathLike)):
        given = [given]
    if isinstance(given, np.ndarray):
        given = list(given) if given.ndim == 4 else [given]
    if not isinstance(given, Sequence) or isinstance(given, (bytes, bytearray)):
        raise InputError(
            f"{what} is a {type(given).__name__}, expected a folder, paths, arrays, a mapping of names to "
            "arrays, or a function that takes the card and returns one of these"
        )
    paths = [os.fspath(entry) for entry in given if isinstance(entry, (str, os.PathLike))]
    if len(paths) == len(given):
        found = find_images(paths) if paths else []
        files = _Files(card)
        return {str(image.source): files.reader(image.source) for image in found}
    return {f"frame {i}": _read(entry, card, f"{what}[{i}]") for i, entry in enumerate(given)}


def evenly(frames: Frames, most: int) -> dict[str, Read]:
    """At most so many of the frames, evenly spaced in their order: neighbors in a drive are alike."""
    names = list(frames)
    count = min(most, len(names))
    return {names[i * len(names) // count]: frames[names[i * len(names) // count]] for i in range(count)}


def _read(given: object, card: Card, where: str) -> Read:
    if isinstance(given, np.ndarray):
        return lambda: given
    if isinstance(given, (str, os.PathLike)):
        return _Files(card).reader(given)
    if callable(given):
        return given
    raise InputError(f"{where} is a {type(given).__name__}, expected a path or a numpy array")


class _Files:
    """Reads image files, and warns once where their values leave the network in the dark."""

    def __init__(self, card: Card) -> None:
        self._card, self._warned = card, False

    def reader(self, path: Path) -> Read:
        return lambda: self._read(path)

    def _read(self, path: Path) -> Array:
        picture = read_picture(path, self._card.input)
        if picture.dark and not self._warned:
            self._warned = True
            warnings.warn(picture.dark, stacklevel=2)
        return picture.pixels
