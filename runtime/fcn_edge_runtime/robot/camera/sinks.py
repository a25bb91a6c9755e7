"""Outputs of `fcn-edge robot camera`: a window, a video, a bag, a ROS 2 graph."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.robot.bag.outputs import bag_publisher
from fcn_edge_runtime.robot.bag.writer import BagWriter, bag_writer, storage_for
from fcn_edge_runtime.robot.camera.recording import VIDEO_SUFFIXES, VideoWriter, new_video
from fcn_edge_runtime.robot.camera.source import import_opencv
from fcn_edge_runtime.robot.cdr import encode_image
from fcn_edge_runtime.robot.dds.node import DdsNode
from fcn_edge_runtime.robot.dds.outputs import dds_publisher
from fcn_edge_runtime.robot.frames import as_array
from fcn_edge_runtime.robot.messages import IMAGE, Image
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.topics import Topics
from fcn_edge_runtime.segmentation import as_picture

if TYPE_CHECKING:
    from fcn_edge_runtime.imaging.effects import Effect

__all__ = [
    "BagSink",
    "DdsSink",
    "FrameSink",
    "VideoSink",
    "View",
    "WindowSink",
    "record_bag",
    "record_video",
]

IMAGE_TOPIC = "/camera/image_raw"


class FrameSink(Protocol):
    """Takes segmented frames in order, from one thread."""

    def wanted(self) -> tuple[bool, bool]:
        """Whether confidence, and overlays, are wanted now."""

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Take a frame; returns how many messages could not be sent."""


@dataclass(frozen=True, eq=False)
class View:
    """What windows and videos show.

    Attributes:
        card: the model's card.
        effect: shown instead of overlays, if there is one.
    """

    card: Card
    effect: Effect | None = None

    def wanted(self) -> tuple[bool, bool]:
        """Confidence for an effect that has soft edges by it; overlays without an effect."""
        if self.effect is None:
            return False, True
        return self.effect.softens(self.card), False

    def picture(self, image: Image, frame: SegmentedFrame) -> np.ndarray:
        """What is shown of a frame: (H, W, 3) uint8 RGB."""
        if self.effect is not None:
            shown = as_picture(as_array(image)[:, :, :3], InputSpec.default())
            sure = None if frame.confidence is None else as_array(frame.confidence)[:, :, 0] / np.float32(255)
            return self.effect(shown, as_array(frame.mask)[:, :, 0], self.card, sure)
        assert frame.overlay is not None  # noqa: S101 - a bug of ours: it was wanted
        return as_array(frame.overlay)


class WindowSink:
    """Shows a view in a window; Esc or q in it sets `closed`.

    Args:
        view: what is shown.

    Raises:
        UsageError: there is no display, or this OpenCV has no window support.
    """

    def __init__(self, view: View) -> None:
        self._cv2, self._view = import_opencv(), view
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
        """What the view needs."""
        return self._view.wanted()

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Show one frame."""
        self._cv2.imshow("fcn-edge", np.ascontiguousarray(self._view.picture(image, frame)[:, :, ::-1]))
        self.closed = self._cv2.waitKey(1) & 0xFF in {27, ord("q")}
        return 0


class VideoSink:
    """Writes what the view shows into a video. Created by `record_video`."""

    def __init__(self, writer: VideoWriter, view: View) -> None:
        self._writer, self._view = writer, view

    def wanted(self) -> tuple[bool, bool]:
        """What the view needs."""
        return self._view.wanted()

    def put(self, image: Image, frame: SegmentedFrame) -> int:
        """Append one frame."""
        self._writer.write(self._view.picture(image, frame))
        return 0


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
def record_video(out: Path, rate: float, view: View) -> Iterator[VideoSink]:
    """Record what the view shows into a video; see `new_video` for `out`, `rate` and the errors."""
    with new_video(out, rate) as writer:
        yield VideoSink(writer, view)


@contextlib.contextmanager
def record_bag(out: Path, pipeline: Pipeline, topics: Topics) -> Iterator[BagSink]:
    """Record into a bag; see `bag_writer` for `out` and the errors."""
    with bag_writer(out, storage_for(out, None, also=tuple(VIDEO_SUFFIXES))) as writer:
        yield BagSink(writer, topics, pipeline)
