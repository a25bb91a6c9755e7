"""Writes a video file that gets its name once it is complete and can be read to its last frame."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._files import part_of, place, require_writable
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.robot.camera.source import import_opencv, plain_path

__all__ = ["DEFAULT_RATE", "VIDEO_SUFFIXES", "VideoWriter", "new_video"]

# Containers, each with a codec that every build of OpenCV's bundled FFmpeg can write.
VIDEO_SUFFIXES = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
DEFAULT_RATE = 30.0  # frames per second, of a source that reports none


class VideoWriter:
    """Appends pictures to a video, all of the first one's size. Created by `new_video`.

    Attributes:
        frames: how many were written.
    """

    def __init__(self, path: Path, codec: str, rate: float) -> None:
        self.frames = 0
        self._cv2 = import_opencv()
        self._path, self._codec, self._rate = path, codec, rate
        self._writer: Any = None
        self._size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture (H, W, 3) uint8 RGB.

        Raises:
            InputError: it has another size than the first one, or is too small.
            ArtifactError: this OpenCV has no encoder for the video.
        """
        size = (picture.shape[1], picture.shape[0])
        if min(size) < 2:
            raise InputError(f"the frames are {size[0]}x{size[1]}, a video has at least 2 pixels each way")
        if self._writer is None:
            fourcc = self._cv2.VideoWriter_fourcc(*self._codec)
            self._writer, self._size = self._cv2.VideoWriter(str(self._path), fourcc, self._rate, size), size
            if not self._writer.isOpened():
                raise ArtifactError(f"this OpenCV cannot write {self._codec} video: record a bag instead")
            if size[0] % 2 or size[1] % 2:
                even = f"{size[0] & ~1}x{size[1] & ~1}"
                warnings.warn(
                    f"the frames are {size[0]}x{size[1]}, and videos have even sides: the video is {even}, "
                    "without the last column or row",
                    stacklevel=2,
                )
        if size != self._size:
            was, now = (f"{width}x{height}" for width, height in (self._size, size))
            raise InputError(f"the frames change from {was} to {now}, a video has one size: record a bag")
        self._writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()

    def check(self) -> None:
        """Look, after `close`, whether the last frame can be read: OpenCV does not report a full disk.

        Raises:
            ArtifactError: it cannot.
        """
        capture = self._cv2.VideoCapture(str(self._path))
        capture.set(self._cv2.CAP_PROP_POS_FRAMES, self.frames - 1)
        good, _ = capture.read()
        capture.release()
        if not good:
            raise ArtifactError("the video is not complete on disk: is there room for it?")


@contextlib.contextmanager
def new_video(
    out: Path,
    rate: float,
    *,
    overwrite: bool = False,
    finish: Callable[[Path], object] | None = None,
) -> Iterator[VideoWriter]:
    """A video that is there, whole, once the block ends without an error; without frames there is none.

    Args:
        out: a path with one of the `VIDEO_SUFFIXES`.
        rate: frames per second; 0 is `DEFAULT_RATE`.
        overwrite: replace a file of that name.
        finish: called with the complete file before it gets its name.

    Raises:
        UsageError, ArtifactError: the file exists already, or cannot be written.
    """
    if not overwrite:
        _require_free(out)
    require_writable(out.parent)
    try:
        suffix = out.suffix.lower()
        with part_of(out, ending=suffix) as part, plain_path(part) as plain:
            writer = VideoWriter(plain, VIDEO_SUFFIXES[suffix], rate or DEFAULT_RATE)
            try:
                yield writer
            finally:
                writer.close()
            if writer.frames:
                writer.check()
                if finish is not None:
                    finish(part)
                if not overwrite:
                    _require_free(out)  # it may have been made meanwhile
                place((part, out))
    except OSError as error:
        raise ArtifactError(f"{out} cannot be written ({error.strerror or error})") from None


def _require_free(out: Path) -> None:
    if os.path.lexists(out):
        raise UsageError(f"{out} exists already and is not overwritten: remove it, or choose another name")
