"""The segments and scans of a JPEG file (ITU-T T.81, annex B; progressive scans: annex G).

A progressive file paints the whole image once for each of its scans, of which a few bytes are enough: their
number is the work. Ten are usual.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from fcn_edge_runtime.imaging.structure.orientation import orientation_of
from fcn_edge_runtime.imaging.structure.parts import Part, Parts, following
from fcn_edge_runtime.imaging.structure.structure import Damage, Structure, TooMuchWork, size_of

__all__ = ["jpeg_structure"]

_SOF = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_READ = (
    0xC0,
    0xC1,
    0xC2,
)  # Huffman codes, sequential or progressive; of others a cut one would not be noticed
_PROGRESSIVE = 0xC2
_DHT, _EOI, _SOS, _COM, _ALONE = 0xC4, 0xD9, 0xDA, 0xFE, (0x01, *range(0xD0, 0xD9))
_APP = range(0xE0, 0xF0)
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
# By the byte after an FF in the data of a scan: a marker, and neither a stuffed FF, RSTn, nor a fill byte.
_ENDS_SCAN = np.array([code not in (0, 0xFF, *range(0xD0, 0xD8)) for code in range(256)])
_SMALLEST_BLOCK, _LARGEST_BLOCK = 1 << 12, 1 << 20
_MOST_FILL = 1 << 16
_MOST_SEGMENTS = 10_000
_MOST_DATA, _MOST_BYTES = 8, 64 << 20  # bytes a pixel, and of any image
_FREE_SCANS = 20
_MOST_PAINTED = 50_000_000  # pixels that further scans may paint: half a second
_LARGEST_DECODED_AGAIN = 16_000_000  # pixels
_FILLER = bytes((0x5A, 0xA5, 0x3C, 0x81)) * 16  # no marker


def jpeg_structure(stream: BinaryIO) -> Structure:
    """The structure of a JPEG file; only the first image of a camera's MPO.

    Raises:
        Damage: it has no header, or scans are missing.
        TooMuchWork: too many scans, or too many segments.
    """
    found = _Walk(stream)
    found.to_the_end()
    if not found.size:
        raise Damage("it has no header")
    found.check_scans()
    return Structure(
        found.size[0],
        found.size[1],
        tuple(found.parts),
        orientation_of(found.exif, found.xmp),
        is_whole=lambda image: _is_whole(image, stream, found),
    )


class _Walk:
    """Goes through the segments once, and keeps what defines the pixels."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._end = stream, size_of(stream)
        self.parts: list[Part] = [(0, 2)]
        self.exif = self.xmp = b""
        self.size: tuple[int, ...] = ()
        self.progressive = False
        self.last = 0  # where the marker after the last scan is
        self._components: dict[int, list[int | None]] = {}  # bits still missing of each coefficient
        self.scans = self._segments = self._fill = 0

    def to_the_end(self) -> None:
        at = 2
        while (marker := self._marker_from(at)) is not None:
            at, kind = marker
            if kind == _EOI:
                following(self.parts, at, at + 2)
                return
            if kind in _ALONE:
                at += 2
                continue
            at = self._segment(at, kind)
            if kind == _SOS:
                self.last = self._scan_end(at)
                following(self.parts, at, self.last)
                at = self.last

    def _marker_from(self, at: int) -> tuple[int, int] | None:
        """Where the next marker is, and what it is: fill bytes may stand before it."""
        self._stream.seek(at)
        head = self._stream.read(2)
        while head == b"\xff\xff":
            at += 1
            self._filled(1)
            head = head[1:] + self._stream.read(1)
        if len(head) < 2:
            return None
        if head[0] != 0xFF or head[1] == 0:
            raise Damage(f"no marker at byte {at}")
        return at, head[1]

    def _filled(self, count: int) -> None:
        """Count fill bytes: for each block of them, Pillow copies all before it."""
        self._fill += count
        if self._fill > _MOST_FILL:
            raise TooMuchWork(f"more than {_MOST_FILL} fill bytes")

    def _segment(self, at: int, kind: int) -> int:
        """Read a segment with a length; returns where it ends."""
        self._segments += 1
        if self._segments > _MOST_SEGMENTS:
            raise TooMuchWork(f"more than {_MOST_SEGMENTS} segments")
        self._stream.seek(at + 2)
        length = int.from_bytes(self._stream.read(2), "big")
        end = at + 2 + length
        if length < 2 or end > self._end:
            raise Damage(f"a segment that ends at byte {end} of {self._end}")
        content = b"" if kind == _COM else self._stream.read(min(length - 2, 1 << 16))
        if kind in _APP:
            if content.startswith((b"JFIF\0", b"Adobe")):
                following(self.parts, at, end)
            elif content.startswith(_EXIF) and not self.exif:
                self.exif = content
            elif content.startswith(_XMP) and not self.xmp:
                self.xmp = content
        elif kind != _COM:
            following(self.parts, at, end)
        if kind in _SOF:
            self._frame(kind, content)
        elif kind == _SOS:
            self._scan(content)
        return end

    def _frame(self, kind: int, content: bytes) -> None:
        if self.size or len(content) < 6:
            raise Damage("it has several headers, or half of one")
        if kind not in _READ:
            raise TooMuchWork(f"a JPEG process that is not read (SOF{kind - 0xC0}: lossless or arithmetic)")
        _, height, width, count = struct.unpack_from(">BHHB", content)
        self.size, self.progressive = (width, height), kind == _PROGRESSIVE
        for number in content[6 : 6 + 3 * count : 3]:
            self._components[number] = [None] * 64

    def _scan(self, content: bytes) -> None:
        self.scans += 1
        count = content[0] if content else 0
        if not self.size or len(content) < 4 + 2 * count:
            raise Damage("a scan before its header, or half of one")
        if self.scans > _FREE_SCANS:
            width, height = self.size
            if (self.scans - _FREE_SCANS) * width * height > _MOST_PAINTED or self.scans > 1000:
                raise TooMuchWork(f"more than {self.scans - 1} scans of {width}x{height} pixels")
        first, last, bits = content[1 + 2 * count : 4 + 2 * count]
        if not self.progressive:
            first, last, bits = 0, 63, 0
        for number in content[1 : 1 + 2 * count : 2]:
            known = self._components.get(number)
            if known is not None and last < 64:
                known[first : last + 1] = [bits & 15] * (last + 1 - first)

    def _scan_end(self, at: int) -> int:
        """Where the data of a scan ends, at a marker or with the file."""
        self._stream.seek(at)
        width, height = self.size
        most = at + _MOST_DATA * width * height + _MOST_BYTES
        kept, size = b"", _SMALLEST_BLOCK  # growing, since a file may consist of short scans
        while block := self._stream.read(size):
            text = kept + block
            values = np.frombuffer(text, np.uint8)
            places = np.flatnonzero(values[:-1] == 0xFF)
            codes = values[places + 1]
            ends = places[_ENDS_SCAN[codes]]
            fill = places[codes == 0xFF]
            self._filled(int(np.searchsorted(fill, ends[0])) if ends.size else fill.size)
            if ends.size:
                return at - len(kept) + int(ends[0])
            kept = b"\xff" if text.endswith(b"\xff") else b""
            if at > most:
                raise TooMuchWork(f"more than {most >> 20} MB of data for {width}x{height} pixels")
            at, size = at + len(block), min(2 * size, _LARGEST_BLOCK)
        return self._end

    def check_scans(self) -> None:
        """Every coefficient of every component must have arrived with all its bits."""
        if not self.scans:
            raise Damage("it has no scan")
        if any(bits != 0 for known in self._components.values() for bits in known):
            raise Damage("its last scans are missing")


