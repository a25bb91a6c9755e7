"""Reads recorded bags through rosbags: rosbag2 (folder, .mcap, .db3) and ROS 1 (.bag).

Messages are always given as CDR: those of ROS 1 are converted, if their type has the same fields in ROS 2
(except for a header's `seq`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn_edge_runtime.errors import FcnEdgeError, InputError
from fcn_edge_runtime.robot.bag.definitions import import_rosbags, ros2_typestore
from fcn_edge_runtime.robot.cdr import decode_compressed_image, decode_image
from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE, Buffer, CompressedImage, Image

__all__ = ["Bag", "Record", "Topic", "decode_frame", "open_bag"]

_IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: such as "/camera/image_raw".
        type: such as "sensor_msgs/msg/Image".
        messages: their number, as the bag declares it.
        readable: whether its messages can be given as CDR.
        connection: the connection of rosbags.
    """

    name: str
    type: str
    messages: int
    readable: bool
    connection: Any

    @property
    def is_image(self) -> bool:
        """Whether it holds raw or compressed images."""
        return self.type in _IMAGE_TYPES


@dataclass(frozen=True)
class Record:
    """One message: its topic, the time of recording (nanoseconds since the epoch), and its CDR."""

    topic: Topic
    time: int
    data: Buffer


class Bag:
    """An open bag. Created by `open_bag`."""

    def __init__(self, path: Path, reader: Any, *, ros1: bool) -> None:
        self.path = path
        self.is_ros1 = ros1
        self._reader = reader
        self._store = ros2_typestore()
        self.topics = tuple(self._topic(connection) for connection in reader.connections)

    @property
    def start(self) -> int:
        """The time of the first message, in nanoseconds since the epoch; 0 for an empty bag."""
        return int(self._reader.start_time) if self._reader.message_count else 0

    @property
    def image_topics(self) -> tuple[Topic, ...]:
        """The topics that hold images."""
        return tuple(topic for topic in self.topics if topic.is_image)

    def image_topic(self, name: str) -> Topic:
        """The image topic of that name.

        Raises:
            InputError: there is none, or it has another type; the message lists the image topics.
        """
        matches = [topic for topic in self.topics if topic.name == name]
        for topic in matches:
            if topic.is_image:
                return topic
        there = ", ".join(topic.name for topic in self.image_topics) or "none"
        if matches:
            raise InputError(
                f"the topic {name} holds {matches[0].type}, expected {' or '.join(_IMAGE_TYPES)}; "
                f"image topics in {self.path}: {there}"
            )
        raise InputError(f"there is no topic {name!r} in {self.path}; image topics there: {there}")

    def records(
        self, topics: tuple[Topic, ...], start: int | None = None, stop: int | None = None
    ) -> Iterator[Record]:
        """The messages of some topics in the order of recording, from `start` to before `stop`.

        Raises:
            InputError: the bag is damaged; messages yielded before are complete.
        """
        by_id = {(topic.connection.topic, topic.connection.id): topic for topic in topics}
        with _damage(self.path):
            found = self._reader.messages([topic.connection for topic in topics], start, stop)
        while True:
            with _damage(self.path):
                item = next(found, None)
                if item is None:
                    return
                connection, moment, data = item
                topic = by_id[connection.topic, connection.id]
                if self.is_ros1:
                    data = self._store.ros1_to_cdr(data, topic.type)
            yield Record(topic, moment, data)

    def definition(self, topic: Topic) -> dict[str, Any]:
        """The arguments that describe the type of a topic to a writer of rosbags."""
        known = topic.connection.msgdef
        if self.is_ros1 or not known.data or not topic.connection.digest:
            return {"typestore": self._store}
        return {"msgdef": known.data, "rihs01": topic.connection.digest}

    def _topic(self, connection: Any) -> Topic:
        readable = self._same_in_ros2(connection) if self.is_ros1 else True
        if not self.is_ros1 and not (connection.msgdef.data and connection.digest):
            readable = connection.msgtype in self._store.fielddefs
        return Topic(connection.topic, connection.msgtype, connection.msgcount, readable, connection)

    def _same_in_ros2(self, connection: Any) -> bool:
        """Whether a ROS 1 type has the fields of the ROS 2 type of the same name, nested types included."""
        from rosbags.typesys import get_types_from_msg

        try:
            types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
        except Exception:  # noqa: BLE001 - untrusted text; the topic is then skipped and reported
            return False
        if connection.msgtype not in self._store.fielddefs:
            return False
        return all(
            name in self._store.fielddefs and _kinds(fields) == _kinds(self._store.fielddefs[name][1])
            for name, (_, fields) in types.items()
        )


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag for reading.

    Args:
        path: a folder with metadata.yaml, an .mcap or .db3 file of rosbag2, or a .bag file of ROS 1.

    Raises:
        InputError: it does not exist, is not a bag, or is damaged; or rosbags is missing.
    """
    import_rosbags()
    from rosbags.rosbag1 import Reader as Reader1
    from rosbags.rosbag2 import Reader as Reader2

    if not path.exists():
        raise InputError(f"there is no bag {path}")
    ros1 = path.suffix == ".bag" and path.is_file()
    if not ros1 and path.is_file() and path.suffix not in {".mcap", ".db3"}:
        raise InputError(
            f"{path} is not a bag: expected a rosbag2 folder, or a file ending in .mcap, .db3 or .bag"
        )
    if path.is_dir() and not (path / "metadata.yaml").exists():
        raise InputError(
            f"the folder {path} has no metadata.yaml, so it is not a rosbag2: "
            "give the .mcap or .db3 file in it, or run `ros2 bag reindex` on it"
        )
    with contextlib.ExitStack() as stack:
        with _damage(path):
            reader: Any = stack.enter_context((Reader1 if ros1 else Reader2)(path))
            bag = Bag(path, reader, ros1=ros1)
        yield bag


def decode_frame(record: Record) -> Image | CompressedImage:
    """The image of a record. Raises InputError if its bytes are not such a message."""
    decode = decode_image if record.topic.type == IMAGE else decode_compressed_image
    return decode(record.data)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn any error of a reader on a damaged file into one line."""
    try:
        yield
    except FcnEdgeError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files raise struct, memory, zstd, sqlite, yaml errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        tools = {".mcap": "`mcap recover`", ".bag": "`rosbag reindex`"}
        tool = tools.get(path.suffix, "`ros2 bag reindex`")
        raise InputError(
            f"the bag {path} is damaged, truncated or not a bag ({reason}): try {tool}"
        ) from None


def _kinds(fields: Any) -> list[Any]:
    return [field for field in fields if field[0] != "seq"]
