"""The topics of segmented frames in a bag that is being written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fcn_edge_runtime.robot.bag.writer import BagWriter
from fcn_edge_runtime.robot.messages import IMAGE, LABEL_INFO
from fcn_edge_runtime.robot.pipeline import Pipeline
from fcn_edge_runtime.robot.publisher import FramePublisher, FrameSinks
from fcn_edge_runtime.robot.topics import Topics

__all__ = ["bag_publisher"]


@dataclass(frozen=True)
class _BagTopic:
    """One topic of a bag. Every message is written."""

    writer: BagWriter
    connection: Any

    @property
    def wanted(self) -> bool:
        return True

    def write(self, data: bytes, moment: int) -> bool:
        self.writer.write(self.connection, moment, data)
        return True


def bag_publisher(
    writer: BagWriter, topics: Topics, pipeline: Pipeline, *, overlay: bool = True
) -> FramePublisher:
    """Add the topics to a bag; returns the publisher whose `record` writes frames into them."""

    def topic(name: str, kind: str, *, latched: bool = False) -> _BagTopic:
        return _BagTopic(writer, writer.add_topic(name, kind, latched=latched))

    return FramePublisher(
        pipeline,
        FrameSinks(
            label_info=topic(topics.label_info, LABEL_INFO, latched=True),
            mask=topic(topics.mask, IMAGE),
            confidence=topic(topics.confidence, IMAGE) if pipeline.has_confidence else None,
            overlay=topic(topics.overlay, IMAGE) if overlay else None,
        ),
    )
