"""Interface definitions of vision_msgs, which rosbags does not ship.

The fields are those of vision_msgs 4 (ROS 2 Humble and later). A test compares their RIHS01 hashes with those
of ROS 2, so that tools that compare hashes accept our bags.
"""

from __future__ import annotations

from typing import Any

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.robot.messages import LABEL_INFO

__all__ = ["LABEL_INFO_DEFINITION", "VISION_CLASS_DEFINITION", "import_rosbags", "ros2_typestore"]

VISION_CLASS_DEFINITION = "uint16 class_id\nstring class_name\n"
LABEL_INFO_DEFINITION = """std_msgs/Header header
vision_msgs/VisionClass[] class_map
float32 threshold
"""


def import_rosbags() -> Any:
    """The rosbags package.

    Raises:
        InputError: it is not installed.
    """
    return require("rosbags", "reading and writing bags")


def ros2_typestore() -> Any:
    """A typestore of rosbags with the common ROS 2 interfaces (Jazzy) and vision_msgs/LabelInfo."""
    import_rosbags()
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(
        {
            **get_types_from_msg(VISION_CLASS_DEFINITION, "vision_msgs/msg/VisionClass"),
            **get_types_from_msg(LABEL_INFO_DEFINITION, LABEL_INFO),
        }
    )
    return store
