"""What makes a DDS participant a node in `ros2 node list`: the ros_discovery_info message.

Every ROS 2 participant tells, on a topic of this name, which nodes it holds and which readers and writers are
theirs (rmw_dds_common/ParticipantEntitiesInfo). Ids are DDS GUIDs, 16 bytes; on Humble in an array of 24.
"""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.robot.cdr import CdrWriter

__all__ = ["DISTROS", "Distro", "encode_participant_info"]


@dataclass(frozen=True)
class Distro:
    """What differs on the wire between ROS 2 distributions.

    Attributes:
        name: such as "jazzy".
        gid_bytes: the length of an id in ros_discovery_info.
        type_hashes: whether readers and writers tell the RIHS01 hash of their type.
    """

    name: str
    gid_bytes: int
    type_hashes: bool


DISTROS = {
    name: Distro(name, 24 if name == "humble" else 16, name != "humble")
    for name in ("humble", "jazzy", "kilted", "lyrical")
}


def encode_participant_info(
    distro: Distro, participant: bytes, namespace: str, node: str, readers: list[bytes], writers: list[bytes]
) -> bytes:
    """rmw_dds_common/ParticipantEntitiesInfo of one node, as CDR.

    Args:
        distro: whose ids are as long as its own.
        participant: its GUID, 16 bytes.
        namespace: of the node, such as "/".
        node: its name.
        readers: their GUIDs.
        writers: their GUIDs.
    """
    writer = CdrWriter()
    writer.raw(participant.ljust(distro.gid_bytes, b"\0"))
    writer.pack("I", 1)
    writer.text(namespace)
    writer.text(node)
    for guids in (readers, writers):
        writer.pack("I", len(guids))
        for guid in guids:
            writer.raw(guid.ljust(distro.gid_bytes, b"\0"))
    return writer.finish()
