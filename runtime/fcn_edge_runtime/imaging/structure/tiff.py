"""The directories of a TIFF file (TIFF 6.0, chapters 2, 7 and 15; BigTIFF).

Every entry may point anywhere and declare any length, so that a small file may describe any amount of data:
what Pillow and libtiff would read is added up first.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from fcn_edge_runtime.imaging.structure.jpeg import jpeg_structure
from fcn_edge_runtime.imaging.structure.structure import Damage, Structure, TooMuchWork, size_of

__all__ = ["bands_of", "is_georeferenced", "raster_layout", "tiff_structure"]

# Of TIFF's many, those that are tested. Not CCITT's: libtiff fills a cut one with white, without an error.
_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    50000: "zstd",
}
_NONE, _JPEG = 1, 7
_MOST_OVERVIEWS = 64
_MOST_ENTRIES = 4096  # in all directories of a file
_MOST_BYTES = 64 << 20  # of entries: profiles, layers of other programs; and of data beyond a good file's
_MOST_NUMBERS = 1 << 20  # bytes of a list of numbers
_MOST_PIECES = 100_000  # strips or tiles
_MOST_JPEGS = 20_000  # strips or tiles that are JPEG files
_LARGEST_TILE = 1 << 22  # pixels beyond those of the image
_MOST_SCANS = 4  # of a JPEG strip or tile; more are counted as pixels that are painted again
_MOST_PAINTED = 50_000_000
_MOST_SAMPLES = 6  # a pixel, as Pillow reads at most; it logs an error otherwise
# Bytes of a value, by type.
_SIZES = dict(zip((*range(1, 14), 16, 17, 18), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8, 8), strict=True))
_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # whole numbers that are not negative
_BYTES = (1, 2, 6, 7)  # types that Pillow keeps as they are
_SUBTYPE, _OLD_SUBTYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_OFFSETS, _SAMPLES, _ROWS, _COUNTS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_LISTS = (_OFFSETS, _COUNTS, _TILE_OFFSETS, _TILE_COUNTS)
_DIRECTORIES = (34665, 34853, 40965)  # of EXIF, GPS and interoperability, which Pillow reads, too
_YCBCR = 6
_GEO_KEYS = 34735
_GDAL_METADATA = 42112
_MOST_RASTER_PIECES = 4_000_000  # a million pixels a side, in tiles of 512
_MOST_DIRECTORIES = 256  # overviews and masks of a raster


def tiff_structure(stream: BinaryIO) -> Structure:
    """The structure of a TIFF file. Pillow applies its orientation.

    Raises:
        Damage: its directory is cut, or its strips or tiles are not all there.
        TooMuchWork: its directories are longer, or its strips more or larger, than those of good files, or it
            has a compression that is not read.
    """
    file = _File(stream)
    first = file.directory(file.first)
    for tag in _DIRECTORIES[:2]:
        if tag in first.entries:
            inner = file.directory(file.number(first, tag))
            if _DIRECTORIES[2] in inner.entries:
                file.directory(file.number(inner, _DIRECTORIES[2]))
    width, height = file.number(first, _WIDTH), file.number(first, _HEIGHT)
    if not width or not height:
        raise Damage("it has no size")
    compressed = _check_pieces(file, first, width, height)
    return Structure(width, height, several=_has_pages(file, first.next), prints=compressed)


def bands_of(stream: BinaryIO) -> tuple[int, int]:
    """How many numbers a pixel of a TIFF file has, and how many bits the first of them.

    Raises:
        Damage: its directory is cut.
        TooMuchWork: its directory is longer than those of good files.
    """
    file = _File(stream)
    first = file.directory(file.first)
    return file.number(first, _SAMPLES, 1), file.number(first, _BITS, 1)


def is_georeferenced(stream: BinaryIO) -> bool:
    """Whether a file is a TIFF that lies somewhere on Earth. Only its first directory is read."""
    try:
        file = _File(stream)
        return _GEO_KEYS in file.directory(file.first).entries
    except (Damage, TooMuchWork, ValueError, OSError, struct.error):
        return False


@dataclass(frozen=True)
class RasterLayout:
    """What a program that reads a raster by windows has to decode at once.

    Attributes:
        block: bytes of its largest strip or tile.
        metadata: GDAL's own, XML.
    """

    block: int
    metadata: bytes


def raster_layout(stream: BinaryIO) -> RasterLayout:
    """That of all directories of a TIFF. Of many bands, too; whether its pixels are there is not looked at.

    Raises:
        Damage: a directory is cut.
        TooMuchWork: there are more directories, or longer ones, than in good files.
    """
    file = _File(stream, _MOST_RASTER_PIECES)
    at, blocks, metadata = file.first, [0], b""
    for _ in range(_MOST_DIRECTORIES):
        if not at:
            return RasterLayout(max(blocks), metadata)
        directory = file.directory(at)
        blocks.append(_block(file, directory))
        if _GDAL_METADATA in directory.entries:
            _, number, place = directory.entries[_GDAL_METADATA]
            metadata += file.read(place, number) if number > file.inline else b""
        at = directory.next
    raise TooMuchWork(f"more than {_MOST_DIRECTORIES} images, overviews and masks")


def _block(file: _File, directory: _Directory) -> int:
    """Bytes that are decoded at once: a tile, a strip, or a row where all rows are one uncompressed strip."""
    width, height = file.number(directory, _WIDTH), file.number(directory, _HEIGHT)
    bits, samples = file.number(directory, _BITS, 1), file.number(directory, _SAMPLES, 1)
    if _TILE_WIDTH in directory.entries:
        width, rows = file.number(directory, _TILE_WIDTH), file.number(directory, _TILE_HEIGHT)
    elif (
        file.number(directory, _COMPRESSION, _NONE) == _NONE
        and directory.entries.get(_OFFSETS, (0, 1))[1] == 1
    ):
        rows = 1
    else:
        rows = min(file.number(directory, _ROWS, height), height)
    planes = samples if file.number(directory, _PLANAR, 1) == 2 else 1
    return (width * bits * samples // planes + 7) // 8 * rows


@dataclass(frozen=True)
class _Directory:
    """Type, count and position of each entry's values, by tag; where the next directory is."""

    entries: dict[int, tuple[int, int, int]]
    next: int


