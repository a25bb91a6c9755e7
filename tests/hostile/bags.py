"""Hostile recordings: small files that become large, never end, or count wrong."""

from __future__ import annotations

import bz2
import contextlib
import functools
import json
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np

from tests.hostile.registry import OPENED, Case, Subject

REFUSED = ("InputError",)
TOPIC, KIND = "/camera/image_raw", "sensor_msgs/msg/Image"
MAGIC = b"\x89MCAP0\r\n"


def image(encoding="rgb8", height=6, width=8, step=24, data=bytes(144)):
    from fcn_edge_runtime.robot.cdr import encode_image
    from fcn_edge_runtime.robot.messages import Header, Image, Stamp

    return encode_image(Image(Header(Stamp(1, 2), "camera"), height, width, encoding, 0, step, data))


# MCAP, record by record


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def record(code, body):
    return struct.pack("<BQ", code, len(body)) + body


def schema(kind=KIND, encoding="ros2msg", definition=b"int32 x"):
    return record(
        3,
        struct.pack("<H", 1) + text(kind) + text(encoding) + struct.pack("<I", len(definition)) + definition,
    )


def channel(number=1, encoding="cdr", schema_id=1, topic=TOPIC):
    return record(
        4, struct.pack("<HH", number, schema_id) + text(topic) + text(encoding) + struct.pack("<I", 0)
    )


def message(data=None, time=10, number=1):
    return record(5, struct.pack("<HIQQ", number, 0, time, time) + (image() if data is None else data))


def chunk(content, kind="", packed=None, declared=None, begin=10, end=10):
    packed = content if packed is None else packed
    size = len(content) if declared is None else declared
    checksum = zlib.crc32(content) if content is not None and declared is None else 0
    head = struct.pack("<QQQI", begin, end, size, checksum) + text(kind) + struct.pack("<Q", len(packed))
    return record(6, head + packed)


def mcap(*data, chunks=(), count=1, counts=None, start=10, footer=None):
    """A file; with an index where chunks are given: (offset among the data, length) pairs."""
    begin = MAGIC + record(1, text("ros2") + text("hostile"))
    body = b"".join(data)
    end = begin + body + record(15, struct.pack("<I", 0))
    if not chunks and footer is None:
        return end + record(2, struct.pack("<QQI", 0, 0, 0)) + MAGIC
    number = struct.pack("<IHQ", 10, 1, count) if counts is None else counts
    parts = [schema() + channel()]
    for offset, length in chunks:
        at = len(begin) + offset
        parts.append(
            record(
                8,
                struct.pack("<QQQQ", 10, 10, at, length)
                + struct.pack("<IHQ", 10, 1, at + length)
                + struct.pack("<Q", 0)
                + text("")
                + struct.pack("<QQ", length, length),
            )
        )
    statistics = struct.pack("<QHIIIIQQ", count, 1, 1, 0, 0, max(len(chunks), 1), start, start)
    parts.append(record(11, statistics + number))
    where = len(end) if footer is None else footer
    return end + b"".join(parts) + record(2, struct.pack("<QQI", where, 0, 0)) + MAGIC


def indexed(*contents, times=1, **options):
    """Chunks with an index that names each of them `times` times."""
    places, at = [], 0
    for content in contents:
        places += [(at, len(content))] * times
        at += len(content)
    return mcap(*contents, chunks=places, **options)


def zstd(data, level=3):
    import zstandard

    return zstandard.ZstdCompressor(level=level).compress(data)


def lz4(data):
    import lz4.frame

    return lz4.frame.compress(data)


@functools.cache
def zeros(pack, count=400 << 20):
    """Compressed zeros, which are messages of other channels to a reader."""
    return pack(bytes(count))


def many(count):
    return b"".join(message(b"", time=10) for _ in range(count))


BOTH = schema() + channel()
LINES = "\n".join
SEPARATOR = "\n" + "=" * 80 + "\n"


def doubling(count=40):
    """Types that each hold the next one twice."""
    parts = ["T1 a\nT1 b"]
    parts += [f"MSG: x/T{i}\nT{i + 1} a\nT{i + 1} b" for i in range(1, count)]
    return SEPARATOR.join([*parts, f"MSG: x/T{count}\nint32 a"]).encode()


