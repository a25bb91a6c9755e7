"""Helpers that create our messages and those of rosbags."""

from __future__ import annotations

import numpy as np

from fcn_edge_runtime.robot.bag.definitions import ros2_typestore
from fcn_edge_runtime.robot.messages import Header, Image, Stamp

HEADER = Header(Stamp(1_700_000_000, 123_456_789), "camera_optical_frame")


def image_of(array, encoding="rgb8", padding=0, header=HEADER, *, big=False):
    """An image message of an array, with `padding` bytes after each row."""
    height = array.shape[0]
    if array.dtype == np.uint16:
        array = array.astype(">u2" if big else "<u2")
    rows = np.frombuffer(array.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(header, height, array.shape[1], encoding, int(big), rows.shape[1], rows.tobytes())


def rosbags_header(store, header):
    time = store.types["builtin_interfaces/msg/Time"](header.stamp.sec, header.stamp.nanosec)
    return store.types["std_msgs/msg/Header"](time, header.frame_id)


def rosbags_cdr(message, kind):
    """One of our messages as CDR, encoded by rosbags."""
    store = ros2_typestore()
    header = rosbags_header(store, message.header)
    make = store.types[kind]
    if kind.endswith("/Image"):
        m = message
        data = np.frombuffer(m.data, np.uint8)
        other = make(header, m.height, m.width, m.encoding, m.is_bigendian, m.step, data)
    elif kind.endswith("/CompressedImage"):
        other = make(header, message.format, np.frombuffer(message.data, np.uint8))
    else:
        entry = store.types["vision_msgs/msg/VisionClass"]
        classes = [entry(c.class_id, c.class_name) for c in message.class_map]
        other = make(header, classes, message.threshold)
    return bytes(store.serialize_cdr(other, kind))
