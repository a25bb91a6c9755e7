"""True labels from a folder of PNGs, paths, arrays, or a function that returns them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.evaluation.masks import (
    LabelFolder,
    Pair,
    check_masks,
    find_pairs,
    read_labels,
)
from fcn_edge_runtime.imaging.frames import FrameSource, Read
from fcn_edge_runtime.model.card import Card

__all__ = ["LabelSource", "labels_of"]

Given: TypeAlias = str | os.PathLike[str] | npt.NDArray[Any] | Read
LabelSource: TypeAlias = (
    str
    | os.PathLike[str]
    | LabelFolder
    | Sequence[npt.NDArray[Any]]
    | Mapping[str, Given]
    | Callable[[Card], "LabelSource"]
)


def labels_of(given: LabelSource, images: FrameSource, names: Sequence[str], card: Card) -> dict[str, Read]:
    """True labels (H, W) by frame name, each as a function that reads them.

    Args:
        given: a folder with a PNG mask for each image file, of the same stem, or a `LabelFolder`, which also
            says how masks are read; a list of arrays in the order of the frames; a mapping from the frames'
            names to paths, arrays or functions without arguments; or a function that takes the model's card
            and returns any of these.
        images: the source of the frames, see `frames_of`.
        names: the frames' names.
        card: the model's card.

    Raises:
        InputError: something else, a frame without labels, or binary masks that would be read as ids.
        UsageError: options of the labels that do not fit the model.
    """
    if callable(given):
        given = given(card)
    if isinstance(given, (str, os.PathLike)):
        given = LabelFolder(given)
    if isinstance(given, LabelFolder):
        listed = [images] if isinstance(images, (str, os.PathLike)) else images
        if not isinstance(listed, Sequence) or not all(isinstance(i, (str, os.PathLike)) for i in listed):
            raise InputError(
                f"labels is the folder {os.fspath(given.path)}, which needs image files: give images as a "
                "folder or paths, too, or labels as arrays"
            )
        pairs = find_pairs(
            [os.fspath(i) for i in listed if isinstance(i, (str, os.PathLike))], given, recursive=False
        )
        given.check(card)
        check_masks(pairs, card)
        return {str(pair.image): _reader_of_pair(pair, card) for pair in pairs}
    if isinstance(given, Sequence) and not isinstance(given, (bytes, bytearray)):
        if len(given) != len(names):
            raise InputError(f"got {len(given)} labels for {len(names)} images, expected one for each")
        given = dict(zip(names, given, strict=True))
    if not isinstance(given, Mapping):
        raise InputError(
            f"labels is a {type(given).__name__}, expected a folder, arrays, a mapping of names to arrays, "
            "or a function that takes the card and returns one of these"
        )
    return {name: _read(value, card, name) for name, value in given.items()}


def _read(given: object, card: Card, name: str) -> Read:
    if isinstance(given, np.ndarray):
        return lambda: given
    if isinstance(given, (str, os.PathLike)):
        return _reader(Path(given), card)
    if callable(given):
        return given
    raise InputError(f"the labels of {name} are a {type(given).__name__}, expected a path or a numpy array")


def _reader_of_pair(pair: Pair, card: Card) -> Read:
    return lambda: pair.truth(card)


def _reader(path: Path, card: Card) -> Read:
    return lambda: read_labels(path, card)
