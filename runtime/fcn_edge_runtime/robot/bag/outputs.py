"""The four topics in a bag that is being written."""

from __future__ import annotations

from typing import Any

from fcn_edge_runtime.robot.bag.writer import BagWriter
from fcn_edge_runtime.robot.cdr import encode_image, encode_label_info
from fcn_edge_runtime.robot.messages import IMAGE, LABEL_INFO
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.topics import LABEL_INFO_SECONDS, Topics

__all__ = ["BagOutputs"]


class BagOutputs:
    """Writes segmented frames: LabelInfo first, and again every 5 s of the recording, masks always."""

    def __init__(
        self, writer: BagWriter, topics: Topics, pipeline: Pipeline, *, overlay: bool = True
    ) -> None:
        self._writer, self._pipeline = writer, pipeline
        self._info = writer.add_topic(topics.label_info, LABEL_INFO, latched=True)
        self._mask = writer.add_topic(topics.mask, IMAGE)
        self._confidence = writer.add_topic(topics.confidence, IMAGE) if pipeline.has_confidence else None
        self._overlay = writer.add_topic(topics.overlay, IMAGE) if overlay else None
        self._next_info: int | None = None

    @property
    def wanted(self) -> tuple[bool, bool]:
        """Whether confidence, and overlays, are written."""
        return self._confidence is not None, self._overlay is not None

    def write(self, frame: SegmentedFrame, moment: int) -> None:
        """Write the messages of a frame, recorded at `moment` in nanoseconds since the epoch."""
        if self._next_info is None or moment >= self._next_info:
            info = self._pipeline.label_info(frame.mask.header)
            self._writer.write(self._info, moment, encode_label_info(info))
            self._next_info = moment + int(LABEL_INFO_SECONDS * 1e9)
        pairs: tuple[tuple[Any, Any], ...] = (
            (self._mask, frame.mask),
            (self._confidence, frame.confidence),
            (self._overlay, frame.overlay),
        )
        for topic, message in pairs:
            if topic is not None and message is not None:
                self._writer.write(topic, moment, encode_image(message))
