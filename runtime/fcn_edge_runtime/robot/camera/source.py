"""Frames of a camera, a stream or a video file, through OpenCV, as image messages.

A live source delivers when it likes, and whoever is slow gets its newest frame. A file is read as fast as
frames are wanted, every one of them, or at its own rate like a live source.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot.messages import Header, Image, Stamp

__all__ = ["VideoSource", "grab", "import_opencv", "open_source", "read_all"]

# Cameras skip a frame now and then; one that is silent for so long is gone.
_SILENCE_SECONDS = 3.0
_FRAME_ID = "camera"


def import_opencv() -> Any:
    """The cv2 module, with its own log silenced: errors are reported in one line here.

    Raises:
        InputError: it is not installed, or does not load.
    """
    cv2 = require("cv2", "reading cameras and videos")
    logging = getattr(cv2.utils, "logging", None)  # not in every build
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    return cv2


@dataclass(frozen=True)
class VideoSource:
    """An open source of frames.

    Attributes:
        name: as it was given.
        live: whether frames come by themselves; a file waits to be read.
        rate: frames a second, as the source says; 0 if it does not.
        frames: frames in all, as a file says; 0 if unknown.
        capture: OpenCV's object.
    """

    name: str
    live: bool
    rate: float
    frames: int
    capture: Any

    def read(self, start: int) -> Image | None:
        """The next frame; None at the end, or if none came.

        Args:
            start: when the first frame of a file was made, in nanoseconds since the epoch. Its other frames
                are stamped by their place in the file, those of live sources by the clock.
        """
        import cv2

        good, frame = self.capture.read()
        if not good or frame is None:
            return None
        position = 0.0 if self.live else self.capture.get(cv2.CAP_PROP_POS_MSEC)  # of the frame just read
        if frame.ndim == 2:
            frame = frame[:, :, None]
        stamp = time.time_ns() if self.live else start + max(0, round(position * 1e6))
        height, width, channels = frame.shape
        encoding = {1: "mono8", 3: "bgr8", 4: "bgra8"}[channels]
        return Image(
            Header(Stamp.of(stamp), _FRAME_ID), height, width, encoding, 0, width * channels, frame.tobytes()
        )


@contextlib.contextmanager
def open_source(text: str) -> Iterator[VideoSource]:
    """Open a source.

    Args:
        text: a camera's number or device file ("0", "/dev/video0"), a URL ("rtsp://..."), or a video file.

    Raises:
        InputError: there is none, it cannot be opened, or OpenCV is missing.
    """
    cv2 = import_opencv()
    device = text.isdecimal() or text.startswith("/dev/")
    live = device or "://" in text
    if not live and not Path(text).is_file():
        raise InputError(
            f"there is no video file {text!r}, expected a file, a camera's number such as 0, or a URL"
        )
    capture = cv2.VideoCapture(int(text) if text.isdecimal() else text)
    try:
        if not capture.isOpened():
            what = "the camera" if device else "the stream" if live else "the video"
            mend = "is it plugged in, free, and may you read it?" if device else "is it a video at all?"
            raise InputError(f"{what} {text} cannot be opened: {mend}")
        with contextlib.suppress(cv2.error):
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # drivers queue old frames otherwise, where they can
        rate = float(capture.get(cv2.CAP_PROP_FPS) or 0)
        count = 0 if live else max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        yield VideoSource(text, live, rate if 0 < rate < 1000 else 0.0, count, capture)
    finally:
        capture.release()


def read_all(source: VideoSource, start: int) -> Iterator[Image]:
    """Every frame of a file, as fast as they are asked for."""
    while (frame := source.read(start)) is not None:
        yield frame


def grab(source: VideoSource, put: Callable[[Image], None], stop: threading.Event) -> None:
    """Read at the source's own rate until it ends or `stop` is set; `put` must not wait.

    A file is paced by its rate (30 a second if it names none). Meant for a thread of its own.

    Raises:
        InputError: a live source went silent.
    """
    begin, wall = time.monotonic(), time.time_ns()
    period = 1 / (source.rate or 30.0)
    last = begin
    index = 0
    while not stop.is_set():
        if not source.live and stop.wait(max(0.0, begin + index * period - time.monotonic())):
            return
        frame = source.read(wall)
        index += 1
        if frame is not None:
            last = time.monotonic()
            put(frame)
        elif not source.live:
            return
        elif time.monotonic() - last > _SILENCE_SECONDS:
            raise InputError(f"{source.name} gave no frame for {_SILENCE_SECONDS:.0f} s: was it unplugged?")
        else:
            stop.wait(0.01)
