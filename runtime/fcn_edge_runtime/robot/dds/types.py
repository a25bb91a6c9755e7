"""The types of our messages as cyclonedds wants them: names and fields for discovery, bytes as they are.

Cyclone's own serializer takes 33 ms for the pixels of one 640x480 image, an element at a time. Here a sample
made by `of` holds its CDR, made and read by `cdr.py`, and passes through untouched; the fields only describe
the type.

Importing this loads cyclonedds.
"""

from __future__ import annotations

from typing import Any

from cyclonedds.idl import make_idl_struct
from cyclonedds.idl import types as idl_types

from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE, LABEL_INFO

__all__ = ["WIRE_TYPES", "participant_info_type"]

# Its bounded and generic types are made by indexing, in a way that type checkers do not follow.
types: Any = idl_types


def _struct(name: str, **fields: Any) -> Any:
    """A type with the name that ROS 2 gives it on the wire: final, keyless, which is cyclonedds' default."""
    package, _, short = name.partition("/")
    return make_idl_struct(f"{short}_", f"{package}::msg::dds_::{short}_", fields)


def _bytes(kind: Any) -> Any:
    """Let the samples of a type be their bytes, both ways. What comes in is judged by the codec."""

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


# `uint8` and never `byte`: those two do not match where peers compare type information.
_OCTETS = types.sequence[types.uint8]
_TIME = _struct("builtin_interfaces/Time", sec=types.int32, nanosec=types.uint32)
_HEADER = _struct("std_msgs/Header", stamp=_TIME, frame_id=str)
_VISION_CLASS = _struct("vision_msgs/VisionClass", class_id=types.uint16, class_name=str)

# By the name that ROS 2 gives the type elsewhere.
WIRE_TYPES = {
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
    """rmw_dds_common/ParticipantEntitiesInfo with ids of so many bytes."""
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
