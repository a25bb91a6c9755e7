"""Message types of ROS 1 as types of ROS 2: definition, hash, and conversion of messages to CDR."""

from __future__ import annotations

from typing import Any

from fcn_edge_runtime.robot.bag.channels import Channel, Schema
from fcn_edge_runtime.robot.bag.definitions import ros2_typestore

__all__ = ["Ros1Types"]


class Ros1Types:
    """Types of one file. A type of the same fields as in ROS 2, or that ROS 2 does not have, is converted.

    The only field that may differ is a header's `seq`, which ROS 2 dropped.
    """

    def __init__(self) -> None:
        self._store = ros2_typestore()

    def channel(
        self, number: int, topic: str, kind: str, definition: str, messages: int, qos: str
    ) -> Channel:
        """A channel whose messages `to_cdr` converts, or one with a problem.

        Args:
            number: its number in the file.
            topic: its name.
            kind: such as "sensor_msgs/Image", or the same as ROS 2 spells it.
            definition: the text of the definition, with those of nested types.
            messages: their number.
            qos: profiles for the new bag.
        """
        kind = _ros2_name(kind)
        if not self._register(kind, definition):
            return Channel(
                number,
                topic,
                kind,
                "ros1",
                Schema("ros1msg", definition.encode("utf-8", "surrogateescape")),
                messages,
                {},
                "it has no equal type in ROS 2",
            )
        text, _ = self._store.generate_msgdef(kind, ros_version=2)
        metadata = {"offered_qos_profiles": qos, "topic_type_hash": self._store.hash_rihs01(kind)}
        return Channel(number, topic, kind, "cdr", Schema("ros2msg", text.encode()), messages, metadata)

    def to_cdr(self, channel: Channel, data: bytes) -> bytes:
        """A message as CDR; as it is where the channel has a problem."""
        return data if channel.problem else bytes(self._store.ros1_to_cdr(data, channel.type))

    def _register(self, kind: str, definition: str) -> bool:
        from rosbags.typesys import get_types_from_msg

        try:
            types = get_types_from_msg(definition, kind)
            known = self._store.fielddefs
            if any(
                name in known and _kinds(fields) != _kinds(known[name][1])
                for name, (_, fields) in types.items()
            ):
                return False
            self._store.register({name: entry for name, entry in types.items() if name not in known})
            self._store.generate_msgdef(kind, ros_version=2)
            self._store.hash_rihs01(kind)
        except Exception:  # noqa: BLE001 - text out of a file; the channel is then reported
            return False
        return True


def _ros2_name(kind: str) -> str:
    package, _, name = kind.partition("/")
    return kind if "/" in name or not name else f"{package}/msg/{name}"


def _kinds(fields: Any) -> list[Any]:
    return [entry for entry in fields if entry[0] != "seq"]
