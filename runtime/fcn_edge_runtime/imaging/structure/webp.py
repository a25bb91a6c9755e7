"""The chunks of a WebP file (WebP container specification; RFC 9649)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from fcn_edge_runtime.imaging.structure.orientation import orientation_of
from fcn_edge_runtime.imaging.structure.parts import Part
from fcn_edge_runtime.imaging.structure.structure import Damage, Structure, TooMuchWork, size_of

__all__ = ["webp_structure"]

_ALPHA = 0x10  # the only flag of VP8X that concerns pixels
_MOST_CHUNKS = 1000
_MOST_METADATA = 1 << 20  # bytes of EXIF or XMP that are searched for the orientation


def webp_structure(stream: BinaryIO) -> Structure:
    """The structure of a WebP file.

    Raises:
        Damage: it has no image.
        TooMuchWork: too many chunks, or more data than its pixels need.
    """
    size, at = size_of(stream), 12
    stream.seek(4)
    size = min(size, 8 + int.from_bytes(stream.read(4), "little"))
    parts: list[Part] = []
    width = height = total = number = 0
    texts, several = {b"EXIF": b"", b"XMP ": b""}, False
    while at + 8 <= size:
        number += 1
        if number > _MOST_CHUNKS:
            raise TooMuchWork(f"more than {_MOST_CHUNKS} chunks")
        stream.seek(at)
        kind, length = struct.unpack("<4sI", stream.read(8))
        end = min(at + 8 + length + length % 2, size)
        head = stream.read(min(length, 10))
        if kind in texts:
            stream.seek(at + 8)
            texts[kind] = stream.read(min(length, _MOST_METADATA))
        elif kind in (b"ANIM", b"ANMF"):
            several = True
        elif kind == b"VP8X" and len(head) == 10:
            width, height = _three(head, 4) + 1, _three(head, 7) + 1
            parts.append(b"VP8X" + struct.pack("<I", 10) + bytes((head[0] & _ALPHA,)) + head[1:])
            total += 18
        elif kind in (b"VP8 ", b"VP8L", b"ALPH"):
            if not width and kind != b"ALPH":
                width, height = _size(kind, head)
            parts.append((at, end))
            total += end - at
        at = end
    if not width or not height:
        raise Damage("it has no image")
    if total > 8 * width * height + (1 << 20):
        raise TooMuchWork(f"{total} bytes of data for {width}x{height} pixels")
    start = b"RIFF" + struct.pack("<I", total + 4) + b"WEBP"
    orientation = orientation_of(texts[b"EXIF"], texts[b"XMP "])
    return Structure(width, height, (start, *parts), orientation, several)


def _three(head: bytes, at: int) -> int:
    return int.from_bytes(head[at : at + 3], "little")


def _size(kind: bytes, head: bytes) -> tuple[int, int]:
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
        width, height = struct.unpack("<HH", head[6:])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(head) >= 5:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return 0, 0
