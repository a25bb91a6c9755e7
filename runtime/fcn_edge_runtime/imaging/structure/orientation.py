"""The orientation in EXIF and XMP data. Nothing else of them is read: their tables may point anywhere."""

from __future__ import annotations

import re
import struct

__all__ = ["orientation_of"]

_TAG = 0x0112
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_FORMATS = {1: "B", 3: "H", 4: "I"}  # types of numbers, TIFF 6.0, p. 15


def orientation_of(exif: bytes = b"", xmp: bytes = b"") -> int:
    """The orientation, 1 to 8; 1 where none is given. EXIF's counts, where it has one.

    Args:
        exif: a TIFF header and its first directory, also behind "Exif" and two zeros.
        xmp: XML.
    """
    found = _in_exif(exif.removeprefix(b"Exif\0\0"))
    if found is None:
        match = _XMP.search(xmp)
        found = int(match[1]) if match else 1
    return found if 1 <= found <= 8 else 1


def _in_exif(data: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return None
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, at)
        if tag == _TAG:
            if kind not in _FORMATS or number != 1:
                return None
            return int(struct.unpack_from(f"{order}{_FORMATS[kind]}", data, at + 8)[0])
    return None
