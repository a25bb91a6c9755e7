"""The records of an MCAP file one after the other, each of a bounded length; the mcap package parses them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

__all__ = ["HEAD", "MESSAGE", "MESSAGE_CODE", "check_length", "file_records"]

HEAD = struct.Struct("<BQ")
MESSAGE = struct.Struct("<HIQQ")  # before the data of a message
MESSAGE_CODE = 5
_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _DATA_END, _FOOTER, _LAST_CODE = 3, 4, 15, 2, 15
# Bytes. An image of 8K takes 100 MB; definitions with all that they refer to take a few hundred kB.
_LONGEST = {_SCHEMA: 8 << 20, _CHANNEL: 1 << 20, MESSAGE_CODE: 128 << 20}
_MOST_UNKNOWN = 10_000  # records that are empty, or of codes that the format does not define
_PIECE = 1 << 20


def check_length(code: int, length: int) -> None:
    """Refuse a record that is longer than any of its kind needs to be.

    Raises:
        ValueError: it is.
    """
    most = _LONGEST.get(code)
    if most is not None and length > most:
        raise ValueError(f"a record of kind {code} has {length:,} bytes, expected at most {most:,}")


def file_records(  # noqa: C901 - one check after the other, for each record
    stream: IO[bytes], size: int, *, whole: bool
) -> Iterator[tuple[int, Any]]:
    """Code and content of each record up to the footer, from where the stream is.

    A message's content is its bytes; that of a schema, channel, chunk, index, statistics or footer is the
    record of the mcap package. Others are skipped.

    Args:
        stream: the file.
        size: its bytes.
        whole: the stream is at the begin of the file: the magic and the checksum of the data are checked.

    Raises:
        Exception: it is damaged, or a record is longer than it may be.
    """
    from mcap import records
    from mcap.data_stream import ReadDataStream

    parsed: dict[int, Any] = {
        _FOOTER: records.Footer,
        _SCHEMA: records.Schema,
        _CHANNEL: records.Channel,
        6: records.Chunk,
        8: records.ChunkIndex,
        11: records.Statistics,
        _DATA_END: records.DataEnd,
    }
    checksum = unknown = 0
    if whole:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as an MCAP file")
        checksum = zlib.crc32(_MAGIC)
    code = 0
    while code != _FOOTER:
        head = stream.read(HEAD.size)
        if len(head) != HEAD.size:
            raise EOFError("it ends within a record")
        code, length = HEAD.unpack(head)
        check_length(code, length)
        if length > size:
            raise ValueError(f"a record has {length:,} bytes in a file of {size:,}")
        unknown += code > _LAST_CODE or length == 0
        if unknown > _MOST_UNKNOWN:
            raise ValueError(f"more than {_MOST_UNKNOWN:,} records are empty, or of unknown kinds")
        before = checksum
        checksum = zlib.crc32(head, checksum) if whole else 0
        if code != MESSAGE_CODE and code not in parsed:
            checksum = _skipped(stream, length, checksum)
            continue
        body = stream.read(length)
        if len(body) != length:
            raise EOFError("it ends within a record")
        checksum = zlib.crc32(body, checksum) if whole else 0
        content: Any = body if code == MESSAGE_CODE else parsed[code].read(ReadDataStream(io.BytesIO(body)))
        del body
        if code == _DATA_END:
            if whole and content.data_section_crc not in (0, before):
                raise ValueError("the checksum of its data does not match")
            continue
        yield code, content
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not end as an MCAP file")


def _skipped(stream: IO[bytes], length: int, checksum: int) -> int:
    """The checksum after a record's content, which is not kept."""
    while length:
        piece = stream.read(min(length, _PIECE))
        if not piece:
            raise EOFError("it ends within a record")
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
    return checksum
