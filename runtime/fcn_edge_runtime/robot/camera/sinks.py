"""Outputs of `fcn-edge robot camera`: a window, an overlay video, a bag, a ROS 2 graph."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fcn_edge_runtime._files import part_of, place, require_writable
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.robot.bag.outputs import bag_publisher
from fcn_edge_runtime.robot.bag.writer import BagWriter, bag_writer, storage_for
from fcn_edge_runtime.robot.camera.source import import_opencv, plain_path
from fcn_edge_runtime.robot.cdr import encode_image
from fcn_edge_runtime.robot.dds.node import DdsNode
from fcn_edge_runtime.robot.dds.outputs import dds_publisher
from fcn_edge_runtime.robot.frames import as_array
from fcn_edge_runtime.robot.messages import IMAGE, Image
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.topics import Topics

__all__ = [
    "VIDEO_SUFFIXES",
    "BagSink",
    "DdsSink",
    "FrameSink",
    "VideoSink",
    "WindowSink",
    "record_bag",
    "record_video",
]

# Containers, each with a codec that every build of OpenCV's bundled FFmpeg can write.
VIDEO_SUFFIXES = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
IMAGE_TOPIC = "/camera/image_raw"


class FrameSink(Protocol):
    """Takes segmented frames in order, from one thread."""

    def wanted(self) -> tuple[bool, bool]:
        """Whether confidence, and overlays, are wanted now."""

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Take a frame; returns how many messages could not be sent."""


class WindowSink:
    """Shows overlays in a window; Esc or q in it sets `closed`.

    Raises:
        UsageError: there is no display, or this OpenCV has no window support.
    """

    def __init__(self) -> None:
        self._cv2 = import_opencv()
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise UsageError("--show needs a display, and there is none (DISPLAY is not set): use --record")
        gui = [
            line for line in self._cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")
        ]
        if gui and "NONE" in gui[0]:
            raise UsageError(
                "--show needs an OpenCV with window support, which this one lacks: "
                "`pip uninstall opencv-python-headless`, then `pip install opencv-python`"
            )
        self.closed = False

    def wanted(self) -> tuple[bool, bool]:
        """Overlays."""
        return False, True

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Show one frame."""
        del image
        if frame.overlay is not None:
            self._cv2.imshow("fcn-edge", as_array(frame.overlay)[:, :, ::-1])
            self.closed = self._cv2.waitKey(1) & 0xFF in {27, ord("q")}
        return 0


class VideoSink:
    """Writes overlays into a video. Created by `record_video`."""

    def __init__(self, path: Path, codec: str, rate: float) -> None:
        self._cv2 = import_opencv()
        self._path, self._codec, self._rate = path, codec, rate
        self._writer: Any = None
        self._size = (0, 0)

    def wanted(self) -> tuple[bool, bool]:
        """Overlays."""
        return False, True

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Append one frame."""
        del image
        if frame.overlay is None:
            return 0
        size = (frame.overlay.width, frame.overlay.height)
        if self._writer is None:
            fourcc = self._cv2.VideoWriter_fourcc(*self._codec)
            self._writer, self._size = self._cv2.VideoWriter(str(self._path), fourcc, self._rate, size), size
            if not self._writer.isOpened():
                raise ArtifactError(f"this OpenCV cannot write {self._codec} video: record a bag instead")
        if size != self._size:
            raise ArtifactError(
                f"the size of the source changed from {self._size} to {size}: record a bag instead"
            )
        self._writer.write(np.ascontiguousarray(as_array(frame.overlay)[:, :, ::-1]))
        return 0

    def close(self) -> bool:
        """Finish the file; False if no frame was ever written."""
        if self._writer is None:
            return False
        self._writer.release()
        return True


class BagSink:
    """Writes images and all outputs into a bag. Created by `record_bag`."""

    def __init__(self, writer: BagWriter, topics: Topics, pipeline: Pipeline) -> None:
        self._writer, self._publisher = writer, bag_publisher(writer, topics, pipeline)
        self._image = writer.add_topic(IMAGE_TOPIC, IMAGE)

    def wanted(self) -> tuple[bool, bool]:
        """Everything."""
        return self._publisher.wanted()

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Write one frame, recorded at its stamp."""
        moment = image.header.stamp.nanoseconds
        self._writer.write(self._image, moment, encode_image(image))
        return self._publisher.record(frame, moment)


class DdsSink:
    """Publishes images and all outputs to a ROS 2 graph."""

    def __init__(self, node: DdsNode, topics: Topics, pipeline: Pipeline) -> None:
        self._publisher = dds_publisher(node, topics, pipeline)
        self._image = node.writer(IMAGE_TOPIC, IMAGE)
        node.announce()

    def wanted(self) -> tuple[bool, bool]:
        """What has a reader now."""
        self._publisher.keep_label_info(time.monotonic_ns())
        return self._publisher.wanted()

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Publish one frame."""
        unsent = 0 if not self._image.listeners else int(not self._image.write(encode_image(image)))
        return unsent + self._publisher.publish(frame)


@contextlib.contextmanager
def record_video(out: Path, rate: float) -> Iterator[VideoSink]:
    """Record overlays into a video that gets its name once it is complete.

    Args:
        out: a path with one of the `VIDEO_SUFFIXES`.
        rate: the nominal frames per second of the video.

    Raises:
        UsageError, ArtifactError: the file exists already, or cannot be written.
    """
    _require_free(out)
    require_writable(out.parent)
    try:
        suffix = out.suffix.lower()
        with part_of(out, ending=suffix) as part, plain_path(part) as plain:
            sink = VideoSink(plain, VIDEO_SUFFIXES[suffix], rate)
            try:
                yield sink
                if sink.close():
                    _require_free(out)
                    place((part, out))
            finally:
                sink.close()
    except OSError as error:
        raise ArtifactError(f"{out} cannot be written ({error.strerror or error})") from None


@contextlib.contextmanager
def record_bag(out: Path, pipeline: Pipeline, topics: Topics) -> Iterator[BagSink]:
    """Record into a bag; see `bag_writer` for `out` and the errors."""
    with bag_writer(out, storage_for(out, None, also=tuple(VIDEO_SUFFIXES))) as writer:
        yield BagSink(writer, topics, pipeline)


def _require_free(out: Path) -> None:
    if os.path.lexists(out):
        raise UsageError(f"{out} exists already and is not overwritten: remove it, or choose another name")
