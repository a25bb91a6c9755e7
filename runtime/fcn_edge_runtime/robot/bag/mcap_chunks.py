"""The records of an MCAP file, read within limits; the mcap package parses single records.

What a file declares is compared with its size: an index may name a chunk once, a chunk may become a certain
size, and messages wait in memory for earlier ones only up to a limit.
"""

from __future__ import annotations

import heapq
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from fcn_edge_runtime.robot.bag.inflating import unpack
from fcn_edge_runtime.robot.bag.mcap_records import HEAD, MESSAGE, MESSAGE_CODE, check_length, file_records

__all__ = ["Item", "Summary", "chunks_in_order", "read_summary", "records", "sorted_within_limit"]

_FOOTER = 8 + 29  # bytes: the magic at the end, and the record before it
_MOST_WAITING = 512 << 20  # bytes of messages that wait for earlier ones
_FREE_MESSAGES = 100  # a chunk may hold these and one more for each compressed byte


@dataclass(frozen=True)
class Item:
    """A message: its channel's number, the time of recording, and its bytes."""

    channel: int
    time: int
    data: bytes


@dataclass(frozen=True)
class Summary:
    """What a file declares at its end, as records of the mcap package."""

    statistics: Any
    channels: dict[int, Any]
    schemas: dict[int, Any]
    chunks: tuple[Any, ...]


def read_summary(stream: IO[bytes], size: int) -> Summary | None:
    """The summary; None where there is none, or no complete one.

    Args:
        stream: the file.
        size: its bytes.

    Raises:
        ValueError: its index names a chunk twice, or chunks that lie within each other.
        Exception: it is damaged.
    """
    from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics

    stream.seek(max(0, size - _FOOTER))
    _, footer = next(file_records(stream, size, whole=False), (0, None))
    if not isinstance(footer, Footer) or footer.summary_start == 0:
        return None
    stream.seek(footer.summary_start)
    statistics, channels, schemas, chunks = None, {}, {}, []
    for _, record in file_records(stream, size, whole=False):
        if isinstance(record, Statistics):
            statistics = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, ChunkIndex):
            chunks.append(record)
        elif isinstance(record, Footer):
            break
    _check_places(chunks, size)
    return Summary(statistics, channels, schemas, tuple(chunks))


def _check_places(chunks: Iterable[Any], size: int) -> None:
    end = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.chunk_start_offset):
        if chunk.chunk_start_offset < end:
            raise ValueError("its index names a chunk twice")
        end = chunk.chunk_start_offset + chunk.chunk_length
    if end > size:
        raise ValueError(f"its index names chunks up to {end:,} bytes in a file of {size:,}")


def records(stream: IO[bytes], size: int) -> Iterator[Any]:
    """Items, channels and schemas of the whole file in its order."""
    from mcap.records import Channel, Chunk, Schema

    stream.seek(0)
    for code, record in file_records(stream, size, whole=True):
        if code == MESSAGE_CODE:
            yield _item(record)
        elif isinstance(record, Chunk):
            yield from _inside(record)
        elif isinstance(record, (Channel, Schema)):
            yield record


def chunks_in_order(
    stream: IO[bytes], chunks: Iterable[Any], channels: set[int], start: int | None, stop: int | None
) -> Iterator[Item]:
    """Items of some channels in the order of time, chunk by chunk.

    Args:
        stream: the file.
        chunks: of its summary.
        channels: their numbers.
        start: the earliest time; None is the begin.
        stop: the time after the last one; None is the end.

    Raises:
        ValueError: too many items would have to wait for earlier ones.
    """
    from mcap.data_stream import ReadDataStream
    from mcap.records import Chunk

    wanted = [
        (chunk.message_start_time, chunk.chunk_start_offset)
        for chunk in chunks
        if (start is None or chunk.message_end_time >= start)
        and (stop is None or chunk.message_start_time < stop)
        and (not chunk.message_index_offsets or channels & chunk.message_index_offsets.keys())
    ]
    waiting: list[tuple[int, int, int, Item]] = []
    held = 0
    for begin, offset in [*sorted(wanted), (None, 0)]:
        while waiting and (begin is None or waiting[0][0] < begin):
            item = heapq.heappop(waiting)[3]
            held -= len(item.data)
            yield item
        if begin is None:
            return
        stream.seek(offset + HEAD.size)
        for number, item in enumerate(_inside(Chunk.read(ReadDataStream(stream)), channels)):
            if (start is None or item.time >= start) and (stop is None or item.time < stop):
                heapq.heappush(waiting, (item.time, offset, number, item))
                held += len(item.data)
        _check_waiting(held)


def sorted_within_limit(items: Iterable[Item]) -> list[Item]:
    """Items in the order of time.

    Raises:
        ValueError: they are too many to be sorted in memory.
    """
    found, held = [], 0
    for item in items:
        found.append(item)
        held += len(item.data)
        _check_waiting(held)
    return sorted(found, key=lambda item: item.time)


def _check_waiting(held: int) -> None:
    if held > _MOST_WAITING:
        raise ValueError(f"more than {_MOST_WAITING >> 20} MB of messages are not in the order of time")


def _item(body: bytes | memoryview) -> Item:
    channel, _, moment, _ = MESSAGE.unpack_from(body)
    return Item(channel, moment, bytes(body[MESSAGE.size :]))


def _inside(chunk: Any, channels: set[int] | None = None) -> Iterator[Any]:
    """The items of a chunk, and its channels and schemas; only the items of these channels, if given."""
    from mcap.data_stream import ReadDataStream
    from mcap.records import Channel, Schema

    data = unpack(chunk.compression, chunk.data, chunk.uncompressed_size)
    if chunk.uncompressed_crc and zlib.crc32(data) != chunk.uncompressed_crc:
        raise ValueError("the checksum of a chunk does not match")
    view, at, count = memoryview(data), 0, 0
    while at < len(view):
        code, length = HEAD.unpack_from(view, at)
        check_length(code, length)
        at += HEAD.size
        body = view[at : at + length]
        at += length
        if len(body) != length:
            raise ValueError("a record is longer than its chunk")
        if code == MESSAGE_CODE:
            count += 1
            if count > _FREE_MESSAGES + len(chunk.data):
                raise ValueError(f"{len(chunk.data):,} compressed bytes hold more messages than bytes")
            if channels is None or MESSAGE.unpack_from(body)[0] in channels:
                yield _item(body)
        elif code in (3, 4) and channels is None:
            yield (Schema if code == 3 else Channel).read(ReadDataStream(io.BytesIO(body)))
