"""Write a bag of rendered corridor frames with the serializer of rosbags and none of our code.

    python tests/runtime/robot/make_corridor_bag.py corridor_run.mcap [--frames 60] [--ros1]

/camera/image_raw has rgb8 of 320x240 at 10 Hz, /camera/image_raw/compressed the same as JPEG, and /robot/note
a String: a topic without images. Stamps are some milliseconds before the time of recording.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

HELDOUT = Path(__file__).parents[3] / "models" / "corridor" / "heldout" / "images"
START = 1_700_000_000_123_456_789
PERIOD = 100_000_000
LATENCY = 7_654_321
FRAME_ID = "camera_optical_frame"


def corridor_frames(count, size=(480, 640)):
    """`count` frames (H, W, 3) uint8 RGB: the held-out renderings, repeated and enlarged."""
    files = sorted(HELDOUT.glob("*.png"))
    frames = [np.asarray(Pillow.open(path).convert("RGB")) for path in files[: min(count, 40)]]
    factor = size[0] // frames[0].shape[0]
    frames = [np.repeat(np.repeat(frame, factor, axis=0), factor, axis=1) for frame in frames]
    return [frames[i % len(frames)] for i in range(count)]


def stamp_of(index):
    """The stamp of a frame in nanoseconds."""
    return START + index * PERIOD


def messages(store, frames, *, ros1=False):
    """Tuples of time of recording, topic, type and message."""
    types = store.types
    time_type, header_type = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]
    for index, frame in enumerate(frames):
        moment = stamp_of(index) + LATENCY
        stamp = time_type(*divmod(stamp_of(index), 1_000_000_000))
        header = header_type(index, stamp, FRAME_ID) if ros1 else header_type(stamp, FRAME_ID)
        height, width = frame.shape[:2]
        raw = types["sensor_msgs/msg/Image"](header, height, width, "rgb8", 0, 3 * width, frame.reshape(-1))
        yield moment, "/camera/image_raw", "sensor_msgs/msg/Image", raw
        file = io.BytesIO()
        Pillow.fromarray(frame).save(file, "JPEG", quality=95)
        data = np.frombuffer(file.getvalue(), np.uint8)
        small = types["sensor_msgs/msg/CompressedImage"](header, "rgb8; jpeg compressed bgr8", data)
        yield moment, "/camera/image_raw/compressed", "sensor_msgs/msg/CompressedImage", small
        if index % 10 == 0:
            note = types["std_msgs/msg/String"](f"frame {index}")
            yield moment, "/robot/note", "std_msgs/msg/String", note


def write_bag(out, frames, storage=StoragePlugin.MCAP):
    """Write a rosbag2: one file if `out` ends in .mcap or .db3, else a folder."""
    out = Path(out)
    store = get_typestore(Stores.ROS2_HUMBLE)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / out.stem
        with Writer(place, version=8, storage_plugin=storage) as writer:
            topics = {}
            for moment, name, kind, message in messages(store, frames):
                if name not in topics:
                    topics[name] = writer.add_connection(name, kind, typestore=store)
                writer.write(topics[name], moment, store.serialize_cdr(message, kind))
        if out.suffix in {".mcap", ".db3"}:
            shutil.move(next(place.glob(f"*{out.suffix}")), out)
        else:
            shutil.move(place, out)
    return out


def write_ros1_bag(out, frames):
    """Write a ROS 1 bag."""
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(out) as writer:
        topics = {}
        for moment, name, kind, message in messages(store, frames, ros1=True):
            if name not in topics:
                topics[name] = writer.add_connection(name, kind, typestore=store)
            writer.write(topics[name], moment, store.serialize_ros1(message, kind))
    return Path(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--ros1", action="store_true", help="write a ROS 1 bag")
    given = parser.parse_args()
    pictures = corridor_frames(given.frames, (240, 320))
    if given.ros1:
        write_ros1_bag(given.out, pictures)
    else:
        plugin = StoragePlugin.SQLITE3 if given.out.suffix == ".db3" else StoragePlugin.MCAP
        write_bag(given.out, pictures, plugin)
