"""What every kind of bag file offers: its channels, and their messages in the order of recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["BagFile", "Channel", "Schema"]


@dataclass(frozen=True)
class Schema:
    """The definition of a message type: its language, such as "ros2msg", and the text; both may be empty."""

    encoding: str = ""
    data: bytes = b""


@dataclass(frozen=True, eq=False)
class Channel:
    """One connection of a bag file. A topic may have several: a driver was restarted, or bags were merged.

    Attributes:
        id: its number in the file.
        topic: such as "/camera/image_raw".
        type: such as "sensor_msgs/msg/Image".
        encoding: of its messages: "cdr" for ROS 2, or a foreign one such as "json" or "protobuf".
        schema: the definition of the type.
        messages: their number, as the file declares it.
        metadata: of an mcap channel; "offered_qos_profiles" and "topic_type_hash" are those of ROS 2.
        problem: why its messages cannot be given as ROS 2 would write them; empty if they can.
    """

    id: int
    topic: str
    type: str
    encoding: str
    schema: Schema
    messages: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class BagFile(Protocol):
    """An open bag file.

    Attributes:
        channels: all of them.
        start: time of the first message, in nanoseconds since the epoch; None if there is no message.
    """

    channels: tuple[Channel, ...]
    start: int | None

    def messages(
        self, channels: Sequence[Channel], start: int | None, stop: int | None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        """Channel, time of recording and bytes, in the order of time, from `start` to before `stop`."""