def ros1_typed(definition):
    return mcap(schema("x/T0", "ros1msg", definition), channel(encoding="ros1"), message(b"\0" * 8))


MCAPS = {
    "a time beyond 2^63": (lambda: mcap(BOTH, message(time=2**63)), REFUSED),
    "a time of 2^64 - 1 in an index": (lambda: indexed(chunk(BOTH + message(time=2**64 - 1))), REFUSED),
    "a chunk of zstd that becomes 400 MB": (
        lambda: mcap(chunk(None, "zstd", zeros(zstd), 400 << 20)),
        REFUSED,
    ),
    "a chunk of zstd that declares less": (lambda: mcap(chunk(None, "zstd", zeros(zstd), 100)), REFUSED),
    "a chunk of zstd that declares none": (lambda: mcap(chunk(None, "zstd", zeros(zstd), 0)), REFUSED),
    "a chunk of lz4 that becomes 400 MB": (lambda: mcap(chunk(None, "lz4", zeros(lz4), 400 << 20)), REFUSED),
    "a chunk of lz4 that declares less": (lambda: mcap(chunk(None, "lz4", zeros(lz4), 100)), REFUSED),
    "a chunk that declares 2^63 bytes": (lambda: mcap(chunk(None, "zstd", zstd(b"a"), 2**63)), REFUSED),
    "a chunk of an unknown kind": (lambda: mcap(chunk(None, "x\x1b[2J", b"a", 1)), REFUSED),
    "a chunk named 100,000 times": (lambda: indexed(chunk(BOTH + message()), times=100_000), REFUSED),
    "chunks within each other": (
        lambda: mcap(chunk(BOTH + message()) * 2, chunks=[(0, 400), (20, 400)]),
        REFUSED,
    ),
    "a chunk beyond the end": (lambda: mcap(chunk(BOTH + message()), chunks=[(0, 1 << 40)]), REFUSED),
    "an index that is a chunk": (
        lambda: mcap(chunk(None, "lz4", zeros(lz4), 400 << 20), footer=len(MAGIC) + 28),
        REFUSED,
    ),
    "a million messages in 1,000 bytes": (
        lambda: mcap(BOTH, chunk(None, "zstd", zstd(many(1_000_000)), 31_000_000)),
        REFUSED,
    ),
    "a count of messages that is too high": (
        lambda: indexed(chunk(BOTH + message()), count=2**64 - 1),
        REFUSED,
    ),
    "a record that is longer than its chunk": (
        lambda: mcap(chunk(BOTH + struct.pack("<BQ", 5, 1 << 40) + bytes(30))),
        REFUSED,
    ),
    "a record of 2^60 bytes": (lambda: mcap(BOTH, struct.pack("<BQ", 5, 1 << 60)), REFUSED),
    "a message without its channel": (lambda: mcap(message()), (OPENED,)),
    "a channel without its schema": (lambda: mcap(channel(), message()), (OPENED,)),
    "a foreign channel": (lambda: mcap(schema(), channel(encoding="json"), message(b"{}")), (OPENED,)),
    "a message that is not an image": (lambda: mcap(BOTH, message(b"\xff" * 20)), (OPENED,)),
    "an image of 2^32 rows": (lambda: mcap(BOTH, message(image(height=2**32 - 1))), (OPENED,)),
    "an encoding of 5 MB": (lambda: mcap(BOTH, message(image(encoding="e" * (5 << 20)))), (OPENED,)),
    "20,000 bad encodings": (
        lambda: mcap(BOTH, *(message(image(encoding=f"\x1b{i}"), 10 + i) for i in range(20_000))),
        (OPENED,),
    ),
    "types that hold the next one twice, 40 times": (lambda: ros1_typed(doubling()), (OPENED,)),
    "a type that holds itself": (lambda: ros1_typed(b"T0 a"), (OPENED,)),
    "a type of 40,000 fields": (
        lambda: ros1_typed(LINES(f"int32 f{i}" for i in range(40_000)).encode()),
        (OPENED,),
    ),
    "a type of 1 GB": (lambda: ros1_typed(b"uint8[1000000000] data"), ("InputError", OPENED)),
    "3,000 channels of other types": (
        lambda: mcap(
            *(
                schema(f"x/T{i}", "ros1msg", f"int32 a{i}".encode() * 1).replace(
                    b"\x01\x00", struct.pack("<H", i), 1
                )
                + channel(i, "ros1", i, f"/t{i}")
                for i in range(1, 3000)
            ),
            message(b"\0" * 4),
        ),
        (OPENED,),
    ),
    "a million records of unknown kinds": (lambda: mcap(BOTH, record(0x80, b"") * 10**6, message()), REFUSED),
    "500,000 empty records in a chunk": (
        lambda: mcap(BOTH, chunk(record(0x80, b"") * 500_000), message()),
        (OPENED,),
    ),
    "a topic of 100 MB": (lambda: mcap(schema(), channel(topic="/" + "t" * (100 << 20)), message()), REFUSED),
    "a type's name of 100 MB": (lambda: mcap(schema("t" * (100 << 20)), channel(), message()), REFUSED),
    "a topic of 100 MB in a chunk": (
        lambda: mcap(chunk(schema() + channel(topic="/" + "t" * (30 << 20)) + message())),
        REFUSED,
    ),
    "a message of 200 MB": (lambda: mcap(BOTH, message(bytes(200 << 20))), REFUSED),
    "an attachment of 200 MB": (lambda: mcap(BOTH, record(9, bytes(200 << 20)), message()), (OPENED,)),
    "half a file": (lambda: mcap(BOTH, *(message(time=10 + i) for i in range(50)))[:5000], REFUSED),
}

