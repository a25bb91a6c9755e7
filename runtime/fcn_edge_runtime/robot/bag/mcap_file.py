"""Bag files in MCAP, of any profile: foreign channels are listed and given beside those of ROS.

Files without an index are scanned. See https://mcap.dev/spec.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.robot.bag.channels import Channel, Schema
from fcn_edge_runtime.robot.bag.qos import qos_text
from fcn_edge_runtime.robot.bag.ros1_types import Ros1Types

__all__ = ["open_mcap"]


class _McapFile:
    def __init__(self, stream: IO[bytes]) -> None:
        reading = require("mcap.reader", "reading bags")
        self._make_scanner = reading.NonSeekingReader
        self._stream = stream
        self._reader = reading.SeekingReader(stream, validate_crcs=True)
        self._types: Ros1Types | None = None
        self._sorted = True
        summary = self._reader.get_summary()
        self._indexed = summary is not None and _is_complete(summary)
        if self._indexed:
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
        if self._indexed:
            topics = {channel.topic for channel in channels}
            found = self._reader.iter_messages(topics, starting_at=start, ending_before=stop)
        else:
            # In the order of the file without holding it in memory, where that is the order of time.
            found = self._scanner().iter_messages(
                starting_at=start, ending_before=stop, log_time_order=not self._sorted
            )
        for _, raw, message in found:
            channel = by_id.get(raw.id)
            if channel is None:
                continue
            data = message.data
            if self._types is not None and raw.message_encoding != channel.encoding:
                data = self._types.to_cdr(channel, data)
            yield channel, message.log_time, data

    def _scanner(self) -> Any:
        self._stream.seek(0)
        return self._make_scanner(self._stream, validate_crcs=True)

    def _scan(self) -> tuple[dict[int, int], dict[int, Any], dict[int, Any]]:
        """Counts of messages, channels and schemas of a file without an index."""
        from mcap.records import Channel as Record
        from mcap.records import Message
        from mcap.records import Schema as Definition
        from mcap.stream_reader import StreamReader

        counts: dict[int, int] = {}
        channels: dict[int, Any] = {}
        schemas: dict[int, Any] = {}
        first, last = None, 0
        self._stream.seek(0)
        for record in StreamReader(self._stream, validate_crcs=True).records:
            if isinstance(record, Message):
                counts[record.channel_id] = counts.get(record.channel_id, 0) + 1
                self._sorted &= record.log_time >= last
                last = record.log_time
                first = last if first is None else min(first, last)
            elif isinstance(record, Record):
                channels[record.id] = record
            elif isinstance(record, Definition):
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
                return channel
        return Channel(
            raw.id, raw.topic, kind, raw.message_encoding, definition, messages, dict(raw.metadata)
        )


def _is_complete(summary: Any) -> bool:
    """Whether a summary suffices to find every message; its records are all optional."""
    if summary.statistics is None or (summary.statistics.message_count and not summary.chunk_indexes):
        return False
    named = {number for index in summary.chunk_indexes for number in index.message_index_offsets}
    named |= {number for number, count in summary.statistics.channel_message_counts.items() if count}
    schemas = {channel.schema_id for channel in summary.channels.values()} - {0}
    return named <= set(summary.channels) and schemas <= set(summary.schemas)


@contextlib.contextmanager
def open_mcap(path: Path) -> Iterator[_McapFile]:
    """Open an .mcap file. Raises whatever the mcap package raises on a damaged one."""
    with path.open("rb") as stream:
        yield _McapFile(stream)
