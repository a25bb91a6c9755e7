"""QoS profiles as the text that a rosbag2 stores."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["parsed_qos", "qos_text"]


@functools.cache  # YAML takes milliseconds, and a bag may have thousands of channels
def qos_text(*, latched: bool) -> str:
    """The profile of a topic that we write: reliable, depth 1.

    Args:
        latched: played back as transient_local, so that late readers get the last message.
    """
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
    from rosbags.rosbag2.metadata import dump_qos_v8

    # RMW_DURATION_INFINITE, as rosbag2 itself writes "no limit".
    endless = QosTime(9223372036, 854775807)
    profile = Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        endless,
        endless,
        QosLiveliness.AUTOMATIC,
        endless,
        avoid_ros_namespace_conventions=False,
    )
    return str(dump_qos_v8([profile]))


def parsed_qos(text: str) -> list[Any]:
    """Profiles of rosbags; none where the text is not such profiles."""
    from rosbags.rosbag2.metadata import parse_qos

    try:
        return parse_qos(text)
    except Exception:  # noqa: BLE001 - text out of a file, which is copied as it is
        return []