# SQLite


INSERT = "INSERT INTO messages VALUES {};"


def database(path, *statements, messages="(1, 1, 10, x'00')"):
    with contextlib.closing(sqlite3.connect(path)) as opened:
        opened.executescript(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT, "
            "offered_qos_profiles TEXT);"
            f"INSERT INTO topics VALUES(1, '{TOPIC}', '{KIND}', 'cdr', '');"
        )
        if messages is not None:
            opened.executescript(
                "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, "
                "data BLOB);" + INSERT.format(messages)
            )
        for statement in statements:
            opened.execute(statement)
        opened.commit()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
ROWS = "CREATE VIEW messages(id, topic_id, timestamp, data) AS"
DATABASES = {
    "a negative time": ((), "(1, 1, -5, x'00')", REFUSED),
    "a time that is text": ((), "(1, 1, 'soon', x'00')", REFUSED),
    "a time that is missing": ((), "(1, 1, NULL, x'00')", REFUSED),
    "a message that is the number 2^32": ((), "(1, 1, 10, 4294967296)", REFUSED),
    "a message that is text": ((), "(1, 1, 10, 'text')", REFUSED),
    "a message of no topic": ((), "(1, 7, 10, x'00')", REFUSED),
    "messages without end": ((f"{ROWS} {ENDLESS} i, 1, i, x'00' FROM n",), None, REFUSED),
    "messages of 1 GB that a view computes": (
        (f"{ROWS} SELECT 1, 1, 10, zeroblob(1000000000)",),
        None,
        REFUSED,
    ),
    "messages of 1 GB that a column computes": (
        (
            (
                "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, "
                "data BLOB GENERATED ALWAYS AS (zeroblob(1000000000)))"
            ),
            "INSERT INTO messages(topic_id, timestamp) VALUES(1, 10)",
        ),
        None,
        REFUSED,
    ),
    "topics without end": (
        ("DROP TABLE topics", f"CREATE VIEW topics AS {ENDLESS} i AS id, 'a' AS name, 'b' AS type FROM n"),
        "(1, 1, 10, x'00')",
        REFUSED,
    ),
    "definitions without end": (
        (
            (
                f"CREATE VIEW message_definitions AS {ENDLESS} i AS id, 'a' AS topic_type, 'b' AS encoding, "
                "zeroblob(1000000) AS encoded_message_definition FROM n"
            ),
        ),
        "(1, 1, 10, x'00')",
        (OPENED,),
    ),
    "a virtual table": (
        ("CREATE VIRTUAL TABLE messages USING fts5(id, topic_id, timestamp, data)",),
        None,
        REFUSED,
    ),
    "a topic whose name is a number": (("UPDATE topics SET name = x'00ff'",), "(1, 1, 10, x'00')", REFUSED),
    "a topic of 100 MB": (
        ("UPDATE topics SET name = CAST(zeroblob(100000000) AS TEXT)",),
        "(1, 1, 10, x'00')",
        REFUSED,
    ),
    "a message of 300 MB": ((), "(1, 1, 10, zeroblob(300000000))", REFUSED),
    "a message of 20 MB": ((), "(1, 1, 10, zeroblob(20000000))", (OPENED,)),
    "a trigger": (
        ("CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM topics; END",),
        "(1, 1, 10, x'00')",
        (OPENED,),
    ),
}


