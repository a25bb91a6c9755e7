"""Frames of a camera, a stream or a video file, read by OpenCV, as image messages.

A live source delivers at its own rate, and a slow consumer gets its newest frame. A file is read frame by
frame as fast as the consumer takes them, or at its own rate like a live source.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.robot.messages import Header, Image, Stamp

__all__ = ["Grabber", "VideoSource", "import_opencv", "open_source", "plain_path"]

# Cameras skip a frame now and then; one that is silent for this long is gone.
_SILENCE_SECONDS = 3.0
_OPEN_SECONDS = 10  # to open a stream, and to its first frame
_DIGITS = 2  # to OpenCV, 100 and more mean cameras of other drivers
_FRAME_ID = "camera"


def import_opencv() -> Any:
    """The cv2 module, with its own log silenced: errors are reported in one line here.

    Raises:
        InputError: it is not installed, or does not load.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first video is opened
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
        remote: whether it comes over a network, which may stall.
    """

    name: str
    live: bool
    rate: float
    frames: int
    capture: Any
    remote: bool = False
    _busy: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, start: int) -> Image | None:
        """The next frame; None at the end, or if none arrived.

        Args:
            start: the time of a file's first frame, in nanoseconds since the epoch. Its other frames are
                stamped by their position in the file, those of live sources by the clock.
        """
        import cv2

        with self._busy:
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

    def check_whole(self, frames: int, seconds: float) -> None:
        """Look, after the last frame of a file, whether it was the last one.

        Args:
            frames: how many were read.
            seconds: the position of the end of the last one.

        Raises:
            InputError: the file ended before its end, or holds no frame.
        """
        if not frames:
            raise InputError(f"{self.name} holds no frame that can be read, expected a video or an image")
        declared, rate = self.frames, self.rate
        # A number of frames that is estimated from the duration may be off; the duration tells.
        missing = declared / rate - seconds if rate else 0.0
        if frames < declared and missing > max(2 / rate, 0.02 * declared / rate):
            raise InputError(
                f"{self.name} is cut short or damaged: {frames} of the {declared} frames that it declares "
                "can be read; copy or record it again"
            )

    def close(self) -> None:
        """Close it; where a read in another thread still blocks, it is left to the end of the process."""
        if self._busy.acquire(timeout=1):
            try:
                self.capture.release()
            finally:
                self._busy.release()


@contextlib.contextmanager
def open_source(text: str) -> Iterator[VideoSource]:
    """Open a source. Ctrl-C ends the wait for a stream that does not answer.

    Args:
        text: a camera's number or device file ("0", "/dev/video0"), a URL ("rtsp://..."), or a video file.

    Raises:
        UsageError: a camera's number above 99.
        InputError: it does not exist, it cannot be opened, or OpenCV is missing.
    """
    cv2 = import_opencv()
    device = text.isdecimal() or text.startswith("/dev/")
    url = "://" in text and not text.startswith("file://")
    local = text.startswith("file://")
    path = Path(urllib.parse.unquote(text.removeprefix("file://")) if local else text)
    if not device and not url and not path.is_file():
        raise InputError(
            f"there is no video file {text!r}, expected a file, a camera's number such as 0, or a URL"
        )
    number = _camera_number(text) if text.isdecimal() else None
    with contextlib.ExitStack() as stack:
        name = text if device or url else str(stack.enter_context(plain_path(path)))
        capture = _opened(cv2, name if number is None else number, url=url)
        if capture is None or not capture.isOpened():
            what = "the camera" if device else "the stream" if url else "the video"
            hint = "is it connected, free and readable for you?" if device or url else "is it a whole video?"
            raise InputError(f"{what} {text} cannot be opened: {hint}")
        with contextlib.suppress(cv2.error):
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # otherwise drivers may queue old frames
        rate = float(capture.get(cv2.CAP_PROP_FPS) or 0)
        count = 0 if device else max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        live = device or (url and not count)  # the end of a file on a server is no fault
        source = VideoSource(text, live, rate if 0 < rate < 1000 else 0.0, count, capture, url)
        try:
            yield source
        finally:
            source.close()


def _camera_number(text: str) -> int:
    if len(text.lstrip("0")) > _DIGITS:
        raise UsageError(
            f"got a camera's number of {len(text)} digits, expected 0 to 99: "
            "give others as a device file, such as /dev/video100"
        )
    return int(text)


def _opened(cv2: Any, name: int | str, *, url: bool) -> Any:
    """The capture, opened in a thread: OpenCV cannot be interrupted. None if it takes too long."""
    found: list[Any] = []

    def opener() -> None:
        if url:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_SECONDS * 1000]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _OPEN_SECONDS * 1000]
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits)
            found.append(capture if capture.isOpened() else cv2.VideoCapture(name))
        else:
            found.append(cv2.VideoCapture(name))

    thread = threading.Thread(target=opener, name="open", daemon=True)
    thread.start()
    deadline = time.monotonic() + 2 * _OPEN_SECONDS
    while thread.is_alive() and (not url or time.monotonic() < deadline):
        thread.join(0.1)  # short, so that Ctrl-C is seen
    return found[0] if found else None


@contextlib.contextmanager
def plain_path(path: Path) -> Iterator[Path]:
    """A path to the same file that FFmpeg takes as it is: "%" and ":" mean something to it.

    It takes no names that are not valid UTF-8, either. Such a file is opened through a link.
    """
    if re.fullmatch(r"[\w/. -]+", str(path), re.ASCII) or not hasattr(os, "symlink"):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="fcn-edge-") as folder:
        suffix = path.suffix if re.fullmatch(r"\.\w+", path.suffix, re.ASCII) else ""
        link = Path(folder) / f"video{suffix.lower()}"
        link.symlink_to(path.absolute())
        yield link


class Grabber:
    """Reads a source in a thread of its own, since reading from a dead one blocks.

    Args:
        source: the open source.
        deliver: takes each frame; may block.
        stop: ends it.
        own_pace: read at the rate of a file (30 per second if it has none); a live source has its own.
    """

    def __init__(
        self,
        source: VideoSource,
        deliver: Callable[[Image], object],
        stop: threading.Event,
        *,
        own_pace: bool,
    ) -> None:
        self.frames = 0
        self.seconds = 0.0  # of the file, up to the end of the last frame
        self._source, self._deliver, self._stop, self._own_pace = source, deliver, stop, own_pace
        self._last, self._delivering = time.monotonic(), False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="grab", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end, but not for a source that is dead."""
        self._thread.join(2)

    def check_alive(self) -> None:
        """Look whether the source still delivers.

        Raises:
            InputError: a live source or a stream stopped delivering.
        """
        silent = time.monotonic() - self._last
        limit = _SILENCE_SECONDS if self.frames else _OPEN_SECONDS
        waits = (self._source.live or self._source.remote) and not self._delivering
        if not self.ended and waits and silent > limit:
            raise InputError(
                f"{self._source.name} delivered no frame for {limit:.0f} s, after {self.frames} frames: "
                "was it disconnected?"
            )

    def check_end(self) -> None:
        """Look why it ended.

        Raises:
            InputError: a file ended before its end, or holds no frame.
        """
        if self._failure is not None:
            raise self._failure
        if not self._stop.is_set():
            self._source.check_whole(self.frames, self.seconds)

    def _run(self) -> None:
        begin, wall = time.monotonic(), time.time_ns()
        period = 1 / (self._source.rate or 30.0)
        try:
            while not self._stop.is_set():
                wait = begin + self.frames * period - time.monotonic() if self._own_pace else 0.0
                if wait > 0 and self._stop.wait(wait):
                    return
                frame = self._source.read(wall)
                if frame is None and not self._source.live:
                    return
                if frame is None:
                    self._stop.wait(0.01)
                    continue
                self.frames += 1
                self.seconds = (frame.header.stamp.nanoseconds - wall) / 1e9 + period
                self._delivering = True
                self._deliver(frame)
                self._last, self._delivering = time.monotonic(), False
        except BaseException as error:  # noqa: BLE001 - raised by check_end(), in the thread that waits
            self._failure = error
