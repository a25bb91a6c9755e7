"""Bag files of ROS 1 (.bag), read through rosbags; messages are given as CDR."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fcn_edge_runtime.robot.bag.channels import Channel
from fcn_edge_runtime.robot.bag.qos import qos_text
from fcn_edge_runtime.robot.bag.ros1_types import Ros1Types

__all__ = ["open_ros1"]


class _Ros1File:
    def __init__(self, reader: Any) -> None:
        self._reader, self._types = reader, Ros1Types()
        self.start = int(reader.start_time) if any(c.msgcount for c in reader.connections) else None
        self.channels = tuple(
            self._types.channel(
                connection.id,
                connection.topic,
                connection.msgtype,
                connection.msgdef.data,
                connection.msgcount,
                qos_text(latched=bool(connection.ext.latching)),
            )
            for connection in reader.connections
        )

    def messages(
        self, channels: Sequence[Channel], start: int | None, stop: int | None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        by_id = {channel.id: channel for channel in channels}
        chosen = [connection for connection in self._reader.connections if connection.id in by_id]
        if not chosen:  # to rosbags, none means all
            return
        for connection, moment, data in self._reader.messages(chosen, start, stop):
            channel = by_id[connection.id]
            yield channel, moment, self._types.to_cdr(channel, data)


@contextlib.contextmanager
def open_ros1(path: Path) -> Iterator[_Ros1File]:
    """Open a .bag file. Raises whatever rosbags raises on a damaged one."""
    from fcn_edge_runtime.robot.bag.ros1_reader import BoundedReader

    with BoundedReader(path) as reader:
        yield _Ros1File(reader)
