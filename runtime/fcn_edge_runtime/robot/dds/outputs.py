"""The four topics on the ROS 2 wire."""

from __future__ import annotations

import time

from fcn_edge_runtime.robot.cdr import encode_image, encode_label_info
from fcn_edge_runtime.robot.dds.node import DdsNode
from fcn_edge_runtime.robot.messages import IMAGE, LABEL_INFO, Header
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.topics import LABEL_INFO_SECONDS, Topics

__all__ = ["DdsOutputs"]


class DdsOutputs:
    """Publishes segmented frames: masks always, confidence and overlays only while somebody reads them."""

    def __init__(self, node: DdsNode, topics: Topics, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._mask = node.writer(topics.mask, IMAGE)
        self._confidence = node.writer(topics.confidence, IMAGE) if pipeline.has_confidence else None
        self._overlay = node.writer(topics.overlay, IMAGE)
        self._info = node.writer(topics.label_info, LABEL_INFO, latched=True)
        self._header = Header()
        self._next_info = 0.0

    def wanted(self) -> tuple[bool, bool]:
        """Whether somebody reads confidence, and overlays."""
        return bool(self._confidence and self._confidence.listeners), bool(self._overlay.listeners)

    def publish(self, frame: SegmentedFrame) -> int:
        """Send the messages of a frame; gives how many could not be sent in time."""
        self._header = frame.mask.header
        pairs = (
            (self._mask, frame.mask),
            (self._confidence, frame.confidence),
            (self._overlay, frame.overlay),
        )
        sent = [writer.write(encode_image(message)) for writer, message in pairs if writer and message]
        return sent.count(False)

    def keep_label_info(self) -> None:
        """Send LabelInfo, and again every 5 s, whether or not frames come. Call it often."""
        now = time.monotonic()
        if now >= self._next_info:
            self._next_info = now + LABEL_INFO_SECONDS
            self._info.write(encode_label_info(self._pipeline.label_info(self._header)))
