"""Bag files of rosbag2 in SQLite (.db3), read with SQLite itself, which never writes to them.

A recorder that lost power leaves the last messages in a log beside the file: `-wal`, or `-journal`. SQLite
applies that log to the file, so it is done on a copy. Paths are given to SQLite as quoted URIs;
a file whose path is too long for SQLite is copied too.
The tables are those of rosbag2_storage_sqlite3, versions 1 to 4.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.bag.channels import Channel, Schema

__all__ = ["open_sqlite"]

_LOGS = ("-wal", "-journal")
_STEPS = 100_000  # of SQLite's machine between two looks
_STEPS_AT_LEAST = 30_000_000  # a second or two; a message takes some 50 and has as many bytes
_LONGEST_TEXT, _LONGEST_MESSAGE = 8 << 20, 128 << 20  # bytes, as in MCAP
_LONGEST_PATH = 480  # bytes; SQLite opens none above 511


class _SqliteFile:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        for name in ("topics", "messages"):
            _require_table(database, name)
        rows = database.execute("SELECT topic_id, count(*), min(timestamp) FROM messages GROUP BY topic_id")
        counts: dict[int, int] = {}
        starts = []
        for number, count, first in rows:
            counts[number] = count
            starts.append(first)
        self.start = min(starts, default=None)
        definitions = self._definitions()
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        wanted = ["id", "name", "type", "serialization_format"]
        wanted += [name for name in ("offered_qos_profiles", "type_description_hash") if name in columns]
        self.channels = tuple(
            self._channel(dict(zip(wanted, row, strict=True)), definitions, counts)
            for row in database.execute(f"SELECT {', '.join(wanted)} FROM topics ORDER BY id")  # noqa: S608 - our own names
        )
        if orphans := counts.keys() - {channel.id for channel in self.channels}:
            lost = sum(counts[number] for number in orphans)
            raise InputError(f"{lost} of {sum(counts.values())} messages belong to no topic of the bag")

    def messages(
        self, channels: Sequence[Channel], start: int | None, stop: int | None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        by_id = {channel.id: channel for channel in channels}
        marks = ",".join("?" * len(by_id))
        query = (
            "SELECT topic_id, timestamp, data FROM messages WHERE timestamp BETWEEN ? AND ? "  # noqa: S608
            f"AND topic_id IN ({marks}) ORDER BY timestamp, id"
        )
        span = (-(2**63) if start is None else start, 2**63 - 1 if stop is None else stop - 1)
        rows = self._database.execute(query, (*span, *by_id))
        for number, moment, data in rows:
            if not isinstance(data, bytes):
                raise TypeError(f"a message is {type(data).__name__}, expected bytes")
            yield by_id[number], moment, data

    def _definitions(self) -> dict[str, Schema]:
        there = self._database.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'message_definitions'"
        ).fetchone()[0]
        if not there:  # before Iron
            return {}
        _require_table(self._database, "message_definitions")
        rows = self._database.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions "
            "ORDER BY id DESC"
        )
        return {kind: Schema(encoding or "", _as_bytes(text)) for kind, encoding, text in rows}

    def _channel(
        self, row: dict[str, Any], definitions: dict[str, Schema], counts: dict[int, int]
    ) -> Channel:
        if not all(isinstance(row[key], str) for key in ("name", "type", "serialization_format")):
            raise TypeError("a topic's name, type or format is not text")
        metadata = {
            "offered_qos_profiles": row.get("offered_qos_profiles") or "",
            "topic_type_hash": row.get("type_description_hash") or "",
        }
        return Channel(
            row["id"],
            row["name"],
            row["type"],
            row["serialization_format"],
            definitions.get(row["type"], Schema()),
            counts.get(row["id"], 0),
            {key: value for key, value in metadata.items() if value},
        )


@contextlib.contextmanager
def open_sqlite(path: Path) -> Iterator[_SqliteFile]:
    """Open a .db3 file.

    Raises:
        InputError: there is a log beside it, and no room for the copy to which it is applied.
        sqlite3.Error: it is damaged, or not a database.
    """
    with contextlib.ExitStack() as stack:
        logs = [log for log in (path.with_name(path.name + end) for end in _LOGS) if _has_content(log)]
        address = f"file:{_quoted(path)}?mode=ro&immutable=1"
        if logs or len(os.fsencode(path.absolute())) > _LONGEST_PATH:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fcn-edge-")))
            address = f"file:{_quoted(_copied(path, logs, folder))}?mode=rw"
        database = stack.enter_context(contextlib.closing(sqlite3.connect(address, uri=True)))
        database.text_factory = _text
        database.set_progress_handler(_Steps(path).more, _STEPS)
        _limit_length(database, _LONGEST_TEXT)
        opened = _SqliteFile(database)
        _limit_length(database, _LONGEST_MESSAGE)
        yield opened


class _Steps:
    """The steps that SQLite may take for a file: in a hostile one, many entries lead to one page."""

    def __init__(self, path: Path) -> None:
        self._left = _STEPS_AT_LEAST + path.stat().st_size

    def more(self) -> bool:
        """Whether to stop."""
        self._left -= _STEPS
        return self._left < 0


def _limit_length(database: sqlite3.Connection, most: int) -> None:
    """Let SQLite refuse longer values before it reads them; Python 3.10 cannot ask for that."""
    if sys.version_info >= (3, 11):
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most)


def _require_table(database: sqlite3.Connection, name: str) -> None:
    """Refuse what is computed instead of stored: views, virtual tables, generated columns.

    Raises:
        ValueError: it is one of these.
    """
    rows = database.execute("SELECT type, rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchall()
    generated = [row for row in database.execute(f"PRAGMA table_xinfo({name})") if row[6]]
    if [kind for kind, _ in rows] != ["table"] or not rows[0][1] or generated:
        raise ValueError(f"{name} is not a plain table")


def _copied(path: Path, logs: Sequence[Path], folder: Path) -> Path:
    copy = folder / "bag.db3"
    try:
        shutil.copyfile(path, copy)
        for log in logs:
            shutil.copyfile(log, folder / f"{copy.name}{log.name[len(path.name) :]}")
    except OSError as error:
        if not logs:
            raise
        raise InputError(
            f"messages of the bag {path} are still in {logs[0].name}, and it cannot be copied to "
            f"{folder.parent} to apply them ({error.strerror or error}): set TMPDIR to a folder with room, "
            f"or copy both files and run `sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'` on the copy"
        ) from None
    return copy


def _has_content(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def _quoted(path: Path) -> str:
    return urllib.parse.quote(os.fsencode(path.absolute()))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _as_bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text or "").encode("utf-8", "surrogateescape")