def _is_whole(image: Any, stream: BinaryIO, found: _Walk) -> bool:
    """Whether the data of the last scan reaches to the last pixel.

    libjpeg fills what is missing: what one scan paints becomes gray, what several paint stays coarse. Bytes
    added at the end are skipped behind a whole scan, and change the pixels of another one. Large images are
    compared when decoded at a part of their size, for which libjpeg needs less memory.
    """
    if found.scans == 1:
        corner = image.crop((max(image.width - 4, 0), image.height - 1, image.width, image.height))
        if any(abs(value - 128) > 1 for value in corner.tobytes()):
            return True
        scale = 8
    else:  # the last scan may be of one color, or of fine details
        scale = 1 if image.width * image.height <= _LARGEST_DECODED_AGAIN else 2
    plain = image.tobytes() if scale == 1 else _pixels(stream, found.parts, scale)
    return plain == _pixels(stream, _with_filler(found.parts, found.last), scale)


def _with_filler(parts: Sequence[Part], at: int) -> list[Part]:
    longer: list[Part] = []
    for part in parts:
        if isinstance(part, tuple) and part[0] <= at <= part[1]:
            longer += [(part[0], at), _FILLER, (at, part[1])]
        else:
            longer.append(part)
    return longer


def _pixels(stream: BinaryIO, parts: Sequence[Part], scale: int) -> bytes:
    from PIL import Image

    with Image.open(io.BufferedReader(Parts(stream, parts)), formats=("JPEG",)) as image:
        if scale > 1:
            image.draft(None, (max(image.width // scale, 1), max(image.height // scale, 1)))
        image.load()
        pixels: bytes = image.tobytes()
        return pixels
