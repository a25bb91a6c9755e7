"""The ROS messages that segmentation needs, as plain dataclasses independent of any transport.

Fields are those of the interface definitions: builtin_interfaces/Time, std_msgs/Header, sensor_msgs/Image and
CompressedImage, vision_msgs/VisionClass and LabelInfo. Text keeps bytes that are not valid UTF-8 as
surrogates, so that a header is published bit for bit as it was received.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "COMPRESSED_IMAGE",
    "IMAGE",
    "LABEL_INFO",
    "Buffer",
    "CompressedImage",
    "Header",
    "Image",
    "LabelInfo",
    "Stamp",
    "VisionClass",
]

# Names of the types, as ROS 2 spells them.
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
LABEL_INFO = "vision_msgs/msg/LabelInfo"

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Stamp:
    """A point in time: seconds (int32) and nanoseconds (uint32, below 1e9 by convention)."""

    sec: int = 0
    nanosec: int = 0

    @classmethod
    def of(cls, nanoseconds: int) -> Stamp:
        """The stamp for a time in nanoseconds since the epoch."""
        return cls(*divmod(nanoseconds, 1_000_000_000))

    @property
    def nanoseconds(self) -> int:
        """The time in nanoseconds since the epoch."""
        return self.sec * 1_000_000_000 + self.nanosec


@dataclass(frozen=True)
class Header:
    """When and in which frame of reference a message was made."""

    stamp: Stamp = Stamp()
    frame_id: str = ""


@dataclass(frozen=True)
class Image:
    """An uncompressed image. `data` holds `height` rows of `step` bytes each."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Buffer


@dataclass(frozen=True)
class CompressedImage:
    """An image as a JPEG or PNG file; `format` is free text, such as "rgb8; jpeg compressed bgr8"."""

    header: Header
    format: str
    data: Buffer


@dataclass(frozen=True)
class VisionClass:
    """One class: its id, the value of its pixels, and its name."""

    class_id: int
    class_name: str


@dataclass(frozen=True)
class LabelInfo:
    """The meaning of the ids in a mask. `threshold`: the lowest confidence that is published; 0 for all."""

    header: Header
    class_map: tuple[VisionClass, ...]
    threshold: float = 0.0
