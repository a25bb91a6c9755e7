from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.camera.source import Grabber, open_source
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
        grabber = Grabber(
            source, lambda _: arrivals.append(time.monotonic()), threading.Event(), own_pace=True
        )
        while not grabber.ended:
            time.sleep(0.02)
        grabber.check_end()
    assert len(arrivals) == 20
    assert arrivals[-1] - arrivals[0] > 0.5  # as fast as possible it takes a few milliseconds


def test_grabbing_stops_on_request(video):
    stop = threading.Event()
    with open_source(str(video)) as source:
        grabber = Grabber(source, lambda _: None, stop, own_pace=True)
        stop.set()
        grabber.join()
        assert grabber.ended


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


def masks_of(bag):
    with AnyReader([bag]) as reader:
        return sum(c.topic == "/segmentation/mask" for c, _, _ in reader.messages())


@contextlib.contextmanager
def mjpeg_server(frames, *, then_stall):
    """An HTTP camera that sends its frames 20 times a second, and then stalls or hangs up."""
    images = [cv2.imencode(".jpg", np.ascontiguousarray(frame[:, :, ::-1]))[1].tobytes() for frame in frames]
    over = threading.Event()

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            with contextlib.suppress(OSError):
                for image in images:
                    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
                    self.wfile.write(head.encode() + image + b"\r\n")
                    time.sleep(0.05)
                if then_stall:
                    over.wait(60)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/camera.mjpg"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("then_stall", [True, False])
@pytest.mark.sampled(1)
@pytest.mark.slow
def test_the_recording_of_a_camera_that_fails_is_kept(robot, frames, model, tmp_path, then_stall):
    with mjpeg_server(frames * 12, then_stall=then_stall) as url:
        begin = time.monotonic()
        done = robot("camera", url, "--model", model, "--record", "run.mcap", "--threads", 1, "-q")
        seconds = time.monotonic() - begin
    assert done.returncode == 1, done.stdout
    assert "delivered no frame for 3 s" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert seconds < 15
    assert masks_of(tmp_path / "run.mcap") >= 5
    assert not list(tmp_path.glob(".*"))


def test_a_video_on_a_server_ends_like_a_file(robot, video, model, tmp_path):
    handler = functools.partial(QuietFiles, directory=str(video.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{video.name}"
    done = robot("camera", url, "--model", model, "--record", "run.mcap", "--threads", 1, "-q")
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr
    assert masks_of(tmp_path / "run.mcap") == 20


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_ctrl_c_does_not_wait_for_a_dead_stream(model):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.mjpg"
        command = [sys.executable, "-m", "fcn_edge", "robot", "camera", url, "--model", str(model)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        silent.settimeout(60)
        connection, _ = silent.accept()
        time.sleep(0.3)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        connection.close()
    assert time.monotonic() - begin < 5
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_a_video_cut_short_says_how_many_frames_it_lost(robot, video, model, tmp_path):
    short = tmp_path / "short.avi"
    data = video.read_bytes()
    short.write_bytes(data[: len(data) // 2])
    done = robot("camera", short, "--model", model, "--record", "run.mcap", "--threads", 1, "-q")
    assert done.returncode == 1, done.stdout
    assert "of the 20 frames that it declares" in done.stderr
    assert 5 <= masks_of(tmp_path / "run.mcap") < 20


@pytest.mark.parametrize(
    "name", ["a#b%20d.avi", "a?b.avi", "a\nb.avi", "x:y.avi", "é" * 100 + ".avi", os.fsdecode(b"a\xff.avi")]
)
def test_videos_are_read_and_written_at_any_path(robot, video, model, tmp_path, name):
    shutil.copyfile(video, tmp_path / name)
    (tmp_path / "out").mkdir()
    done = robot(
        "camera", name, "--model", model, "--record", f"out/{name}", "--frames", 3, "--threads", 1, "-q"
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1
    shutil.move(tmp_path / "out" / name, tmp_path / "plain.avi")
    assert len(decoded(tmp_path / "plain.avi")) == 3


def test_the_ending_of_a_recording_decides_whatever_its_case(robot, video, model, tmp_path):
    done = robot("camera", video, "--model", model, "--record", "o.MP4", "--frames", 2, "--threads", 1, "-q")
    assert done.returncode == 0, done.stderr
    assert len(decoded(tmp_path / "o.MP4")) == 2
    done = robot("camera", video, "--model", model, "--record", "o.webm")
    assert done.returncode == 2
    assert "ends in .webm, expected .mcap, .db3, .mp4, .mkv, .avi" in done.stderr


def test_ctrl_c_that_was_ignored_at_the_start_stays_ignored(video, model, tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "robot", "camera", str(video), "--model", str(model)]
    command += ["--record", str(tmp_path / "run.mcap"), "--pace", "source", "--threads", "1"]
    quoted = shlex.join(command)
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"trap '' INT; exec {quoted}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "runs on cpu" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert masks_of(tmp_path / "run.mcap") >= 10, out
