"""The topics of segmented frames in a ROS 2 graph, over DDS."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.robot.dds.node import DdsNode, DdsWriter
from fcn_edge_runtime.robot.messages import IMAGE, LABEL_INFO
from fcn_edge_runtime.robot.pipeline import Pipeline
from fcn_edge_runtime.robot.publisher import FramePublisher, FrameSinks
from fcn_edge_runtime.robot.topics import Topics

__all__ = ["dds_publisher"]


@dataclass(frozen=True)
class _DdsTopic:
    """One DDS topic. Its messages are wanted while it has a reader."""

    writer: DdsWriter

    @property
    def wanted(self) -> bool:
        return self.writer.listeners > 0

    def write(self, data: bytes, moment: int) -> bool:
        del moment
        return self.writer.write(data)


def dds_publisher(node: DdsNode, topics: Topics, pipeline: Pipeline) -> FramePublisher:
    """Add the topics to a node. The caller calls `keep_label_info` often, whether or not frames come."""

    def topic(name: str, kind: str, *, latched: bool = False) -> _DdsTopic:
        return _DdsTopic(node.writer(name, kind, latched=latched))

    return FramePublisher(
        pipeline,
        FrameSinks(
            mask=topic(topics.mask, IMAGE),
            confidence=topic(topics.confidence, IMAGE) if pipeline.has_confidence else None,
            overlay=topic(topics.overlay, IMAGE),
            label_info=topic(topics.label_info, LABEL_INFO, latched=True),
        ),
    )
