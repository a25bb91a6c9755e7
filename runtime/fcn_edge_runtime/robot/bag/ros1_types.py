"""Message types of ROS 1 as types of ROS 2: definition, hash, and conversion of messages to CDR."""

from __future__ import annotations

from typing import Any

from fcn_edge_runtime.robot.bag.channels import Channel, Schema
from fcn_edge_runtime.robot.bag.definitions import ros2_typestore

__all__ = ["Ros1Types"]

# Characters of a definition, and of all of a file: a camera's have 2,000.
_MOST_TEXT, _MOST_TEXTS = 50_000, 200_000
_MOST_TYPES = 300  # different ones: each takes 3 ms
_DEEPEST = 30
_MOST_FIELDS = 20_000  # of a message, those of nested types included


class Ros1Types:
    """Types of one file. A type of the same fields as in ROS 2, or that ROS 2 does not have, is converted.

    The only field that may differ is a header's `seq`, which ROS 2 dropped.
    """

    def __init__(self) -> None:
        self._store = ros2_typestore()
        self._known: dict[tuple[str, str], bool] = {}
        self._left = _MOST_TEXTS

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
        if (kind, definition) in self._known:
            return self._known[kind, definition]
        self._left -= len(definition)
        if len(definition) > _MOST_TEXT or self._left < 0 or len(self._known) >= _MOST_TYPES:
            return False
        self._known[kind, definition] = self._parsed(kind, definition)
        return self._known[kind, definition]

    def _parsed(self, kind: str, definition: str) -> bool:
        from rosbags.typesys import get_types_from_msg

        try:
            types = get_types_from_msg(definition, kind)
            _check_nesting(types)
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


def _check_nesting(types: dict[str, Any]) -> None:
    """Refuse types that hold twice what holds twice, and so on: code is made for each of their fields."""
    totals: dict[str, int] = {}

    def total(name: str, depth: int) -> int:
        if depth > _DEEPEST:
            raise ValueError("types within types without end")
        if name not in totals:
            count = 0
            for _, entry in types[name][1] if name in types else ():
                inner = _named(entry)
                count += 1 + (total(inner, depth + 1) if inner else 0)
            totals[name] = count
        return totals[name]

    if max(total(name, 0) for name in types) > _MOST_FIELDS:
        raise ValueError("too many fields")


def _named(entry: Any) -> str:
    """The name of a field's type, within arrays, too; empty where it is a basic one."""
    kind, what = entry
    while kind.name in ("ARRAY", "SEQUENCE"):
        kind, what = what[0]
    return str(what) if kind.name == "NAME" else ""


def _kinds(fields: Any) -> list[Any]:
    return [entry for entry in fields if entry[0] != "seq"]
