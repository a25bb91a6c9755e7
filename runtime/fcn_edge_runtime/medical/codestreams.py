"""What a compressed slice says of itself, read before any decoder sees it.

A decoder allocates what a codestream declares, which may be any size, and works as long as its structure
says. Here its header is held against the dataset's, and its structure walked to the end: one image of one
component, whole, of as many tiles, blocks and scans as scanners write. Sources: DICOM PS3.5, annexes A and G;
JPEG ITU-T T.81, annex B; JPEG-LS T.87, annex C; JPEG 2000 T.800, annex A.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

__all__ = ["CodestreamError", "Plane", "check_jpeg", "check_jpeg_2000", "check_jpeg_ls", "check_run_lengths"]

_SOI, _EOI, _SOS, _LSE = 0xD8, 0xD9, 0xDA, 0xF8
_TABLES = frozenset((0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)))  # DHT, DQT, DRI, COM, APPn
_SEQUENTIAL, _LOSSLESS, _LS = (0xC0, 0xC1), (0xC3,), (0xF7,)
_PRESET_PARAMETERS = 1  # of the kinds of LSE; others hold tables, or a size of their own
_MOST_SEGMENTS = 1000
# In the data of a scan: FF, and neither a stuffed byte, a restart, nor a fill byte.
_MARKER = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])", re.DOTALL)
_LS_MARKER = re.compile(rb"\xff(?![\x00-\x7f\xd0-\xd7\xff])", re.DOTALL)  # there a bit alone is stuffed

_SIZ, _COD, _QCD, _SOT, _SOD, _EOC = 0x51, 0x52, 0x5C, 0x90, 0x93, 0xD9
_OF_MAIN = frozenset((_COD, _QCD, 0x55, 0x57, 0x63, 0x64))  # and TLM, PLM, CRG, COM
_OF_TILE = frozenset((0x58, 0x64))  # PLT, COM
_MOST_TILES, _MOST_PARTS = 1024, 4096
_MOST_LAYERS, _MOST_LEVELS = 100, 10
_PER_BLOCK, _FREE_BLOCKS = 64, 4096  # pixels of a block at least, on average, and blocks of any image
_MOST_PACKETS = 100_000


class CodestreamError(ValueError):
    """A codestream that is not decoded, and why."""


@dataclass(frozen=True)
class Plane:
    """What a dataset says of one slice: rows, columns, and bits allocated for a pixel."""

    rows: int
    columns: int
    bits: int

    def check(self, rows: int, columns: int, components: int, precision: int) -> None:
        """Compare it with a codestream.

        Raises:
            CodestreamError: they differ; the precision may be smaller, in as many bytes.
        """
        same_bytes = 0 < precision <= self.bits and (precision + 7) // 8 == self.bits // 8
        if (rows, columns, components) != (self.rows, self.columns, 1) or not same_bytes:
            raise CodestreamError(
                f"its codestream has {rows} rows and {columns} columns of {components} samples of "
                f"{precision} bits, and the dataset {self.rows} rows and {self.columns} columns of 1 sample "
                f"in {self.bits}"
            )


def check_jpeg(data: bytes, plane: Plane) -> None:
    """A sequential image with Huffman codes, of 8 or 12 bits, or a lossless one.

    Raises:
        CodestreamError: it is anything else, of another size, or cut short.
    """
    _check_segments(data, plane, (*_SEQUENTIAL, *_LOSSLESS), _MARKER)


def check_jpeg_ls(data: bytes, plane: Plane) -> None:
    """A JPEG-LS image. Raises `CodestreamError` as `check_jpeg`."""
    _check_segments(data, plane, _LS, _LS_MARKER)


def _check_segments(data: bytes, plane: Plane, frames: tuple[int, ...], marker: re.Pattern[bytes]) -> None:
    if data[:2] != bytes((0xFF, _SOI)):
        raise CodestreamError("it does not begin as a JPEG codestream")
    at, framed = 2, False
    for _ in range(_MOST_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        kind, content = _segment(data, at)
        if kind in frames and not framed:
            precision, rows, columns, components = _unpacked(">BHHB", content)
            plane.check(rows, columns, components, precision)
            framed = True
        elif kind == _SOS and framed:
            _check_scan(data, at + 4 + len(content), marker)
            return
        elif kind == _LSE and frames == _LS and content[:1] == bytes((_PRESET_PARAMETERS,)):
            pass
        elif kind not in _TABLES:
            raise CodestreamError(f"its codestream has the marker FF{kind:02X} where none is expected")
        at += 4 + len(content)
    raise CodestreamError(f"its codestream has more than {_MOST_SEGMENTS} segments")


def _check_scan(data: bytes, at: int, marker: re.Pattern[bytes]) -> None:
    """Only the end may follow the scan: one of one component is the whole image."""
    found = marker.search(data, at)
    if found is None or found.end() == len(data):
        raise CodestreamError("its codestream is cut short")
    if data[found.end()] != _EOI:
        raise CodestreamError("its codestream has more than one scan")


def check_jpeg_2000(data: bytes, plane: Plane) -> None:
    """A JPEG 2000 codestream without a container around it.

    Raises:
        CodestreamError: it is anything else, of another size, cut short, or of more tiles, blocks or packets
            than an image of its size needs.
    """
    if data[:4] != b"\xff\x4f\xff\x51":
        raise CodestreamError("it does not begin as a JPEG 2000 codestream")
    at, tiles, tile, coded = 2, 0, (0, 0), b""
    for _ in range(_MOST_SEGMENTS):
        kind, content = _segment(data, at)
        if kind == _SOT:
            break
        if kind == _SIZ and not tiles:
            tiles, tile = _tiles(content, plane)
        elif kind in _OF_MAIN and tiles and not (kind == _COD and coded):
            coded = content if kind == _COD else coded
        else:
            raise CodestreamError(f"its codestream has the marker FF{kind:02X}, which is not read")
        at += 4 + len(content)
    else:
        raise CodestreamError(f"its codestream has more than {_MOST_SEGMENTS} segments")
    _check_blocks(coded, tile, tiles, plane)
    _check_parts(data, at, tiles)


def _tiles(content: bytes, plane: Plane) -> tuple[int, tuple[int, int]]:
    """How many tiles there are, and the rows and columns of each."""
    values = _unpacked(">HIIIIIIIIH", content)
    columns, rows, left, top, tile_columns, tile_rows, tile_left, tile_top, components = values[1:]
    if left or top or tile_left or tile_top:
        raise CodestreamError("its codestream has an image that does not begin at 0, which is not read")
    if components != 1 or len(content) != 39 or content[37:] != b"\1\1" or not (tile_columns and tile_rows):
        raise CodestreamError(f"its codestream has {components} components, expected one of each pixel")
    plane.check(rows, columns, components, (content[36] & 0x7F) + 1)
    tiles = _ceil(columns, tile_columns) * _ceil(rows, tile_rows)
    if tiles > _MOST_TILES:
        raise CodestreamError(f"its codestream has {tiles} tiles, expected at most {_MOST_TILES}")
    return tiles, (min(rows, tile_rows), min(columns, tile_columns))


def _check_blocks(coded: bytes, tile: tuple[int, int], tiles: int, plane: Plane) -> None:
    """Blocks and packets are what a decoder allocates and visits, whatever data there are."""
    style, _, layers, _, levels, wide, high = _unpacked(">BBHBBBB", coded)
    precincts = coded[10:] if style & 1 else b"\xff" * (levels + 1)
    if not (1 <= layers <= _MOST_LAYERS and levels <= _MOST_LEVELS and len(precincts) == levels + 1):
        raise CodestreamError(f"its codestream has {layers} layers and {levels} levels, which are not read")
    blocks = packets = 0
    for level, sizes in enumerate(precincts):
        rows, columns = (_ceil(side, 1 << (levels - level)) for side in tile)
        side_columns, side_rows = sizes & 15, sizes >> 4
        count = _ceil(columns, 1 << side_columns) * _ceil(rows, 1 << side_rows)
        packets += tiles * count * layers
        within = level > 0  # bands of the lowest resolution are its own size, others half of it
        block_columns = 1 << max(min(wide + 2, side_columns - within), 0)
        block_rows = 1 << max(min(high + 2, side_rows - within), 0)
        blocks += tiles * (_ceil(columns, block_columns) * _ceil(rows, block_rows) + count)
    pixels = plane.rows * plane.columns
    if wide + high > 8 or blocks > _FREE_BLOCKS + pixels // _PER_BLOCK or packets > _MOST_PACKETS:
        raise CodestreamError(f"its codestream has {blocks} blocks in {packets} packets for {pixels} pixels")


def _check_parts(data: bytes, at: int, tiles: int) -> None:
    """Every tile is there, and the end."""
    seen = set()
    for _ in range(_MOST_PARTS):
        kind, content = _segment(data, at)
        tile, length, _, _ = _unpacked(">HIBB", content)
        end = at + length if length else len(data) - 2 - (data[-1] == 0)
        at += 4 + len(content)
        while kind == _SOT or kind in _OF_TILE:
            if data[at : at + 2] == bytes((0xFF, _SOD)):
                break
            kind, content = _segment(data, at)
            at += 4 + len(content)
        if kind not in (_SOT, *_OF_TILE) or tile >= tiles or not at + 2 <= end <= len(data) - 2:
            raise CodestreamError("its codestream has a tile that is cut short or not read")
        seen.add(tile)
        at = end
        if data[at : at + 2] == bytes((0xFF, _EOC)):
            if len(seen) < tiles:
                raise CodestreamError(f"its codestream has {len(seen)} of {tiles} tiles")
            return
    raise CodestreamError(f"its codestream has more than {_MOST_PARTS} parts of tiles")


def check_run_lengths(data: bytes, plane: Plane) -> None:
    """Run lengths: a segment for each byte of a pixel, which gives as many bytes as there are pixels.

    Raises:
        CodestreamError: another number of segments, or segments of other lengths.
    """
    count, *offsets = _unpacked("<16I", data)
    offsets, rest = offsets[:count], offsets[count:]
    ends = [*offsets[1:], len(data)]
    if count != plane.bits // 8 or any(rest) or offsets[0] != 64:
        raise CodestreamError(f"its run lengths have {count} segments, expected {plane.bits // 8}")
    pixels = plane.rows * plane.columns
    for start, end in zip(offsets, ends, strict=True):
        if not start < end <= len(data) or _run_length(data[start:end], pixels) != pixels:
            raise CodestreamError(f"its run lengths do not give {pixels} pixels")


def _run_length(segment: bytes, most: int) -> int:
    """How many bytes a segment gives; -1 where it gives more than `most`, or is cut short."""
    at = given = 0
    end = len(segment)
    while at < end and given < most:
        code = segment[at]
        at += 2 + code if code < 128 else 2 - (code == 128)
        given += 1 + code if code < 128 else 257 - code if code > 128 else 0
    # A byte may be added to make the length even; a code of 0 there is the start of a run that is not.
    return given if at <= end <= at + 1 else -1


def _segment(data: bytes, at: int) -> tuple[int, bytes]:
    """The marker at a place, and what its segment holds."""
    if at + 4 > len(data):
        raise CodestreamError("its codestream is cut short")
    first, kind, length = struct.unpack_from(">BBH", data, at)
    if first != 0xFF or length < 2 or at + 2 + length > len(data):
        raise CodestreamError(f"its codestream has no whole segment at byte {at}")
    return kind, data[at + 4 : at + 2 + length]


def _unpacked(form: str, content: bytes) -> tuple[int, ...]:
    if len(content) < struct.calcsize(form):
        raise CodestreamError("its codestream has a segment that is cut short")
    return struct.unpack_from(form, content)


def _ceil(length: int, size: int) -> int:
    return -(-length // size)
