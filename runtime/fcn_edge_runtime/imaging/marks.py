"""Marks in result files by which they are recognized later, as long as nobody has changed them.

A mark is the SHA-256 of all bytes before it, kept where the format has room for a comment at its end. A file
that was edited, by hand or with a tool that copies comments, no longer matches its mark: it is then
somebody's work and not a result. Marks detect accidents, not attackers.

| format | where the mark is |
|---|---|
| PNG | a tEXt chunk before IEND |
| JPEG | a COM segment before EOI |
| WebP | a chunk at the end, which readers skip |
| npz | the comment of the zip archive |
| JSON | the last field |
| gzip (NIfTI) | the comment of an empty member at the end |
| DICOM | the data set's trailing padding |
| MP4 | a box at the end, which players skip |
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

__all__ = ["has_mark", "is_unchanged_result", "is_unchanged_video", "mark_video", "marked"]

_KEY = "fcn-edge.sha256"
_PNG_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
_LENGTH = len(_KEY) + 1 + 64
_MP4_LENGTH = 8 + _LENGTH


def marked(data: bytes) -> bytes:  # noqa: PLR0911 - one return for each format
    """A result of `fcn-edge run` with its mark. The format is recognized by the content.

    Raises:
        ValueError: it is not one of the formats above.
    """
    if data.startswith(b"\x89PNG"):
        body = data.removesuffix(_PNG_END)
        return body + _png_mark(body) + _PNG_END
    if data.startswith(b"\xff\xd8"):
        body = data.removesuffix(b"\xff\xd9")
        return body + _jpeg_mark(body) + b"\xff\xd9"
    if data.startswith(b"RIFF"):
        mark = _webp_mark(data)
        return data[:4] + struct.pack("<I", len(data) - 8 + len(mark)) + data[8:] + mark
    if data.startswith(b"PK") and data.endswith(b"\0\0"):
        return data[:-2] + _zip_mark(data[:-2])
    if data.startswith(b"\x1f\x8b"):
        return data + _gzip_mark(data)
    if data[128:132] == b"DICM":
        return data + _dicom_mark(data)
    if data.endswith(b"\n}\n"):
        body = data.removesuffix(b"\n}\n")
        return body + _json_mark(body)
    raise ValueError("not a result of a known format")


def has_mark(end: bytes) -> bool:
    """Whether the last bytes of a file hold a mark, right or wrong."""
    return _KEY.encode() in end


def is_unchanged_result(data: bytes) -> bool:
    """Whether a file was written by `fcn-edge run` and not changed since."""
    for mark, end in (
        (_png_mark, _PNG_END),
        (_jpeg_mark, b"\xff\xd9"),
        (_webp_mark, b""),
        (_zip_mark, b""),
        (_json_mark, b""),
        (_gzip_mark, b""),
        (_dicom_mark, b""),
    ):
        rest = data.removesuffix(end)
        length = len(mark(b""))
        body = rest[:-length]
        if data.endswith(end) and body and _KEY.encode() in rest[-length:] and rest == body + mark(body):
            return True
    return False


def mark_video(path: Path) -> None:
    """Add the mark to an MP4 file, which may be larger than the memory."""
    with path.open("r+b") as stream:
        stream.write(_mp4_mark(stream, path.stat().st_size))  # at its end, where hashing left it


def is_unchanged_video(path: Path) -> bool:
    """Whether an MP4 file was marked and not changed since."""
    size = path.stat().st_size - _MP4_LENGTH
    with path.open("rb") as stream:
        return size > 0 and _mp4_mark(stream, size) == stream.read()


def _mp4_mark(stream: BinaryIO, size: int) -> bytes:
    """The mark of the next `size` bytes."""
    digest = hashlib.sha256()
    while size and (block := stream.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    text = _KEY.encode() + b"\0" + digest.hexdigest().encode()
    return struct.pack(">I", _MP4_LENGTH) + b"free" + text


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _text(body: bytes) -> bytes:
    return _KEY.encode() + b"\0" + _digest(body)


def _png_mark(body: bytes) -> bytes:
    chunk = b"tEXt" + _text(body)
    return struct.pack(">I", _LENGTH) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _jpeg_mark(body: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", _LENGTH + 2) + _text(body)


def _webp_mark(body: bytes) -> bytes:
    """Over all but the RIFF header, whose length counts the mark."""
    return b"fcne" + struct.pack("<I", _LENGTH) + _text(body[8:])


def _zip_mark(body: bytes) -> bytes:
    return struct.pack("<H", _LENGTH) + _text(body)


def _gzip_mark(body: bytes) -> bytes:
    """An empty member, which readers append as nothing: header, comment, no bytes, checksum and size."""
    comment = _text(body).replace(b"\0", b" ")
    return b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + comment + b"\0" + b"\x03\0" + b"\0" * 8


def _dicom_mark(body: bytes) -> bytes:
    """The element (FFFC,FFFC), of bytes that readers ignore, explicit and little-endian."""
    text = _text(body)
    text += b"\0" * (len(text) % 2)
    return b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", len(text)) + text


def _json_mark(body: bytes) -> bytes:
    return f',\n  "{_KEY}": "{_digest(body).decode()}"\n}}\n'.encode()
