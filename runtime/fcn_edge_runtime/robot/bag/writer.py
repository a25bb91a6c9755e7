"""Writes a rosbag2 atomically: into a hidden folder beside its destination, which is then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import part_of, place, require_writable
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.robot.bag.channels import Channel, Schema
from fcn_edge_runtime.robot.bag.definitions import import_rosbags, ros2_typestore
from fcn_edge_runtime.robot.bag.qos import qos_text
from fcn_edge_runtime.robot.messages import Buffer

__all__ = ["STORAGES", "BagWriter", "bag_writer", "storage_for", "why_not_copied"]

STORAGES = ("mcap", "sqlite3")
_SUFFIXES = {".mcap": "mcap", ".db3": "sqlite3"}
_FILE_TYPE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")  # "run.v1" and "2024.05" are names of folders
_SQLITE_DEFINITIONS = {"", "ros2msg", "ros2idl", "unknown"}
_LONGEST_NAME = 100  # bytes: SQLite opens no path above 511
# Version 8 stores QoS as Humble and everything since can read it; 9 came with Jazzy.
_VERSION: Literal[8] = 8


class BagWriter:
    """An open rosbag2 to write to. Created by `bag_writer`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._store = ros2_typestore()

    def add_topic(self, name: str, kind: str, *, latched: bool = False) -> Any:
        """Add a topic of a type that we know; returns the connection that `write` takes.

        Args:
            name: such as "/segmentation/mask".
            kind: such as "sensor_msgs/msg/Image".
            latched: played back as transient_local, so that late readers get the last message.
        """
        text, _ = self._store.generate_msgdef(kind, ros_version=2)
        metadata = {
            "offered_qos_profiles": qos_text(latched=latched),
            "topic_type_hash": self._store.hash_rihs01(kind),
        }
        return self.add_channel(Channel(0, name, kind, "cdr", Schema("ros2msg", text.encode()), 0, metadata))

    def add_channel(self, channel: Channel) -> Any:
        """Add a channel of another bag as it is: definition, hash, QoS and other metadata."""
        return self._writer.add(channel)

    def write(self, topic: Any, time: int, data: Buffer) -> None:
        """Write one message, recorded at `time` in nanoseconds since the epoch.

        Raises:
            ArtifactError: it cannot be written, for example because the disk is full.
        """
        try:
            self._writer.write(topic, time, data)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ArtifactError(f"the bag cannot be written ({reason})") from None


def why_not_copied(channel: Channel, storage: str) -> str:
    """Why a channel cannot be written as it is into a bag of this storage; empty if it can."""
    if channel.problem:
        return channel.problem
    if storage == "sqlite3" and (
        channel.encoding != "cdr" or channel.schema.encoding not in _SQLITE_DEFINITIONS
    ):
        return f"a sqlite3 bag holds no {channel.schema.encoding or channel.encoding}, write an .mcap"
    return ""


def storage_for(out: Path, storage: str | None, also: tuple[str, ...] = ()) -> str:
    """The storage of a bag: by its suffix, else as requested, else mcap.

    Args:
        out: where the bag goes.
        storage: "mcap" or "sqlite3", if requested.
        also: other suffixes that the caller takes, for the message.

    Raises:
        UsageError: suffix and request contradict each other, the suffix is that of another type of file, or
            the bag exists already.
    """
    suffix = out.suffix.lower()
    by_name = _SUFFIXES.get(suffix)
    if by_name is None and _FILE_TYPE.fullmatch(suffix):
        known = ", ".join((".mcap", ".db3", *also))
        raise UsageError(
            f"the name {out} ends in {out.suffix}, expected {known}, or a folder's name without an ending"
        )
    if storage and by_name and storage != by_name:
        raise UsageError(f"the suffix of {out} means {by_name}, and --storage is {storage}: choose one")
    if os.path.lexists(out):
        raise UsageError(f"{out} exists already and is not overwritten: remove it, or choose another with -o")
    return storage or by_name or "mcap"


@contextlib.contextmanager
def bag_writer(out: Path, storage: str) -> Iterator[BagWriter]:
    """Write a bag that gets its name only once it is complete.

    Args:
        out: a path ending in .mcap or .db3 becomes one file, any other a rosbag2 folder with metadata.yaml.
        storage: "mcap" or "sqlite3".

    Raises:
        UsageError, ArtifactError: the bag exists already, or cannot be written.
    """
    import_rosbags()
    require("mcap.writer", "writing bags")
    from fcn_edge_runtime.robot.bag.storages import ChannelWriter, StoragePlugin

    storage_for(out, storage)
    single = out.suffix.lower() in _SUFFIXES
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    require_writable(out.parent)
    try:
        with part_of(out, folder=True) as part:
            # The file is named after its folder, and metadata.yaml refers to the file.
            name = out.stem if single else out.name
            folder = part / (name if len(os.fsencode(name)) <= _LONGEST_NAME else "bag")
            with ChannelWriter(folder, version=_VERSION, storage_plugin=plugin) as writer:
                yield BagWriter(writer)
            whole = next(path for path in folder.iterdir() if path.suffix in _SUFFIXES) if single else folder
            storage_for(out, storage)  # it may have been created meanwhile
            place((whole, out))
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"the bag {out} cannot be written ({reason})") from None
