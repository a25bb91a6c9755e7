"""Publishes segmented frames: one publisher for bags, DDS and rclpy, which only supply the sinks.

LabelInfo is published first and again every 5 seconds, the mask with every frame, confidence and overlay
only where they are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fcn_edge_runtime.robot.cdr import encode_image, encode_label_info
from fcn_edge_runtime.robot.messages import Header
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame

__all__ = ["LABEL_INFO_SECONDS", "FramePublisher", "FrameSinks", "TopicSink"]

# Consumers discard masks until they know what the ids mean.
LABEL_INFO_SECONDS = 5.0


class TopicSink(Protocol):
    """Where the messages of one topic go: a connection of a bag, a DDS writer, a publisher of rclpy."""

    @property
    def wanted(self) -> bool:
        """Whether a message written now has a reader."""

    def write(self, data: bytes, moment: int) -> bool:
        """Write one message.

        Args:
            data: the message as CDR.
            moment: as `FramePublisher.publish` got it. Live transports do not need it.

        Returns:
            False if the message could not be sent in time.
        """


@dataclass(frozen=True)
class FrameSinks:
    """A sink for each topic; None where a topic is never published."""

    mask: TopicSink
    label_info: TopicSink
    confidence: TopicSink | None = None
    overlay: TopicSink | None = None


class FramePublisher:
    """Publishes the frames of one pipeline.

    Frames may be published in one thread and LabelInfo in another.

    Args:
        pipeline: names the classes.
        sinks: where messages go.
    """

    def __init__(self, pipeline: Pipeline, sinks: FrameSinks) -> None:
        self._pipeline, self._sinks = pipeline, sinks
        self._header = Header()
        self._next_info: int | None = None

    def wanted(self) -> tuple[bool, bool]:
        """Whether confidence, and overlays, have a reader now."""
        confidence, overlay = self._sinks.confidence, self._sinks.overlay
        return confidence is not None and confidence.wanted, overlay is not None and overlay.wanted

    def publish(self, frame: SegmentedFrame, moment: int = 0) -> int:
        """Publish the messages of a frame, LabelInfo aside.

        Args:
            frame: what the pipeline made.
            moment: when the frame was recorded, in nanoseconds since the epoch; used only by bags.

        Returns:
            How many messages could not be sent in time.
        """
        self._header = frame.mask.header
        sinks = self._sinks
        pairs = (
            (sinks.mask, frame.mask),
            (sinks.confidence, frame.confidence),
            (sinks.overlay, frame.overlay),
        )
        sent = [
            sink.write(encode_image(message), moment)
            for sink, message in pairs
            if sink and message is not None
        ]
        return sent.count(False)

    def record(self, frame: SegmentedFrame, moment: int) -> int:
        """As `publish`, with LabelInfo before the frame where `moment` is 5 seconds after the last one."""
        self._header = frame.mask.header
        self.keep_label_info(moment)
        return self.publish(frame, moment)

    def keep_label_info(self, moment: int) -> None:
        """Publish LabelInfo the first time, and again 5 seconds after the last one. Cheap to call often.

        Args:
            moment: nanoseconds of a clock, always the same one.
        """
        if self._next_info is None or moment >= self._next_info:
            self._next_info = moment + int(LABEL_INFO_SECONDS * 1e9)
            self.publish_label_info(moment)

    def publish_label_info(self, moment: int = 0) -> None:
        """Publish LabelInfo now, with the header of the last frame."""
        self._sinks.label_info.write(encode_label_info(self._pipeline.label_info(self._header)), moment)