class _File:
    """Reads directories, and adds up what they make others read."""

    def __init__(self, stream: BinaryIO, most_pieces: int = _MOST_PIECES) -> None:
        self.stream, self.size = stream, size_of(stream)
        self._most_pieces = most_pieces
        stream.seek(0)
        head = stream.read(16).ljust(16, b"\0")
        self._order = "<" if head[:2] == b"II" else ">"
        self._big = self._unpacked("H", head[2:4]) == 43
        self.first = self._unpacked("Q", head[8:16]) if self._big else self._unpacked("I", head[4:8])
        self.inline = 8 if self._big else 4  # bytes of values that stand in their entry
        self._entries = self._bytes = 0

    def _unpacked(self, kind: str, data: bytes) -> int:
        return int(struct.unpack(self._order + kind, data)[0])

    def read(self, at: int, length: int) -> bytes:
        """Bytes of the file. Raises Damage where it has fewer."""
        if at + length > self.size:
            raise Damage(f"it ends at byte {self.size}, before its directory")
        self.stream.seek(at)
        return self.stream.read(length)

    def directory(self, at: int) -> _Directory:
        """The directory at a position.

        Raises:
            Damage: it is not in the file.
            TooMuchWork: all directories so far have too many entries, or too long ones.
        """
        wide, each, inline = (8, 20, self.inline) if self._big else (2, 12, self.inline)
        count = self._unpacked("Q" if self._big else "H", self.read(at, wide))
        self._entries += count
        if self._entries > _MOST_ENTRIES:
            raise TooMuchWork(f"directories of more than {_MOST_ENTRIES} entries")
        table, entries = self.read(at + wide, each * count + inline), {}
        for start in range(0, each * count, each):
            tag, kind = struct.unpack_from(f"{self._order}HH", table, start)
            number = self._unpacked("Q" if self._big else "I", table[start + 4 : start + 4 + inline])
            length, place = _SIZES.get(kind, 0) * number, at + wide + start + each - inline
            if length > inline:
                place = self._unpacked("Q" if self._big else "I", table[start + each - inline : start + each])
                self._bytes += length
            if tag in _LISTS and number > self._most_pieces:
                raise TooMuchWork(f"{number} strips or tiles, expected at most {self._most_pieces}")
            if tag not in _LISTS and kind not in _BYTES and length > _MOST_NUMBERS:
                raise TooMuchWork(f"a list of {number} numbers (tag {tag})")
            entries[tag] = (kind, number, place)
        if self._bytes > _MOST_BYTES:
            raise TooMuchWork(f"directories of {self._bytes >> 20} MB, expected at most {_MOST_BYTES >> 20}")
        return _Directory(entries, self._unpacked("Q" if self._big else "I", table[-inline:]))

    def numbers(self, directory: _Directory, tag: int) -> Sequence[int]:
        """The values of an entry of whole numbers; nothing where it is missing."""
        if tag not in directory.entries:
            return ()
        kind, number, place = directory.entries[tag]
        if kind not in _FORMATS:
            raise Damage(f"tag {tag} holds no whole numbers")
        data = self.read(place, _SIZES[kind] * number)
        return struct.unpack(f"{self._order}{number}{_FORMATS[kind]}", data)

    def number(self, directory: _Directory, tag: int, missing: int = 0) -> int:
        """The first value of an entry."""
        return next(iter(self.numbers(directory, tag)), missing)


