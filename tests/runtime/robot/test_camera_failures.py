"""A camera, stream or video that fails, in real processes: one line of ours, and none of FFmpeg's.

`videos/h264.mp4` is kept because OpenCV cannot write H.264: twelve frames of 64x48 with one key frame, made
by PyAV with libx264.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")

H264 = Path(__file__).parent / "videos" / "h264.mp4"


def written(path, codec):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 20.0, (160, 120))
    y, x = np.mgrid[:120, :160]
    for index in range(20):
        writer.write(np.stack([x + index * 5, y + index * 3, x + y], axis=-1).astype(np.uint8))
    writer.release()
    return path.read_bytes()


def noisy(data, start=0.3, stop=0.95):
    """The same bytes with noise in the middle, where the pictures are."""
    values = np.frombuffer(data, np.uint8).copy()
    rng = np.random.default_rng(4)
    places = rng.integers(int(len(values) * start), int(len(values) * stop), len(values) // 20)
    values[places] = rng.integers(0, 256, len(places))
    return values.tobytes()


def cut(data, share=0.6):
    return data[: int(len(data) * share)]


KINDS = {
    "empty.mp4": lambda _: b"",
    "text.mp4": lambda _: b"not a video",
    "without-its-index.mp4": lambda path: cut(written(path, "mp4v")),
    "without-pictures.mp4": lambda _: cut(H264.read_bytes(), 0.45),
    "noise-in-h264.mp4": lambda _: noisy(H264.read_bytes(), 0.5),
    "unknown-codec.mp4": lambda _: H264.read_bytes().replace(b"avc1", b"zzz1"),
    "unknown-codec.avi": lambda path: written(path, "MJPG").replace(b"MJPG", b"ZZZZ"),
    "cut.avi": lambda path: cut(written(path, "MJPG")),
    "noise.avi": lambda path: noisy(written(path, "MJPG")),
    "cut.mkv": lambda path: cut(written(path, "mp4v")),
    "cut.webm": lambda path: cut(written(path, "VP90")),
    "noise.webm": lambda path: noisy(written(path, "VP90")),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.security("a video that is damaged, cut short or not one", "one line, none of FFmpeg's")
def test_a_damaged_video_is_one_line_on_stderr(robot, model, tmp_path, name, monkeypatch):
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "-8")  # while the test writes its own video
    (tmp_path / name).write_bytes(KINDS[name](tmp_path / name))
    env = {key: value for key, value in os.environ.items() if key != "OPENCV_FFMPEG_LOGLEVEL"}
    done = robot("camera", name, "--model", model, "--record", "o.mcap", "--threads", 1, "-q", env=env)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert name in done.stderr


def test_a_whole_video_in_h264_is_read_without_a_word(robot, model, tmp_path):
    shutil.copy(H264, tmp_path / "a.mp4")
    done = robot("camera", "a.mp4", "--model", model, "--record", "o.mcap", "--threads", 1, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("12 frames in")


@contextlib.contextmanager
def server(answer):
    """A TCP server that sends these bytes to everyone, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("rtsp://127.0.0.1:{}/stream", b""),
        ("rtsp://127.0.0.1:{}/stream", b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n"),
        ("rtsp://127.0.0.1:{}/stream", b"HTTP/1.1 200 OK\r\n\r\nhello"),
        ("http://127.0.0.1:{}/a.mp4", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ("http://127.0.0.1:{}/a.mp4", b"HTTP/1.1 200 OK\r\n\r\nnot a video"),
    ],
)
def test_a_stream_that_fails_is_one_line_on_stderr(robot, model, url, answer):
    with server(answer) as port:
        done = robot("camera", url.format(port), "--model", model, "--record", "o.mcap", "-q")
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot be opened" in done.stderr