def looping_pages(folder, *, itself=False):
    """A table whose inner pages lead to one another's children many times."""
    path = folder / "loop.db3"
    rows = ", ".join(f"({i}, 1, {i}, x'00')" for i in range(1, 4000))
    database(path, messages=rows)
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    inner = [at for at in range(0, len(data), size) if data[at + (100 if at == 0 else 0)] == 5]
    for at in inner:
        cells = int.from_bytes(data[at + 3 : at + 5], "big")
        for cell in range(cells):
            place = at + int.from_bytes(data[at + 12 + 2 * cell : at + 14 + 2 * cell], "big")
            last = data[at + 8 : at + 12]  # child
            data[place : place + 4] = (at // size + 1).to_bytes(4, "big") if itself else last
    path.write_bytes(data)
    return path


# ROS 1, and folders


def ros1(folder, change):
    from tests.runtime.robot.make_corridor_bag import write_ros1_bag

    path = write_ros1_bag(folder / "a.bag", [np.full((6, 8, 3), i, np.uint8) for i in range(4)])
    path.write_bytes(change(path.read_bytes()))
    return path


def header(**fields):
    parts = [f"{key}=".encode() + value for key, value in fields.items()]
    body = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return struct.pack("<I", len(body)) + body


def ros1_chunk(kind, packed, declared, entries=1, infos=1):
    """A bag of one chunk, whose index names its one message `entries` times, and the chunk `infos` times."""
    connection = header(op=b"\7", conn=bytes(4), topic=TOPIC.encode())
    described = header(topic=TOPIC.encode(), type=b"x/T", md5sum=b"0" * 32, message_definition=b"int32 a")
    connection += struct.pack("<I", len(described) - 4) + described[4:]
    begin = b"#ROSBAG V2.0\n"
    place = len(begin) + 4096
    body = header(op=b"\5", compression=kind.encode(), size=struct.pack("<I", declared))
    body += struct.pack("<I", len(packed)) + packed
    index = (
        struct.pack("<II", 1, 0) and struct.pack("<I", 12 * entries) + struct.pack("<III", 1, 0, 0) * entries
    )
    body += (
        header(op=b"\4", ver=struct.pack("<I", 1), conn=bytes(4), count=struct.pack("<I", entries)) + index
    )
    info = header(
        op=b"\6",
        ver=struct.pack("<I", 1),
        chunk_pos=struct.pack("<Q", place),
        start_time=bytes(8),
        end_time=bytes(8),
        count=struct.pack("<I", 1),
    )
    info += struct.pack("<III", 8, 0, entries)
    top = header(
        op=b"\3",
        index_pos=struct.pack("<Q", place + len(body)),
        conn_count=struct.pack("<I", 1),
        chunk_count=struct.pack("<I", infos),
    )
    padding = 4096 - len(top) - 4
    top += struct.pack("<I", padding) + b" " * padding
    return begin + top + body + connection + info * infos


def _message_in_lz4(data):
    return lz4(MESSAGE + data)


def _message_in_bz2(data):
    return bz2.compress(MESSAGE + data)


MESSAGE = header(op=b"\2", conn=bytes(4), time=struct.pack("<II", 1, 0)) + struct.pack("<I", 4) + bytes(4)
BAGS = {
    "a plain chunk": (lambda: ros1_chunk("none", MESSAGE, len(MESSAGE)), (OPENED,)),
    "a chunk of lz4 that becomes 400 MB": (
        lambda: ros1_chunk("lz4", zeros(_message_in_lz4), 100),
        REFUSED,
    ),
    "a chunk of bz2 that becomes 400 MB": (
        lambda: ros1_chunk("bz2", zeros(_message_in_bz2), 100),
        REFUSED,
    ),
    "a message named 100,000 times": (
        lambda: ros1_chunk("none", MESSAGE, len(MESSAGE), entries=100_000),
        REFUSED,
    ),
    "a chunk named 5,000 times": (
        lambda: ros1_chunk("none", MESSAGE, len(MESSAGE), entries=5000, infos=5000),
        REFUSED,
    ),
}


def folder_of(folder, metadata):
    from tests.runtime.robot.make_corridor_bag import write_bag

    bag = folder / "bag"
    bag.mkdir()
    write_bag(bag / "a.mcap", [np.zeros((6, 8, 3), np.uint8)])
    (bag / "metadata.yaml").write_bytes(metadata)
    return bag


def described(files=("a.mcap",), count=1, **more):
    return json.dumps(
        {
            "rosbag2_bagfile_information": {
                "version": 5,
                "storage_identifier": "mcap",
                "relative_file_paths": list(files),
                "message_count": count,
                **more,
            }
        }
    ).encode()


LAUGHS = b"a: &a [x, x]\n" + b"".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n".encode() for i in range(24)
)
FOLDERS = {
    "a file named 10,000 times": (lambda: described(["a.mcap"] * 10_000), REFUSED),
    "a file outside": (lambda: described(["../../../../etc/passwd"]), REFUSED),
    "files that are a word": (lambda: described("a.mcap"), REFUSED),
    "metadata of 2 MB": (lambda: described(notes="x" * (2 << 20)), REFUSED),
    "metadata that laughs": (lambda: LAUGHS, REFUSED),
    "metadata 100,000 deep": (lambda: b"[" * 100_000, REFUSED),
    "a count that is too high": (lambda: described(count=10**30), REFUSED),
    "a file that becomes gigabytes": (
        lambda: described(["a.mcap"], compression_format="zstd", compression_mode="FILE"),
        REFUSED,
    ),
}


