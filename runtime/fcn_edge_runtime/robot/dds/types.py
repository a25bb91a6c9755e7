"""The types of our messages for cyclonedds: names and fields for discovery, samples that hold their CDR.

Cyclone's own serializer takes 33 ms for one 640x480 image, because it goes through the pixels one by one. A
sample made by `of` holds the CDR from `cdr.py`, which passes through unchanged; the fields only describe the
type.

Importing this loads cyclonedds.
"""

from __future__ import annotations

from typing import Any

from cyclonedds.idl import make_idl_struct
from cyclonedds.idl import types as idl_types

from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE, LABEL_INFO

__all__ = ["DDS_TYPES", "participant_info_type"]

# Its bounded and generic types are created by indexing, which type checkers do not understand.
types: Any = idl_types


def _struct(name: str, **fields: Any) -> Any:
    """A type with its DDS name in ROS 2: final and keyless, the default of cyclonedds."""
    package, _, short = name.partition("/")
    return make_idl_struct(f"{short}_", f"{package}::msg::dds_::{short}_", fields)


def _bytes(kind: Any) -> Any:
    """Replace (de)serialization of a type: samples hold their bytes. The codec validates received ones."""

    def of(cls: Any, raw: bytes, /) -> Any:
        sample = cls.__new__(cls)
        sample.raw = raw
        return sample

    def serialize(self: Any, *_: object, **__: object) -> Any:
        return self.raw

    def deserialize(cls: Any, data: bytes, /, *_: object, **__: object) -> Any:
        return cls.of(data)

    kind.of, kind.serialize, kind.deserialize = classmethod(of), serialize, classmethod(deserialize)
    return kind


# Not `byte`, which does not match `uint8` where participants compare type information.
_OCTETS = types.sequence[types.uint8]
_TIME = _struct("builtin_interfaces/Time", sec=types.int32, nanosec=types.uint32)
_HEADER = _struct("std_msgs/Header", stamp=_TIME, frame_id=str)
_VISION_CLASS = _struct("vision_msgs/VisionClass", class_id=types.uint16, class_name=str)

# By the name of the type in ROS 2.
DDS_TYPES = {
    IMAGE: _bytes(
        _struct(
            "sensor_msgs/Image",
            header=_HEADER,
            height=types.uint32,
            width=types.uint32,
            encoding=str,
            is_bigendian=types.uint8,
            step=types.uint32,
            data=_OCTETS,
        )
    ),
    COMPRESSED_IMAGE: _bytes(
        _struct("sensor_msgs/CompressedImage", header=_HEADER, format=str, data=_OCTETS)
    ),
    LABEL_INFO: _bytes(
        _struct(
            "vision_msgs/LabelInfo",
            header=_HEADER,
            class_map=types.sequence[_VISION_CLASS],
            threshold=types.float32,
        )
    ),
}


def participant_info_type(gid_bytes: int) -> Any:
    """rmw_dds_common/ParticipantEntitiesInfo with ids of `gid_bytes` bytes."""
    gid = _struct("rmw_dds_common/Gid", data=types.array[types.uint8, gid_bytes])
    name, gids = types.bounded_str[256], types.sequence[gid]
    node = _struct(
        "rmw_dds_common/NodeEntitiesInfo",
        node_namespace=name,
        node_name=name,
        reader_gid_seq=gids,
        writer_gid_seq=gids,
    )
    return _bytes(
        _struct(
            "rmw_dds_common/ParticipantEntitiesInfo", gid=gid, node_entities_info_seq=types.sequence[node]
        )
    )
