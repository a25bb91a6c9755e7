"""What is known of an image file before it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

from fcn_edge_runtime.imaging.structure.parts import Part

__all__ = ["Damage", "Structure", "TooMuchWork", "size_of"]

IsWhole: TypeAlias = Callable[[Any], bool]


class Damage(Exception):  # noqa: N818 - never reaches a user: `decoding.py` makes an InputError of it
    """The file is damaged or cut. The message says where, without the file's name."""


class TooMuchWork(Exception):  # noqa: N818 - as above
    """The file makes more work than any good one of its size. The message continues "FILE has"."""


@dataclass(frozen=True)
class Structure:
    """What is known of an image file before it is decoded.

    Attributes:
        width: in pixels, as stored.
        height: in pixels, as stored.
        parts: of the file that define its pixels; None where a decoder needs all of it.
        orientation: as in EXIF, 1 to 8; it is still to be applied.
        several: whether the file holds more than one image.
        is_whole: whether the decoded image, by Pillow, has all its pixels: decoders fill missing ones.
        prints: whether its decoder prints errors to stderr instead of raising them.
    """

    width: int
    height: int
    parts: tuple[Part, ...] | None = None
    orientation: int = 1
    several: bool = False
    is_whole: IsWhole = lambda _: True
    prints: bool = False


def size_of(stream: BinaryIO) -> int:
    """The length of a stream in bytes."""
    return stream.seek(0, 2)
