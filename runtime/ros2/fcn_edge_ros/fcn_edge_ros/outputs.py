"""The topics that the node publishes. Messages go out as the bytes of fcn_edge_runtime's codec.

rclpy publishes serialized messages as they are: no `data` field of a million Python integers is ever made.
"""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import LabelInfo

from fcn_edge_ros.parameters import Parameters
from fcn_edge_runtime.robot.cdr import encode_image, encode_label_info
from fcn_edge_runtime.robot.diagnostics import Diagnostic
from fcn_edge_runtime.robot.messages import Header
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.shrink import scaled_intrinsics

__all__ = ["Outputs", "profile"]


def profile(reliability: str, depth: int, *, latched: bool = False) -> QoSProfile:
    """A QoS profile: keep last, and transient_local where late subscribers must get the last message."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=QoSReliabilityPolicy[reliability.upper()],
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


class Outputs:
    """The publishers, made when the node is configured. They stay silent until it is active."""

    def __init__(self, node: LifecycleNode, pipeline: Pipeline, parameters: Parameters) -> None:
        self._node, self._pipeline, self._parameters = node, pipeline, parameters
        qos = profile(parameters.output_reliability, parameters.output_depth)
        self._mask = self._publisher(Image, "segmentation/mask", qos)
        with_confidence = parameters.publish_confidence and pipeline.has_confidence
        self._confidence = self._publisher(Image, "segmentation/confidence", qos) if with_confidence else None
        self._overlay = self._publisher(Image, "segmentation/overlay", qos)
        self._info = self._publisher(
            LabelInfo, "segmentation/label_info", profile("reliable", 1, latched=True)
        )
        self._camera = (
            self._publisher(CameraInfo, "segmentation/camera_info", qos) if parameters.scales_camera else None
        )
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._header = Header()

    def wanted(self) -> tuple[bool, bool]:
        """Whether somebody listens to confidence, and to overlays."""
        confidence = self._confidence is not None and self._confidence.get_subscription_count() > 0
        return confidence, self._overlay.get_subscription_count() > 0

    def publish(self, frame: SegmentedFrame) -> int:
        """Send the messages of a frame. Called by the worker's thread; nothing is ever left unsent."""
        self._header = frame.mask.header
        pairs = (
            (self._mask, frame.mask),
            (self._confidence, frame.confidence),
            (self._overlay, frame.overlay),
        )
        for publisher, message in pairs:
            if publisher is not None and message is not None:
                publisher.publish(encode_image(message))
        return 0

    def label_info(self) -> None:
        """Send the names of the classes."""
        self._info.publish(encode_label_info(self._pipeline.label_info(self._header)))

    def camera_info(self, info: CameraInfo) -> None:
        """Send the camera's matrices for masks that are smaller than their images."""
        factor = self._parameters.shrink
        info.height, info.width = -(-info.height // factor), -(-info.width // factor)
        info.k = scaled_intrinsics(list(info.k), 3, factor)
        info.p = scaled_intrinsics(list(info.p), 4, factor)
        self._camera.publish(info)

    def diagnostics(self, report: Diagnostic, name: str, hardware: str) -> None:
        """Send one status."""
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
        """Take the publishers away, so that the node can be configured again."""
        for publisher in (self._mask, self._confidence, self._overlay, self._info, self._camera):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)
        self._node.destroy_publisher(self._diagnostics)

    def _publisher(self, kind: type, topic: str, qos: QoSProfile) -> object:
        return self._node.create_lifecycle_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
