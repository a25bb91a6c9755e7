from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.camera.source import grab, open_source
from fcn_edge_runtime.robot.frames import as_array

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.fixture(scope="session")
def video(tmp_path_factory, frames):
    """Five corridor frames, repeated four times, at 20 per second."""
    path = tmp_path_factory.mktemp("video") / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (320, 240))
    for _ in range(4):
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


def decoded(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while (step := capture.read())[0]:
        found.append(step[1])
    capture.release()
    return found


def test_stamps_of_a_video_file_follow_its_frame_rate(video):
    with open_source(str(video)) as source:
        assert (source.live, source.rate, source.frames) == (False, 20.0, 20)
        images = []
        while (image := source.read(10**18)) is not None:
            images.append(image)
    stamps = [image.header.stamp.nanoseconds - 10**18 for image in images]
    assert stamps == [index * 50_000_000 for index in range(20)]
    for image, frame in zip(images, decoded(video), strict=True):
        np.testing.assert_array_equal(as_array(image)[:, :, ::-1], frame)


def test_a_file_can_be_read_at_its_own_rate(video):
    arrivals = []
    with open_source(str(video)) as source:
        grab(source, lambda _: arrivals.append(time.monotonic()), threading.Event())
    assert len(arrivals) == 20
    assert arrivals[-1] - arrivals[0] > 0.5  # as fast as possible it takes a few milliseconds


def test_grabbing_stops_on_request(video):
    stop = threading.Event()
    with open_source(str(video)) as source:
        thread = threading.Thread(target=grab, args=(source, lambda _: None, stop))
        thread.start()
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("name", ["missing.mp4", "text.mp4", "97", "/dev/video97"])
def test_invalid_sources_are_refused_in_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(InputError, match=r"there is no video file|cannot be opened"), open_source(name):
        pass


def test_a_recorded_bag_holds_every_frame_and_its_labels(robot, video, model, pipeline, tmp_path):
    done = robot("camera", video, "--model", model, "--threads", 1, "--record", "run.mcap")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20 frames in")
    assert "p95" in done.stdout
    images, masks = [], []
    with AnyReader([tmp_path / "run.mcap"]) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == "/camera/image_raw":
                images.append(message)
            elif connection.topic == "/segmentation/mask":
                masks.append(message)
    assert len(images) == len(masks) == 20
    for image, mask in zip(images, masks, strict=True):
        assert image.header == mask.header
        rgb = image.data.reshape(240, 320, 3)[:, :, ::-1]
        np.testing.assert_array_equal(mask.data.reshape(240, 320), pipeline.segmenter(rgb).labels)


def test_a_recorded_video_shows_the_overlays(robot, video, model, pipeline, tmp_path):
    done = robot("camera", video, "--model", model, "--threads", 1, "--record", "o.avi", "--frames", 3)
    assert done.returncode == 0, done.stderr
    shown = decoded(tmp_path / "o.avi")
    assert len(shown) == 3
    rgb = decoded(video)[0][:, :, ::-1]
    overlay = pipeline.segmenter(rgb).overlay(rgb)
    # The codec is lossy; another image would differ far more.
    assert np.abs(shown[0][:, :, ::-1].astype(int) - overlay).mean() < 12
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_with_everything_written(video, model, tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "robot", "camera", video, "--model", model]
    command += ["--record", tmp_path / "run.mcap", "--max-rate", 2, "--pace", "source", "--threads", 1]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "runs on cpu" in process.stderr.readline()
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0 and not out.startswith("0 frames"):
        with AnyReader([tmp_path / "run.mcap"]) as reader:
            assert reader.message_count > 0
    assert process.returncode in {0, 130}, err
    assert "Traceback" not in err
    assert not list(tmp_path.glob(".*"))


def test_show_without_a_display_is_refused(robot, video, model):
    env = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    done = robot("camera", video, "--model", model, "--show", env=env)
    assert done.returncode == 2
    assert "--show needs a display, and there is none" in done.stderr


def test_an_existing_record_is_not_overwritten(robot, video, model, tmp_path):
    for name in ("mine.mcap", "mine.mp4"):
        (tmp_path / name).write_text("mine")
        done = robot("camera", video, "--model", model, "--record", name)
        assert done.returncode == 2
        assert "exists already" in done.stderr
        assert (tmp_path / name).read_text() == "mine"