@dataclass(frozen=True)
class _Pieces:
    """The strips or tiles: their sides in pixels, bytes of a row, where they are, how many there must be."""

    across: int
    down: int
    row: int
    planes: int
    tiled: bool
    offsets: Sequence[int]
    lengths: Sequence[int]
    expected: int

    @classmethod
    def of(cls, file: _File, first: _Directory, width: int, height: int) -> _Pieces:
        samples = file.number(first, _SAMPLES, 1)
        if samples > _MOST_SAMPLES:
            raise TooMuchWork(f"{samples} samples a pixel, expected at most {_MOST_SAMPLES}")
        planes = samples if file.number(first, _PLANAR, 1) == 2 else 1
        tiled = _TILE_OFFSETS in first.entries
        across = file.number(first, _TILE_WIDTH) if tiled else width
        down = file.number(first, _TILE_HEIGHT) if tiled else min(file.number(first, _ROWS, height), height)
        if not across or not down:
            raise Damage("its strips or tiles have no size")
        if across * down > width * height + _LARGEST_TILE:
            raise TooMuchWork(f"tiles of {across}x{down} pixels for an image of {width}x{height}")
        bits = file.numbers(first, _BITS) or (1,)
        depth = max(bits) if planes > 1 else sum(bits) if len(bits) > 1 else bits[0] * samples
        offsets = file.numbers(first, _TILE_OFFSETS if tiled else _OFFSETS)
        lengths = file.numbers(first, _TILE_COUNTS if tiled else _COUNTS)
        expected = -(-width // across) * -(-height // down) * planes
        if len(offsets) < expected:
            raise Damage(f"it has {len(offsets)} strips or tiles of {expected}")
        return cls(across, down, (across * depth + 7) // 8, planes, tiled, offsets, lengths, expected)


def _check_pieces(file: _File, first: _Directory, width: int, height: int) -> bool:
    """All strips or tiles are there, none is larger than needed, and together they fit the file.

    Returns whether they are compressed.
    """
    compression = file.number(first, _COMPRESSION, _NONE)
    if compression not in _COMPRESSIONS:
        names = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise TooMuchWork(f"TIFF's compression {compression}, which is not read (only {names})")
    pieces = _Pieces.of(file, first, width, height)
    if compression == _NONE:
        if file.number(first, _PHOTOMETRIC) != _YCBCR:  # whose rows may be subsampled
            _check_rows(file, pieces, width, height)
        return False
    ends = map(int.__add__, pieces.offsets, pieces.lengths)
    if len(pieces.lengths) < pieces.expected or max(ends) > file.size:
        raise Damage("its strips or tiles are cut")
    total = sum(pieces.lengths)
    if total > min(file.size, 2 * pieces.row * pieces.down * pieces.expected) + _MOST_BYTES:
        raise TooMuchWork(f"strips or tiles of {total} bytes in {file.size}")
    if compression == _JPEG:
        _check_jpegs(file, pieces, height)
    return True


def _check_rows(file: _File, pieces: _Pieces, width: int, height: int) -> None:
    """Each piece holds all its rows."""
    down = pieces.down
    rows = [down if pieces.tiled else min(down, height - start) for start in range(0, height, down)]
    columns = -(-width // pieces.across)
    needed = [pieces.row * count for _ in range(pieces.planes) for count in rows for _ in range(columns)]
    ends = map(int.__add__, pieces.offsets, needed)
    if max(ends) > file.size or any(map(int.__lt__, pieces.lengths, needed)):
        raise Damage("its strips or tiles are cut")


def _check_jpegs(file: _File, pieces: _Pieces, height: int) -> None:
    """Each strip or tile is a JPEG file, with its end, large enough, and together they have few scans."""
    if len(pieces.offsets) > _MOST_JPEGS:
        raise TooMuchWork(f"{len(pieces.offsets)} JPEG strips or tiles, expected at most {_MOST_JPEGS}")
    scans = 0
    for index, place in enumerate(zip(pieces.offsets, pieces.lengths, strict=False)):
        data = file.read(*place)
        scans += data.count(b"\xff\xda")
        inner = jpeg_structure(io.BytesIO(data))
        rows = pieces.down if pieces.tiled else min(pieces.down, height - index * pieces.down)
        if b"\xff\xd9" not in data[-16:] or inner.width < pieces.across or inner.height < rows:
            raise Damage("its strips or tiles are cut")
    if (scans - _MOST_SCANS * len(pieces.offsets)) * pieces.across * pieces.down > _MOST_PAINTED:
        raise TooMuchWork(f"{scans} scans of {pieces.across}x{pieces.down} pixels")


def _has_pages(file: _File, at: int) -> bool:
    """Whether a TIFF holds more than one image, its overviews (as of COGs) and transparency masks apart.

    The tag NewSubfileType marks them: bit 0 a reduced image of another one, bit 2 a mask (TIFF 6.0, p. 36);
    before it, SubfileType 2 was a reduced image. A chain may have any length, or be a circle: 64 are looked
    at.
    """
    for _ in range(_MOST_OVERVIEWS):
        if not at:
            return False
        directory = file.directory(at)
        new, old = file.number(directory, _SUBTYPE), file.number(directory, _OLD_SUBTYPE, 1)
        if not (new & 0b101 or old == 2):
            return True
        at = directory.next
    return bool(at)
