from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.bag.definitions import ros2_typestore
from fcn_edge_runtime.robot.bag.reader import open_bag
from fcn_edge_runtime.robot.messages import IMAGE, Header, Stamp
from tests.runtime.robot.make_corridor_bag import (
    FRAME_ID,
    LATENCY,
    START,
    stamp_of,
    write_bag,
    write_ros1_bag,
)
from tests.runtime.robot.messages import image_of, rosbags_cdr

TOPICS = (
    "/segmentation/mask",
    "/segmentation/confidence",
    "/segmentation/overlay",
    "/segmentation/label_info",
)


@pytest.fixture(scope="session")
def bag(tmp_path_factory, frames):
    return write_bag(tmp_path_factory.mktemp("bag") / "run.mcap", frames)


def contents(path):
    """Messages by topic, read by rosbags: lists of (time of recording, message)."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, moment, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((moment, message))
    return found


def check_masks(found, frames, pipeline, indices):
    """Compare times, headers, sizes and every id with the segmenter."""
    masks = found["/segmentation/mask"]
    assert [moment for moment, _ in masks] == [stamp_of(i) + LATENCY for i in indices]
    for index, (_, mask) in zip(indices, masks, strict=True):
        assert mask.header.stamp.sec * 10**9 + mask.header.stamp.nanosec == stamp_of(index)
        assert mask.header.frame_id == FRAME_ID
        assert (mask.height, mask.width, mask.encoding, mask.step) == (240, 320, "mono8", 320)
        np.testing.assert_array_equal(mask.data.reshape(240, 320), pipeline.segmenter(frames[index]).labels)


def run_bag(robot, source, model, out, *more, topic="/camera/image_raw"):
    return robot("bag", source, "--model", model, "--image-topic", topic, "-o", out, "--threads", 1, *more)


def test_rosbags_reads_every_label_stamp_and_frame_id(robot, bag, model, frames, pipeline, tmp_path):
    done = run_bag(robot, bag, model, "out.mcap")
    assert done.returncode == 0, done.stderr
    assert "5 frames" in done.stdout
    assert "p95" in done.stdout
    assert "class 0" in done.stdout
    found = contents(tmp_path / "out.mcap")
    assert set(found) == set(TOPICS)
    check_masks(found, frames, pipeline, range(5))
    for (_, message), frame in zip(found["/segmentation/overlay"], frames, strict=True):
        assert message.encoding == "rgb8"
        expected = pipeline.segmenter(frame).overlay(frame)
        np.testing.assert_array_equal(message.data.reshape(240, 320, 3), expected)
    info = found["/segmentation/label_info"][0][1]
    assert [(c.class_id, c.class_name) for c in info.class_map] == [(i, f"class {i}") for i in range(3)]
    assert not list(tmp_path.glob(".*"))


def test_mcap_ros2_support_reads_the_same_messages(robot, bag, model, frames, pipeline, tmp_path):
    assert run_bag(robot, bag, model, "out.mcap").returncode == 0
    masks, infos = [], []
    with (tmp_path / "out.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        for _, channel, record, message in reader.iter_decoded_messages():
            if channel.topic == "/segmentation/mask":
                masks.append((record.log_time, message))
            elif channel.topic == "/segmentation/label_info":
                infos.append(message)
                # durability 1 is transient_local: a player latches it
                assert "durability: 1" in channel.metadata["offered_qos_profiles"]
    assert len(masks) == 5
    assert [c.class_name for c in infos[0].class_map] == ["class 0", "class 1", "class 2"]
    for index, (moment, mask) in enumerate(masks):
        assert moment == stamp_of(index) + LATENCY
        assert mask.header.stamp.sec * 10**9 + mask.header.stamp.nanosec == stamp_of(index)
        assert mask.header.frame_id == FRAME_ID
        data = np.frombuffer(bytes(mask.data), np.uint8).reshape(240, 320)
        np.testing.assert_array_equal(data, pipeline.segmenter(frames[index]).labels)


def test_a_span_and_every_second_frame_go_into_a_sqlite3_folder(robot, frames, model, pipeline, tmp_path):
    source = write_bag(tmp_path / "source", frames, StoragePlugin.SQLITE3)
    span = ("--storage", "sqlite3", "--every", 2, "--start", 0.05, "--duration", 0.4, "--no-overlay")
    done = run_bag(robot, source, model, "out", *span)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "metadata.yaml").exists()
    assert (tmp_path / "out" / "out.db3").exists()
    found = contents(tmp_path / "out")
    assert "/segmentation/overlay" not in found
    check_masks(found, frames, pipeline, [1, 3])


def test_a_ros1_bag_becomes_a_ros2_bag_with_its_input(robot, frames, model, pipeline, tmp_path):
    source = write_ros1_bag(tmp_path / "run.bag", frames)
    done = run_bag(robot, source, model, "out.mcap", "--keep-input")
    assert done.returncode == 0, done.stderr
    found = contents(tmp_path / "out.mcap")
    check_masks(found, frames, pipeline, range(5))
    assert [m.data for _, m in found["/robot/note"]] == ["frame 0"]
    for (_, message), frame in zip(found["/camera/image_raw"], frames, strict=True):
        assert message.header.frame_id == FRAME_ID
        np.testing.assert_array_equal(message.data.reshape(240, 320, 3), frame)


def test_kept_input_is_the_same_byte_for_byte(robot, bag, model, tmp_path):
    done = run_bag(robot, bag, model, "out.mcap", "--keep-input", "--json")
    report = json.loads(done.stdout)
    assert report["copied"] == 11
    assert report["device"] == "cpu"
    assert report["why"]

    def raw(path):
        with AnyReader([path]) as reader:
            return [(c.topic, moment, bytes(data)) for c, moment, data in reader.messages()]

    kept = [entry for entry in raw(tmp_path / "out.mcap") if not entry[0].startswith("/segmentation")]
    assert sorted(kept) == sorted(raw(bag))


def test_compressed_images_are_segmented_too(robot, bag, model):
    done = run_bag(robot, bag, model, "out.mcap", "--json", topic="/camera/image_raw/compressed")
    report = json.loads(done.stdout)
    assert (report["frames"], report["failed"]) == (5, 0)
    assert sum(report["shares"].values()) == pytest.approx(1)


def test_without_a_topic_the_image_topics_are_listed(robot, bag):
    done = robot("bag", bag)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["/camera/image_raw", "sensor_msgs/msg/Image", "5", "messages"]
    assert lines[1].startswith("/camera/image_raw/compressed ")
    assert "/robot/note" not in done.stdout


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/robot/note", "holds std_msgs/msg/String, expected sensor_msgs/msg/Image"),
        ("/nowhere", "there is no topic '/nowhere'"),
    ],
)
def test_a_wrong_topic_is_refused_with_the_image_topics(robot, bag, model, tmp_path, topic, expected):
    done = run_bag(robot, bag, model, "out.mcap", topic=topic)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "image topics there: /camera/image_raw" in done.stderr or "image topics in" in done.stderr
    assert not (tmp_path / "out.mcap").exists()


@pytest.mark.parametrize("suffix", ["mcap", "db3", "bag"])
def test_a_truncated_bag_is_refused_and_leaves_no_output(robot, frames, model, tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "bag":
        write_ros1_bag(whole, frames)
    else:
        write_bag(whole, frames, StoragePlugin.MCAP if suffix == "mcap" else StoragePlugin.SQLITE3)
    cut = tmp_path / f"cut.{suffix}"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    done = run_bag(robot, cut, model, "out.mcap")
    assert done.returncode == 1, done.stdout
    assert "is damaged, truncated or not a bag" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"cut.{suffix}", f"whole.{suffix}"]


def test_files_that_are_not_bags_are_refused(robot, tmp_path):
    (tmp_path / "text.mcap").write_text("hello")
    (tmp_path / "photo.png").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("text.mcap", "photo.png", "empty", "missing.mcap"):
        done = robot("bag", name)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1


def test_an_existing_output_is_not_overwritten(robot, bag, model, tmp_path):
    (tmp_path / "out.mcap").write_text("mine")
    done = run_bag(robot, bag, model, "out.mcap")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (tmp_path / "out.mcap").read_text() == "mine"


def test_bad_frames_are_counted_and_the_rest_is_written(robot, model, frames, tmp_path):
    store = ros2_typestore()
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](1, 2), "c")
    image = types["sensor_msgs/msg/Image"]
    flat = frames[0].reshape(-1)
    good = image(header, 240, 320, "rgb8", 0, 960, flat)
    bad = [
        image(header, 240, 320, "bayer_rggb8", 0, 320, flat[: 240 * 320]),
        image(header, 240, 320, "rgb8", 0, 100, flat),
        image(header, 240, 320, "rgb8", 0, 960, flat[:-1]),
        image(header, 0, 0, "rgb8", 0, 0, flat[:0]),
    ]
    with Writer(tmp_path / "in", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=store)
        for index, message in enumerate((good, *bad, good)):
            raw = store.serialize_cdr(message, "sensor_msgs/msg/Image")
            writer.write(topic, START + index, raw)
        writer.write(topic, START + 9, raw[:500])
    done = run_bag(robot, tmp_path / "in", model, "out.mcap", "--json", topic="/image")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["frames"], report["failed"]) == (2, 5)
    assert "bayer_rggb8" in done.stderr
    assert "step is 100" in done.stderr
    assert "5 of 7 frames failed" in done.stderr


def test_label_info_is_repeated_every_5_s_of_the_recording(robot, model, frames, tmp_path):
    store = ros2_typestore()
    with Writer(tmp_path / "in", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/image", IMAGE, typestore=store)
        for seconds in (0, 3, 6, 9, 12):
            message = image_of(frames[0], header=Header(Stamp(seconds), "c"))
            writer.write(topic, START + seconds * 10**9, rosbags_cdr(message, IMAGE))
    done = run_bag(robot, tmp_path / "in", model, "out.mcap", "--no-overlay", topic="/image")
    assert done.returncode == 0, done.stderr
    found = contents(tmp_path / "out.mcap")
    assert len(found["/segmentation/mask"]) == 5
    assert [(t - START) // 10**9 for t, _ in found["/segmentation/label_info"]] == [0, 6, 12]


def test_a_killed_run_leaves_no_bag_under_the_final_name(model, frames, tmp_path):
    long = write_bag(tmp_path / "long.mcap", [frames[i % 5] for i in range(200)])
    command = [sys.executable, "-m", "fcn_edge", "robot", "bag", long, "--model", model]
    command += ["--image-topic", "/camera/image_raw", "-o", tmp_path / "out.mcap"]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out.mcap").exists()


def test_reading_stops_with_an_error_at_a_damaged_chunk(frames, tmp_path):
    whole = write_bag(tmp_path / "a.mcap", frames)
    data = bytearray(whole.read_bytes())
    with open_bag(whole) as opened:
        topic = opened.image_topic("/camera/image_raw")
        assert len(list(opened.records(topic.channels))) == 5
    data[100:4000] = bytes(3900)
    whole.write_bytes(data)
    with pytest.raises(InputError, match="damaged"), open_bag(whole) as opened:
        list(opened.records(opened.image_topic("/camera/image_raw").channels))
