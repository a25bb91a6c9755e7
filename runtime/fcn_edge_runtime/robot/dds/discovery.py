"""The ros_discovery_info message, which makes a DDS participant show up in `ros2 node list`.

Every ROS 2 participant publishes on a topic of this name which nodes it has and which readers and writers
belong to them (rmw_dds_common/ParticipantEntitiesInfo). Ids are DDS GUIDs, 16 bytes; on Humble in an array of
24.
"""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime.robot.cdr import CdrWriter
from fcn_edge_runtime.robot.messages import COMPRESSED_IMAGE, IMAGE, LABEL_INFO

__all__ = ["DISTROS", "PARTICIPANT_HASH", "TYPE_HASHES", "Distro", "encode_participant_info"]

# REP 2011. Constants, so that the bridge does not need rosbags; a test compares them with those of rosbags.
TYPE_HASHES = {
    IMAGE: "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    COMPRESSED_IMAGE: "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
    LABEL_INFO: "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
}


# Of rmw_dds_common/ParticipantEntitiesInfo, as Jazzy announces it; its definition is the same since Iron.
PARTICIPANT_HASH = "RIHS01_91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e"


@dataclass(frozen=True)
class Distro:
    """What differs in DDS between ROS 2 distributions.

    Attributes:
        name: such as "jazzy".
        gid_bytes: the length of an id in ros_discovery_info.
        type_hashes: whether readers and writers announce the RIHS01 hash of their type.
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
        distro: gives the length of ids.
        participant: its GUID, 16 bytes.
        namespace: of the node, such as "/".
        node: the node's name.
        readers: GUIDs of the node's readers.
        writers: GUIDs of the node's writers.
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