def _open(path: Path) -> str | None:
    """Every image of every topic, decoded."""
    from fcn_edge_runtime.errors import InputError
    from fcn_edge_runtime.model.card import InputSpec
    from fcn_edge_runtime.robot.bag.reader import decode_frame, open_bag
    from fcn_edge_runtime.robot.frames import read_frame

    with open_bag(path) as bag:
        for record_ in bag.records(bag.channels):
            with contextlib.suppress(InputError):
                read_frame(decode_frame(record_), InputSpec.default())
    return None


def _warm() -> None:
    import mcap.reader  # noqa: F401 - for the children
    import rosbags.rosbag1  # noqa: F401 - the same
    import zstandard  # noqa: F401 - the same

    import fcn_edge_runtime.robot.bag.reader
    import fcn_edge_runtime.robot.frames  # noqa: F401 - the same


def _good(folder: Path) -> Path:
    path = folder / "good.mcap"
    path.write_bytes(mcap(BOTH, message()))
    return path


def _file(prefix, name, suffix, make, expected):
    def write(folder: Path) -> Path:
        path = folder / f"hostile{suffix}"
        path.write_bytes(make())
        return path

    return Case(f"{prefix}: {name}", write, expected)


def _database(name, statements, messages, expected):
    def write(folder: Path) -> Path:
        database(folder / "hostile.db3", *statements, messages=messages)
        return folder / "hostile.db3"

    return Case(f"sqlite: {name}", write, expected)


def _folder(name, make, expected):
    def write(folder: Path) -> Path:
        bag = folder_of(folder, make())
        if "gigabytes" in name:
            (bag / "a.mcap").write_bytes(zeros(zstd))
        return bag

    return Case(f"folder: {name}", write, expected)


CASES = (
    *(_file("mcap", name, ".mcap", *rest) for name, rest in MCAPS.items()),
    *(_database(name, *rest) for name, rest in DATABASES.items()),
    Case("sqlite: pages that lead to one page", looping_pages, (OPENED,)),
    Case("sqlite: a page that leads to itself", lambda folder: looping_pages(folder, itself=True), REFUSED),
    *(_file("ros1", name, ".bag", *rest) for name, rest in BAGS.items()),
    *(_folder(name, *rest) for name, rest in FOLDERS.items()),
)
SUBJECT = Subject("bags", _good, _open, CASES, _warm)
