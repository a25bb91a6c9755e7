"""Bag files in MCAP, of any profile: foreign channels are listed and given beside those of ROS.

Files without an index are scanned. See https://mcap.dev/spec.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.robot.bag.channels import Channel, Schema
from fcn_edge_runtime.robot.bag.mcap_chunks import (
    Item,
    Summary,
    chunks_in_order,
    read_summary,
    records,
    sorted_within_limit,
)
from fcn_edge_runtime.robot.bag.qos import qos_text
from fcn_edge_runtime.robot.bag.ros1_types import Ros1Types

__all__ = ["open_mcap"]


class _McapFile:
    def __init__(self, stream: IO[bytes], size: int) -> None:
        require("mcap.stream_reader", "reading bags")
        self._stream, self._size = stream, size
        self._types: Ros1Types | None = None
        self._converted: set[int] = set()  # channels whose messages are given in another encoding
        self._sorted = True
        summary = read_summary(stream, size)
        self._chunks = summary.chunks if summary is not None and _is_complete(summary) else None
        counts: dict[int, int]
        if summary is not None and self._chunks is not None:
            counts = summary.statistics.channel_message_counts
            found, schemas = summary.channels, summary.schemas
            self.start = summary.statistics.message_start_time if summary.statistics.message_count else None
        else:
            counts, found, schemas = self._scan()
        self.channels = tuple(
            self._channel(channel, schemas.get(channel.schema_id), counts.get(number, 0))
            for number, channel in sorted(found.items())
        )

    def messages(
        self, channels: Sequence[Channel], start: int | None, stop: int | None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        by_id = {channel.id: channel for channel in channels}
        found: Iterable[Item]
        if self._chunks is not None:
            found = chunks_in_order(self._stream, self._chunks, set(by_id), start, stop)
        else:
            found = self._scanned(set(by_id), start, stop)
            # In the order of the file without holding it in memory, where that is the order of time.
            found = found if self._sorted else sorted_within_limit(found)
        for item in found:
            channel = by_id[item.channel]
            data = item.data
            if self._types is not None and channel.id in self._converted:
                data = self._types.to_cdr(channel, data)
            yield channel, item.time, data

    def _scanned(self, channels: set[int], start: int | None, stop: int | None) -> Iterator[Item]:
        for record in records(self._stream, self._size):
            if not isinstance(record, Item) or record.channel not in channels:
                continue
            if (start is None or record.time >= start) and (stop is None or record.time < stop):
                yield record

    def _scan(self) -> tuple[dict[int, int], dict[int, Any], dict[int, Any]]:
        """Counts of messages, channels and schemas of a file without an index."""
        from mcap.records import Channel as Record

        counts: dict[int, int] = {}
        channels: dict[int, Any] = {}
        schemas: dict[int, Any] = {}
        first, last = None, 0
        for record in records(self._stream, self._size):
            if isinstance(record, Item):
                counts[record.channel] = counts.get(record.channel, 0) + 1
                self._sorted &= record.time >= last
                last = record.time
                first = last if first is None else min(first, last)
            elif isinstance(record, Record):
                channels[record.id] = record
            else:
                schemas[record.id] = record
        self.start = first
        return counts, channels, schemas

    def _channel(self, raw: Any, schema: Any, messages: int) -> Channel:
        definition = Schema(schema.encoding, schema.data) if schema else Schema()
        kind = schema.name if schema else ""
        if raw.message_encoding == "ros1" and definition.encoding == "ros1msg":
            self._types = self._types or Ros1Types()
            text = definition.data.decode("utf-8", "surrogateescape")
            channel = self._types.channel(
                raw.id, raw.topic, kind, text, messages, qos_text(latched=raw.metadata.get("latching") == "1")
            )
            if not channel.problem:
                self._converted.add(raw.id)
                return channel
        return Channel(
            raw.id, raw.topic, kind, raw.message_encoding, definition, messages, dict(raw.metadata)
        )


def _is_complete(summary: Summary) -> bool:
    """Whether a summary suffices to find every message; its records are all optional."""
    if summary.statistics is None or (summary.statistics.message_count and not summary.chunks):
        return False
    named = {number for index in summary.chunks for number in index.message_index_offsets}
    named |= {number for number, count in summary.statistics.channel_message_counts.items() if count}
    schemas = {channel.schema_id for channel in summary.channels.values()} - {0}
    return named <= set(summary.channels) and schemas <= set(summary.schemas)


@contextlib.contextmanager
def open_mcap(path: Path) -> Iterator[_McapFile]:
    """Open an .mcap file. Raises whatever the mcap package raises on a damaged one."""
    with path.open("rb") as stream:
        yield _McapFile(stream, path.stat().st_size)
