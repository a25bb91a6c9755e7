"""Writes a rosbag2 atomically: into a hidden folder beside its destination, which is then renamed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fcn_edge_runtime._files import part_of, place, require_writable
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.robot.bag.definitions import import_rosbags, ros2_typestore
from fcn_edge_runtime.robot.messages import Buffer

__all__ = ["STORAGES", "BagWriter", "bag_writer", "storage_for"]

STORAGES = ("mcap", "sqlite3")
_SUFFIXES = {".mcap": "mcap", ".db3": "sqlite3"}
# Version 8 stores QoS as Humble and everything since can read it; 9 came with Jazzy.
_VERSION: Literal[8] = 8


class BagWriter:
    """An open rosbag2 to write to. Created by `bag_writer`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._store = ros2_typestore()

    def add_topic(
        self, name: str, kind: str, *, latched: bool = False, definition: dict[str, Any] | None = None
    ) -> Any:
        """Add a topic; returns the connection that `write` takes.

        Args:
            name: such as "/segmentation/mask".
            kind: such as "sensor_msgs/msg/Image".
            latched: played back as transient_local, so that late readers get the last message.
            definition: arguments that describe another type than ours to rosbags.
        """
        return self._writer.add_connection(
            name, kind, offered_qos_profiles=[_qos(latched)], **(definition or {"typestore": self._store})
        )

    def write(self, topic: Any, time: int, data: Buffer) -> None:
        """Write one message: CDR, recorded at `time` in nanoseconds since the epoch.

        Raises:
            ArtifactError: it cannot be written, for example because the disk is full.
        """
        try:
            self._writer.write(topic, time, data)
        except OSError as error:
            raise ArtifactError(f"the bag cannot be written ({error.strerror or error})") from None


def storage_for(out: Path, storage: str | None) -> str:
    """The storage of a bag: by its suffix, else as requested, else mcap.

    Raises:
        UsageError: suffix and request contradict each other, or the bag exists already.
    """
    by_name = _SUFFIXES.get(out.suffix)
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
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    storage_for(out, storage)
    single = out.suffix in _SUFFIXES
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    require_writable(out.parent)
    try:
        with part_of(out, folder=True) as part:
            # rosbags names the file after its folder, and metadata.yaml refers to the file.
            folder = part / (out.stem if single else out.name)
            writer = Writer(folder, version=_VERSION, storage_plugin=plugin)
            if plugin == StoragePlugin.MCAP:
                # Every tool reads compressed MCAP chunks; masks shrink to a few percent.
                writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            with writer:
                yield BagWriter(writer)
            whole = next(path for path in folder.iterdir() if path.suffix in _SUFFIXES) if single else folder
            storage_for(out, storage)  # it may have been created meanwhile
            place((whole, out))
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"the bag {out} cannot be written ({reason})") from None


def _qos(latched: bool) -> Any:  # noqa: FBT001 - the only setting that differs
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    # RMW_DURATION_INFINITE, as rosbag2 itself writes "no limit".
    endless = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        endless,
        endless,
        QosLiveliness.AUTOMATIC,
        endless,
        avoid_ros_namespace_conventions=False,
    )
