"""The chunks of a PNG file (PNG specification, third edition, chapters 5 and 11)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from fcn_edge_runtime.imaging.structure.orientation import orientation_of
from fcn_edge_runtime.imaging.structure.parts import Part, following
from fcn_edge_runtime.imaging.structure.structure import Damage, Structure, TooMuchWork, size_of

__all__ = ["Layout", "png_structure"]

_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MOST_METADATA = 1 << 20  # bytes of EXIF or XMP that are searched for the orientation
_LONGEST_PALETTE = 3 * 256  # bytes
_MOST_CHUNKS = 100_000
_MOST_BYTES = 64 << 20  # of data beyond what the pixels need
_BLOCK = 1 << 16


def png_structure(stream: BinaryIO) -> Structure:
    """The structure of a PNG file.

    Raises:
        Damage: it has no header.
        TooMuchWork: it consists of tiny chunks, or has far more data than its pixels need.
    """
    size = size_of(stream)
    parts: list[Part] = [(0, 8)]
    header, data, metadata, several = b"", [], {"exif": b"", "xmp": b""}, False
    for kind, start, length in _chunks(stream, size):
        if kind in _PIXELS:
            following(parts, start - 8, min(start + length + 4, size))
        if kind == b"IHDR" and not header:
            stream.seek(start)
            header = stream.read(min(length, 13))
        elif kind == b"IDAT":
            data.append((start, min(start + length, size)))
        elif kind == b"acTL":
            stream.seek(start)
            several = several or stream.read(4) > b"\0\0\0\1"
        elif kind in (b"eXIf", b"zTXt", b"tEXt", b"iTXt"):
            _keep_metadata(metadata, kind, stream, start, length)
    if len(header) < 13:
        raise Damage("it has no header")
    layout = Layout(*struct.unpack(">IIBBBBB", header))
    total = sum(end - start for start, end in data)
    if total > 2 * layout.bytes + _MOST_BYTES:  # blocks of nothing, which a decoder passes through
        raise TooMuchWork(f"{total >> 20} MB of data for {layout.width}x{layout.height} pixels")
    return Structure(
        layout.width,
        layout.height,
        tuple(parts),
        orientation_of(**metadata),
        several,
        lambda image: layout.is_whole(image, stream, data),
    )


def _chunks(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of the content of each chunk, up to the last one."""
    at, number = 8, 0
    while at + 8 <= size:
        number += 1
        if number > min(10_000 + size // 128, _MOST_CHUNKS):  # encoders write 8 KB a chunk, or all in one
            raise TooMuchWork(f"more than {number - 1} chunks in {size} bytes")
        stream.seek(at)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind in (b"PLTE", b"tRNS") and length > _LONGEST_PALETTE:
            raise Damage(f"a palette of {length} bytes")
        yield kind, at + 8, length
        at += 12 + length
        if kind == b"IEND":
            break


def _keep_metadata(kept: dict[str, bytes], kind: bytes, stream: BinaryIO, start: int, length: int) -> None:
    """Texts that may hold the orientation: EXIF, EXIF in hexadecimal as of ImageMagick, and XMP."""
    stream.seek(start)
    if kind == b"eXIf":
        kept["exif"] = stream.read(min(length, _MOST_METADATA))
        return
    key = stream.read(min(length, 24)).partition(b"\0")[0]
    name = "exif" if key in (b"Raw profile type exif", b"Raw profile type APP1") else "xmp"
    if kept[name] or (name == "xmp" and key != b"XML:com.adobe.xmp"):
        return
    stream.seek(start + len(key) + 1)
    text = stream.read(min(length - len(key) - 1, _MOST_METADATA))
    if kind == b"zTXt":
        text = _inflated(text[1:])
    elif kind == b"iTXt":
        compressed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
        text = _inflated(text) if compressed else text
    kept[name] = _from_hexadecimal(text) if name == "exif" else text


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _MOST_METADATA)
    except zlib.error:
        return b""


def _from_hexadecimal(text: bytes) -> bytes:
    """A profile as ImageMagick writes it: a line of its name, one of its length, lines of digits."""
    digits = b"".join(text.split(b"\n")[3:])
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""


@dataclass(frozen=True)
class Layout:
    """The header: sizes in pixels, bits of a sample, and numbers of color type and methods."""

    width: int
    height: int
    depth: int
    color: int
    compression: int
    filter: int
    interlaced: int

    def is_whole(self, image: Any, stream: BinaryIO, data: Sequence[tuple[int, int]]) -> bool:
        """Whether the compressed data holds all rows. Pillow leaves rows that are missing black.

        A last row that is not all black shows it; otherwise the data is counted.
        """
        last = image.crop((0, image.height - 1, image.width, image.height))
        if not self.interlaced and any(last.tobytes()):
            return True
        return _inflates_to(stream, data, self.bytes)

    @property
    def bytes(self) -> int:
        """The length of the rows, each with the number of its filter."""
        bits = self.depth * _SAMPLES.get(self.color, 1)
        total = 0
        for x, y, across, down in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -(-(self.width - x) // across), -(-(self.height - y) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * bits + 7) // 8)
        return total


def _inflates_to(stream: BinaryIO, data: Sequence[tuple[int, int]], wanted: int) -> bool:
    """Whether compressed data holds so many bytes."""
    inflate, held = zlib.decompressobj(), 0
    for start, end in data:
        stream.seek(start)
        for at in range(start, end, _BLOCK):
            block = stream.read(min(_BLOCK, end - at))
            while block and held < wanted:
                held += len(inflate.decompress(block, _BLOCK))
                block = inflate.unconsumed_tail
            if held >= wanted or inflate.eof:
                return held >= wanted
    return held + len(inflate.flush()) >= wanted
