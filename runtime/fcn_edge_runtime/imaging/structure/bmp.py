"""The header of a BMP file (Windows: BITMAPINFOHEADER and later; OS/2: BITMAPCOREHEADER)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from fcn_edge_runtime.imaging.structure.structure import Damage, Structure, TooMuchWork, size_of

__all__ = ["bmp_structure"]

_RUN_LENGTHS = (1, 2)
# Pillow decodes run lengths in Python, byte by byte and pixel by pixel.
_MOST_PIXELS, _MOST_BYTES = 8_000_000, 2_000_000


def bmp_structure(stream: BinaryIO) -> Structure:
    """The structure of a BMP file.

    Raises:
        Damage: the header or the rows are cut.
        TooMuchWork: run lengths of a large image.
    """
    size = size_of(stream)
    stream.seek(0)
    head = stream.read(34)
    if len(head) < 34:
        raise Damage("its header is cut")
    start, length = struct.unpack_from("<II", head, 10)
    if length == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", head, 18)
    width, height = abs(width), abs(height)  # a negative height: the top row first
    if not width or not height:
        raise Damage("it has no size")
    if compression in _RUN_LENGTHS:
        if width * height > _MOST_PIXELS or size > _MOST_BYTES:
            raise TooMuchWork(
                f"run lengths of {width}x{height} pixels in {size} bytes, expected at most {_MOST_PIXELS} "
                f"pixels in {_MOST_BYTES} bytes"
            )
    elif start + (width * bits + 31) // 32 * 4 * height > size:
        raise Damage("its rows are cut")
    return Structure(width, height)
