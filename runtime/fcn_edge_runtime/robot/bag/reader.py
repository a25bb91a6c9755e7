"""Reads recorded bags: rosbag2 (folder, .mcap, .db3) and ROS 1 (.bag), topic by topic.

Messages are given as CDR: those of ROS 1 are converted, if their type has the same fields in ROS 2, or is not
known there (except for a header's `seq`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from fcn_edge_runtime.errors import FcnEdgeError, InputError, UsageError
from fcn_edge_runtime.robot.bag.channels import BagFile, Channel
from fcn_edge_runtime.robot.bag.definitions import import_rosbags
from fcn_edge_runtime.robot.bag.folder import METADATA, open_folder
from fcn_edge_runtime.robot.bag.mcap_file import open_mcap
from fcn_edge_runtime.robot.bag.ros1_file import open_ros1
from fcn_edge_runtime.robot.bag.sqlite_file import open_sqlite
from fcn_edge_runtime.robot.cdr import decode_compressed_image, decode_image
from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE, Buffer, CompressedImage, Image

__all__ = ["LATEST", "Bag", "Record", "Topic", "decode_frame", "open_bag"]

LATEST = 2**63 - 1  # nanoseconds since the epoch: the year 2262; ROS counts no further
_IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_Opener = Callable[[Path], AbstractContextManager[BagFile]]
_OPENERS: dict[str, _Opener] = {".mcap": open_mcap, ".db3": open_sqlite, ".bag": open_ros1}
_STORAGES: dict[str, _Opener] = {"mcap": open_mcap, "sqlite3": open_sqlite}


@dataclass(frozen=True, eq=False)
class Topic:
    """One topic of a bag, over all its connections.

    Attributes:
        name: such as "/camera/image_raw".
        channels: its connections; several where a driver was restarted, or bags were merged.
    """

    name: str
    channels: tuple[Channel, ...]

    @property
    def type(self) -> str:
        """Such as "sensor_msgs/msg/Image"; several are joined by commas."""
        return ", ".join(dict.fromkeys(channel.type for channel in self.channels))

    @property
    def messages(self) -> int:
        """Their number, as the bag declares it."""
        return sum(channel.messages for channel in self.channels)

    @property
    def is_image(self) -> bool:
        """Whether it holds raw or compressed images of ROS."""
        return any(channel.type in _IMAGE_TYPES and channel.encoding == "cdr" for channel in self.channels)


@dataclass(frozen=True)
class Record:
    """One message: its channel, the time of recording (nanoseconds since the epoch), and its bytes."""

    channel: Channel
    time: int
    data: Buffer


class Bag:
    """An open bag. Created by `open_bag`."""

    def __init__(self, path: Path, file: BagFile) -> None:
        self.path = path
        self._file = file
        # Of the first message, in nanoseconds since the epoch; a wrong one is refused when it is read.
        self.start = file.start if type(file.start) is int and 0 <= file.start <= LATEST else 0
        by_name: dict[str, list[Channel]] = {}
        for channel in file.channels:
            by_name.setdefault(channel.topic, []).append(channel)
        self.topics = tuple(Topic(name, tuple(channels)) for name, channels in by_name.items())

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of all topics."""
        return self._file.channels

    @property
    def image_topics(self) -> tuple[Topic, ...]:
        """The topics that hold images."""
        return tuple(topic for topic in self.topics if topic.is_image)

    def image_topic(self, name: str) -> Topic:
        """The image topic of that name.

        Raises:
            InputError: there is none, or it has another type; the message lists the image topics.
        """
        there = self._names()
        for topic in self.topics:
            if topic.name == name and topic.is_image:
                return topic
            if topic.name == name:
                encodings = ", ".join(dict.fromkeys(channel.encoding for channel in topic.channels))
                held = topic.type if encodings == "cdr" else f"{topic.type or 'messages'} as {encodings}"
                raise InputError(
                    f"the topic {name} holds {held}, expected {' or '.join(_IMAGE_TYPES)}; "
                    f"image topics in {self.path}: {there}"
                )
        raise InputError(f"there is no topic {name!r} in {self.path}; image topics there: {there}")

    def only_image_topic(self) -> Topic:
        """The image topic of a bag that has one.

        Raises:
            InputError: it has none.
            UsageError: it has several; the message lists them.
        """
        if not self.image_topics:
            raise InputError(
                f"there are no image topics among the {len(self.topics)} topics of {self.path}, expected "
                f"{' or '.join(_IMAGE_TYPES)}"
            )
        if len(self.image_topics) > 1:
            raise UsageError(
                f"{self.path} has {len(self.image_topics)} image topics: choose one with --image-topic "
                f"({self._names()})"
            )
        return self.image_topics[0]

    def records(
        self, channels: Sequence[Channel], start: int | None = None, stop: int | None = None
    ) -> Iterator[Record]:
        """The messages of some channels in the order of recording, from `start` to before `stop`.

        Raises:
            InputError: the bag is damaged, or ends before all the messages that it declares; messages yielded
                before are complete.
        """
        found = self._file.messages(channels, start, stop)
        number = 0
        declared = sum(channel.messages for channel in channels)
        while True:
            try:
                with _damage(self.path):
                    item = next(found, None)
                    if item is not None:
                        _check_time(item[0], item[1])
            except InputError as error:
                raise InputError(f"{error}; {number} of {declared} messages were read before") from None
            if item is None:
                break
            number += 1
            yield Record(*item)
        if start is None and stop is None and number < declared:
            raise InputError(
                f"only {number} of the {declared} messages that {self.path} declares can be read: "
                f"it is damaged, try {_remedy(self.path)}"
            )

    def _names(self) -> str:
        return ", ".join(topic.name for topic in self.image_topics) or "none"


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag for reading. It is never changed.

    Args:
        path: a folder with metadata.yaml, an .mcap or .db3 file of rosbag2, or a .bag file of ROS 1.

    Raises:
        InputError: it does not exist, is not a bag, or is damaged; or rosbags is missing.
    """
    import_rosbags()
    if not path.exists():
        raise InputError(f"there is no bag {path}")
    suffix = path.suffix.lower()
    if not path.is_dir() and (suffix not in _OPENERS or not path.is_file()):
        raise InputError(
            f"{path} is not a bag: expected a rosbag2 folder, or a file ending in .mcap, .db3 or .bag"
        )
    if path.is_dir() and not (path / METADATA).exists():
        raise InputError(
            f"the folder {path} has no {METADATA}, so it is not a rosbag2: "
            "give the .mcap or .db3 file in it, or run `ros2 bag reindex` on it"
        )
    with contextlib.ExitStack() as stack:
        with _damage(path):
            opened = open_folder(path, _STORAGES) if path.is_dir() else _OPENERS[suffix](path)
            bag = Bag(path, stack.enter_context(opened))
        yield bag


def decode_frame(record: Record) -> Image | CompressedImage:
    """The image of a record.

    Raises:
        InputError: its bytes are not such a message.
    """
    channel = record.channel
    if channel.problem or channel.encoding != "cdr" or channel.type not in _IMAGE_TYPES:
        raise InputError(
            f"a connection of {channel.topic} holds {channel.type} as {channel.encoding}"
            + (f" ({channel.problem})" if channel.problem else f", expected {' or '.join(_IMAGE_TYPES)}")
        )
    decode = decode_image if channel.type == IMAGE else decode_compressed_image
    return decode(record.data)


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn any error of a reader on a damaged file into one line."""
    try:
        yield
    except FcnEdgeError:
        raise
    except OSError as error:
        raise InputError(f"the bag {path} cannot be read ({error.strerror or error})") from None
    except Exception as error:  # noqa: BLE001 - damaged files raise struct, memory, zstd, sqlite, yaml errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"the bag {path} is damaged, truncated or not a bag ({reason}): try {_remedy(path)}"
        ) from None


def _check_time(channel: Channel, moment: object) -> None:
    if type(moment) is not int or not 0 <= moment <= LATEST:
        raise ValueError(f"a message of {channel.topic} is recorded at {moment!r}, expected 0 to {LATEST}")


def _remedy(path: Path) -> str:
    return {".mcap": "`mcap recover`", ".bag": "`rosbag reindex`"}.get(path.suffix, "`ros2 bag reindex`")
