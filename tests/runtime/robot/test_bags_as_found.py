"""Bags as people have them: several connections, logs beside databases, foreign channels, special paths."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import IndexType
from mcap.writer import Writer as McapWriter
from PIL import Image as Pillow
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fcn_edge_runtime.robot.bag.definitions import ros2_typestore
from fcn_edge_runtime.robot.bag.reader import open_bag
from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE, CompressedImage
from tests.runtime.robot.make_corridor_bag import START, messages, write_bag
from tests.runtime.robot.messages import HEADER, image_of, rosbags_cdr

HASH = "RIHS01_" + "b" * 64


def channels(path):
    """(topic, type, encoding, schema encoding, schema, hash, times and bytes) of each channel of an mcap."""
    with path.open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        found = {number: [] for number in summary.channels}
        for _, channel, message in reader.iter_messages():
            found[channel.id].append((message.log_time, message.data))
        return [
            (
                c.topic,
                c.message_encoding,
                c.metadata.get("topic_type_hash"),
                summary.schemas.get(c.schema_id),
                found[n],
            )
            for n, c in summary.channels.items()
        ]


def write_mcap(path, frames, *, profile="ros2", topics=1, extra=(), **options):
    """Frames of one topic, alternating between channels, and one message of each extra channel."""
    text, _ = ros2_typestore().generate_msgdef(IMAGE, ros_version=2)
    with path.open("wb") as stream:
        writer = McapWriter(stream, **options)
        writer.start(profile)
        schema = writer.register_schema(IMAGE, "ros2msg", text.encode())
        numbers = [writer.register_channel("/camera", "cdr", schema) for _ in range(topics)]
        for topic, kind, encoding, language, definition, metadata, data in extra:
            other = writer.register_channel(
                topic, encoding, writer.register_schema(kind, language, definition), metadata
            )
            writer.add_message(other, START, data, START)
        for index, frame in enumerate(frames):
            data = rosbags_cdr(image_of(frame), IMAGE)
            writer.add_message(numbers[index % topics], START + index, data, START + index)
        writer.finish()
    return path


def segment(robot, source, model, out="out.mcap", *more):
    return robot("bag", source, "--model", model, "-o", out, "--threads", 1, "-q", *more)


def masks(path):
    with open_bag(path) as bag:
        topic = next(topic for topic in bag.topics if topic.name.endswith("/mask"))
        return [record.time for record in bag.records(topic.channels)]


def write_ros1_twice(path, frames):
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg("float32 volts\n", "my_msgs/msg/Bat"))
    with Writer1(path) as writer:
        found = [m for m in messages(store, frames, ros1=True) if m[1] == "/camera/image_raw"]
        both = [
            writer.add_connection("/camera", IMAGE, typestore=store, callerid=f"/driver{i}") for i in (0, 1)
        ]
        bat = writer.add_connection("/bat", "my_msgs/msg/Bat", typestore=store)
        writer.write(
            bat, START, store.serialize_ros1(store.types["my_msgs/msg/Bat"](12.5), "my_msgs/msg/Bat")
        )
        for index, (moment, _, kind, message) in enumerate(found):
            writer.write(both[index >= 2], moment, store.serialize_ros1(message, kind))
    return path


def test_all_connections_of_a_ros1_topic_are_segmented(robot, frames, model, tmp_path):
    source = write_ros1_twice(tmp_path / "two.bag", frames)
    listed = robot("bag", source).stdout.splitlines()
    assert listed[0].split() == ["/camera", IMAGE, "5", "messages"]
    done = segment(robot, source, model, "out.mcap", "--keep-input")
    assert done.returncode == 0, done.stderr
    times = masks(tmp_path / "out.mcap")
    assert len(times) == 5
    assert times == sorted(times)
    kept = [c for c in channels(tmp_path / "out.mcap") if c[0] == "/camera"]
    assert [len(c[4]) for c in kept] == [2, 3]
    bat = next(c for c in channels(tmp_path / "out.mcap") if c[0] == "/bat")
    assert bat[3].data == b"float32 volts\n"
    assert bat[4][0][1][-4:] == np.float32(12.5).tobytes()


@pytest.mark.parametrize("options", [{}, {"index_types": IndexType.NONE}, {"use_chunking": False}])
def test_all_channels_of_an_mcap_topic_are_segmented(robot, frames, model, tmp_path, options):
    source = write_mcap(tmp_path / "two.mcap", frames, topics=2, **options)
    done = segment(robot, source, model, "out.mcap", "--keep-input")
    assert done.returncode == 0, done.stderr
    assert len(masks(tmp_path / "out.mcap")) == 5
    assert [len(c[4]) for c in channels(tmp_path / "out.mcap") if c[0] == "/camera"] == [3, 2]


def test_both_connections_are_kept_in_sqlite3_and_found_again(robot, frames, model, tmp_path):
    source = write_mcap(tmp_path / "two.mcap", frames, topics=2)
    assert segment(robot, source, model, "once.db3", "--keep-input").returncode == 0
    done = segment(
        robot, tmp_path / "once.db3", model, "twice", "--image-topic", "/camera", "--prefix", "/again"
    )
    assert done.returncode == 0, done.stderr
    assert len(masks(tmp_path / "twice")) == 5


def test_messages_in_the_log_of_a_database_are_segmented(robot, frames, model, tmp_path):
    whole = write_bag(tmp_path / "whole.db3", frames, StoragePlugin.SQLITE3)
    database = sqlite3.connect(whole)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute(
        "INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, timestamp + 1, data FROM messages"
    )
    database.commit()
    folder = tmp_path / "cut off"
    folder.mkdir()
    for end in ("", "-wal"):
        shutil.copyfile(f"{whole}{end}", folder / f"x.db3{end}")
    database.close()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = segment(robot, folder / "x.db3", model, "out.mcap", "--image-topic", "/camera/image_raw")
    assert done.returncode == 0, done.stderr
    assert len(masks(tmp_path / "out.mcap")) == 10
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_lost_messages_says_how_many(robot, frames, model, tmp_path):
    source = write_bag(tmp_path / "run", frames)
    metadata = source / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 11", "message_count: 14"))
    done = segment(robot, source, model, "out.mcap", "--image-topic", "/camera/image_raw")
    assert done.returncode == 1
    assert "11 of the 14 messages" in done.stderr


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ("bayer_rggb8; png compressed bayer_rggb8", "bayer_rggb8"),
        ("bayer_rggb8; png compressed", "bayer_rggb8"),
        ("bayer_grbg8; jpeg compressed ", "bayer_grbg8"),
        ("bayer_rggb8; jpeg compressed bgr8", "bayer_rggb8"),
        ("16UC1; png compressed ", "16UC1"),
        ("16UC1; compressedDepth png", "16UC1"),
        ("32FC1; compressedDepth", "32FC1"),
        ("16UC1", "16UC1"),
    ],
)
def test_depth_and_mosaics_are_refused_by_name(robot, model, frames, tmp_path, declared, named):
    done = segment(robot, compressed_bag(tmp_path, frames[0][:, :, 0], declared), model)
    assert done.returncode == 1
    assert f"pixels are {named}" in done.stderr
    assert "none of 2 frames" in done.stderr


@pytest.mark.parametrize(
    "declared",
    [
        "jpeg",
        "png",
        "",
        "rgb8; jpeg compressed bgr8",
        "mono8; png compressed mono8",
        "bayer_rggb8; jpeg compressed bgr8",
    ],
)
def test_pictures_are_segmented_whatever_their_format(robot, model, frames, tmp_path, declared):
    picture = frames[0] if "bayer" in declared or "rgb" in declared else frames[0][:, :, 0]
    done = segment(robot, compressed_bag(tmp_path, picture, declared), model)
    assert done.returncode == 0, done.stderr
    assert len(masks(tmp_path / "out.mcap")) == 2


def compressed_bag(folder, picture, declared):
    file = io.BytesIO()
    Pillow.fromarray(picture).save(file, "PNG")
    text, _ = ros2_typestore().generate_msgdef(COMPRESSED_IMAGE, ros_version=2)
    with (folder / "in.mcap").open("wb") as stream:
        writer = McapWriter(stream)
        writer.start("ros2")
        topic = writer.register_channel(
            "/c", "cdr", writer.register_schema(COMPRESSED_IMAGE, "ros2msg", text.encode())
        )
        for index in range(2):
            data = rosbags_cdr(CompressedImage(HEADER, declared, file.getvalue()), COMPRESSED_IMAGE)
            writer.add_message(topic, START + index, data, START + index)
        writer.finish()
    return folder / "in.mcap"


FOREIGN = (
    (
        "/bat",
        "my_msgs/msg/Bat",
        "cdr",
        "ros2msg",
        b"float32 volts\n",
        {"topic_type_hash": HASH},
        b"\0\1\0\0\0\0\x48\x41",
    ),
    ("/json", "x.Y", "json", "jsonschema", b'{"type":"object"}', {"k": "v"}, b"{}"),
    ("/proto", "x.Z", "protobuf", "protobuf", b"\x0a\xff\xfe", {}, b"\x08\x01"),
)


@pytest.mark.parametrize("profile", ["ros2", "", "ros1", "px4"])
def test_foreign_channels_are_kept_with_definition_and_hash(robot, frames, model, tmp_path, profile):
    source = write_mcap(tmp_path / "in.mcap", frames[:2], profile=profile, extra=FOREIGN)
    done = segment(robot, source, model, "out.mcap", "--keep-input")
    assert done.returncode == 0, done.stderr
    found = {c[0]: c for c in channels(tmp_path / "out.mcap")}
    for topic, kind, encoding, language, definition, metadata, data in FOREIGN:
        _, kept, digest, schema, sent = found[topic]
        assert (kept, schema.name, schema.encoding, schema.data) == (encoding, kind, language, definition)
        assert digest == metadata.get("topic_type_hash")
        assert sent == [(START, data)]


def test_what_sqlite3_does_not_hold_is_named(robot, frames, model, tmp_path):
    source = write_mcap(tmp_path / "in.mcap", frames[:2], extra=FOREIGN)
    done = segment(robot, source, model, "out.db3", "--keep-input")
    assert done.returncode == 0, done.stderr
    assert "not copied: /json: x.Y: a sqlite3 bag holds no jsonschema" in done.stderr
    assert "not copied: /proto: " in done.stderr
    with sqlite3.connect(tmp_path / "out.db3") as database:
        assert (HASH,) in database.execute("SELECT type_description_hash FROM topics").fetchall()


def test_several_image_topics_are_listed_and_none_is_taken(robot, frames, model, tmp_path):
    source = write_bag(tmp_path / "in.mcap", frames[:1])
    done = segment(robot, source, model)
    assert done.returncode == 2
    assert "choose one with --image-topic (/camera/image_raw, /camera/image_raw/compressed)" in done.stderr
    assert robot("bag", source, "--model", model).returncode == 2


NAMES = ["a#b", "a%23b", "a?mode=ro", "a\nb", "a b&c", "é" * 119, os.fsdecode(b"a\xff")]


@pytest.mark.parametrize("storage", ["mcap", "db3"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.sampled(5)
def test_bags_are_read_and_written_at_any_path(robot, frames, model, tmp_path, name, storage):
    folder = tmp_path / name[:60]
    folder.mkdir()
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    source = folder / f"{name}.{storage}"
    shutil.move(write_bag(tmp_path / f"plain.{storage}", frames[:2], plugin), source)
    before = sorted(tmp_path.iterdir())
    for out in (folder / f"{name}2.{storage}", folder / f"{name}3"):
        done = segment(
            robot,
            source,
            model,
            out,
            "--image-topic",
            "/camera/image_raw",
            "--storage",
            "sqlite3" if storage == "db3" else "mcap",
        )
        assert done.returncode == 0, done.stderr
        assert len(masks(out)) == 2
    assert len(list(folder.iterdir())) == 3
    assert sorted(tmp_path.iterdir()) == before


def test_an_unknown_ending_is_refused_and_case_does_not_matter(robot, frames, model, tmp_path):
    source = write_mcap(tmp_path / "in.MCAP", frames[:1])
    done = segment(robot, source, model, "out.mp4")
    assert done.returncode == 2
    assert "ends in .mp4, expected .mcap, .db3" in done.stderr
    assert segment(robot, source, model, "out.DB3").returncode == 0
    assert (tmp_path / "out.DB3").read_bytes().startswith(b"SQLite")
