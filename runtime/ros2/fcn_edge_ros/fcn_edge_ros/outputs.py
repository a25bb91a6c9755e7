"""The topics that the node publishes.

Frames go out as CDR that fcn_edge_runtime encoded: rclpy publishes serialized messages as they are, so that
no `data` field of a million Python integers is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import LabelInfo

from fcn_edge_ros.parameters import Parameters
from fcn_edge_runtime.robot.diagnostics import Diagnostic
from fcn_edge_runtime.robot.pipeline import Pipeline
from fcn_edge_runtime.robot.publisher import FramePublisher, FrameSinks
from fcn_edge_runtime.robot.shrink import scaled_intrinsics

__all__ = ["Outputs", "profile"]


def profile(reliability: str, depth: int, *, latched: bool = False) -> QoSProfile:
    """A QoS profile: keep last, and transient_local where late subscribers need the last message."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=QoSReliabilityPolicy[reliability.upper()],
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


@dataclass(frozen=True)
class _RosTopic:
    """One publisher of rclpy. Its messages are wanted while it has a subscriber."""

    publisher: LifecyclePublisher

    @property
    def wanted(self) -> bool:
        return self.publisher.get_subscription_count() > 0

    def write(self, data: bytes, moment: int) -> bool:
        """Publish one message. rclpy does not report whether it reached anyone."""
        del moment
        self.publisher.publish(data)
        return True


class Outputs:
    """The publishers, created when the node is configured. They publish nothing until it is active.

    Attributes:
        frames: publishes segmented frames and LabelInfo.
    """

    def __init__(self, node: LifecycleNode, pipeline: Pipeline, parameters: Parameters) -> None:
        self._node, self._parameters = node, parameters
        self._publishers: list[LifecyclePublisher] = []
        qos = profile(parameters.output_reliability, parameters.output_depth)
        with_confidence = parameters.publish_confidence and pipeline.has_confidence
        sinks = FrameSinks(
            mask=_RosTopic(self._publisher(Image, "segmentation/mask", qos)),
            confidence=(
                _RosTopic(self._publisher(Image, "segmentation/confidence", qos)) if with_confidence else None
            ),
            overlay=_RosTopic(self._publisher(Image, "segmentation/overlay", qos)),
            label_info=_RosTopic(
                self._publisher(LabelInfo, "segmentation/label_info", profile("reliable", 1, latched=True))
            ),
        )
        self.frames = FramePublisher(pipeline, sinks)
        self._camera = (
            self._publisher(CameraInfo, "segmentation/camera_info", qos) if parameters.scales_camera else None
        )
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def camera_info(self, info: CameraInfo) -> None:
        """Publish the camera's matrices for masks that are smaller than their images."""
        factor = self._parameters.shrink
        info.height, info.width = -(-info.height // factor), -(-info.width // factor)
        info.k = scaled_intrinsics(list(info.k), 3, factor)
        info.p = scaled_intrinsics(list(info.p), 4, factor)
        self._camera.publish(info)

    def diagnostics(self, report: Diagnostic, name: str, hardware: str) -> None:
        """Publish one status."""
        values = [KeyValue(key=key, value=value) for key, value in report.values]
        status = DiagnosticStatus(
            level=bytes([report.level]),
            name=name,
            message=report.message,
            hardware_id=hardware,
            values=values,
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def destroy(self) -> None:
        """Destroy the publishers, so that the node can be configured again."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._node.destroy_publisher(self._diagnostics)

    def _publisher(self, kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
        publisher = self._node.create_lifecycle_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
        self._publishers.append(publisher)
        return publisher
