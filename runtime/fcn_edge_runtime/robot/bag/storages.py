"""What rosbags' writer writes into: MCAP through the mcap package, SQLite through rosbags.

rosbags itself keeps one definition for each name of a type, drops the metadata of channels, refuses a second
connection of a topic, and gives paths to SQLite as URIs without quoting them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from mcap.writer import Writer as McapWriter
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer

from fcn_edge_runtime.robot.bag.channels import Channel
from fcn_edge_runtime.robot.bag.qos import parsed_qos

__all__ = ["ChannelWriter", "CompressionMode", "StoragePlugin"]

_LONGEST_NAME = 255  # bytes


class _McapStorage:
    def __init__(self, path: Path, compression: CompressionMode) -> None:
        del compression  # every tool reads compressed chunks, and masks shrink to a few percent
        self.path = path / _file_name(path.name, ".mcap")
        self._stream = self.path.open("xb")
        self._writer = McapWriter(self._stream)
        self._writer.start("ros2", "fcn-edge")
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._channels: dict[int, int] = {}

    def add(self, connection: Connection, channel: Channel) -> None:
        key = (channel.type, channel.schema.encoding, channel.schema.data)
        if key not in self._schemas and any(key):
            self._schemas[key] = self._writer.register_schema(*key)
        self._channels[connection.id] = self._writer.register_channel(
            channel.topic, channel.encoding, self._schemas.get(key, 0), dict(channel.metadata)
        )

    def write(self, connection: Connection, timestamp: int, data: bytes | memoryview) -> None:
        self._writer.add_message(self._channels[connection.id], timestamp, bytes(data), timestamp)

    def close(self, version: int, metadata: str) -> None:
        del version
        self._writer.add_metadata("rosbag2", {"serialized_metadata": metadata})
        self._writer.finish()  # type: ignore[no-untyped-call]  # it has no annotations
        self._stream.close()

    def abort(self) -> None:
        self._stream.close()


class _SqliteStorage(Sqlite3Writer):
    def __init__(self, path: Path, compression: CompressionMode) -> None:
        del compression
        self.path = path / _file_name(path.name, ".db3")
        self.conn = sqlite3.connect(self.path)
        self.conn.executescript(self.SQLITE_SCHEMA)
        self.cursor = self.conn.cursor()
        self._defined: set[tuple[str, str, bytes]] = set()

    def add(self, connection: Connection, channel: Channel) -> None:
        key = (channel.type, channel.schema.encoding, channel.schema.data)
        if key not in self._defined and channel.schema.encoding:
            self._defined.add(key)
            self.cursor.execute(
                "INSERT INTO message_definitions (topic_type, encoding, encoded_message_definition, "
                "type_description_hash) VALUES (?, ?, ?, ?)",
                (channel.type, channel.schema.encoding, channel.schema.data.decode(), connection.digest),
            )
        self.add_connection(connection, channel.metadata.get("offered_qos_profiles", ""))


_STORAGES: Any = {StoragePlugin.MCAP: _McapStorage, StoragePlugin.SQLITE3: _SqliteStorage}


class ChannelWriter(Writer):
    """rosbags' writer, for channels as they came."""

    STORAGE_PLUGINS = _STORAGES

    def add(self, channel: Channel) -> Connection:
        """Add a channel; returns the connection that `write` takes."""
        connection = Connection(
            len(self.connections) + 1,
            channel.topic,
            channel.type,
            MessageDefinition(MessageDefinitionFormat.NONE, ""),
            channel.metadata.get("topic_type_hash", ""),
            0,
            ConnectionExtRosbag2(
                channel.encoding, parsed_qos(channel.metadata.get("offered_qos_profiles", ""))
            ),
            self,
        )
        storage: Any = self.storage
        storage.add(connection, channel)
        self.connections.append(connection)
        self.counts[connection.id] = 0
        return connection


def _file_name(name: str, suffix: str) -> str:
    """The file in a bag folder, which metadata.yaml names: like the folder, if YAML can hold that."""
    try:
        fits = len((name + suffix).encode()) <= _LONGEST_NAME and name.isprintable()
    except UnicodeEncodeError:
        fits = False
    return (name if fits else "bag") + suffix
