"""Frames of a camera, a stream or a video file, read by OpenCV, as image messages.

A live source delivers at its own rate, and a slow consumer gets its newest frame. A file is read frame by
frame as fast as the consumer takes them, or at its own rate like a live source.
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

# Cameras skip a frame now and then; one that is silent for this long is gone.
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
        name: as given by the user.
        live: whether the source delivers at its own rate; a file waits to be read.
        rate: frames per second, as the source reports; 0 if it does not.
        frames: number of frames, as a file reports; 0 if unknown.
        capture: the VideoCapture of OpenCV.
    """

    name: str
    live: bool
    rate: float
    frames: int
    capture: Any

    def read(self, start: int) -> Image | None:
        """The next frame; None at the end, or if none arrived.

        Args:
            start: the time of a file's first frame, in nanoseconds since the epoch. Its other frames are
                stamped by their position in the file, those of live sources by the clock.
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
        InputError: it does not exist, it cannot be opened, or OpenCV is missing.
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
            hint = "is it connected, free and readable for you?" if device else "is it a video?"
            raise InputError(f"{what} {text} cannot be opened: {hint}")
        with contextlib.suppress(cv2.error):
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # otherwise drivers may queue old frames
        rate = float(capture.get(cv2.CAP_PROP_FPS) or 0)
        count = 0 if live else max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        yield VideoSource(text, live, rate if 0 < rate < 1000 else 0.0, count, capture)
    finally:
        capture.release()


def read_all(source: VideoSource, start: int) -> Iterator[Image]:
    """Every frame of a file, as fast as the caller takes them."""
    while (frame := source.read(start)) is not None:
        yield frame


def grab(source: VideoSource, put: Callable[[Image], None], stop: threading.Event) -> None:
    """Read at the source's own rate until it ends or `stop` is set; `put` must not block.

    A file is read at its nominal rate (30 per second if it has none). Meant to run in a separate thread.

    Raises:
        InputError: a live source stopped delivering.
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
            raise InputError(
                f"{source.name} delivered no frame for {_SILENCE_SECONDS:.0f} s: was it disconnected?"
            )
        else:
            stop.wait(0.01)
