from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.robot import cdr
from fcn_edge_runtime.robot.bag.definitions import ros2_typestore
from fcn_edge_runtime.robot.dds.discovery import (
    DISTROS,
    PARTICIPANT_HASH,
    TYPE_HASHES,
    encode_participant_info,
)
from fcn_edge_runtime.robot.messages import (
    COMPRESSED_IMAGE,
    IMAGE,
    LABEL_INFO,
    CompressedImage,
    Header,
    Image,
    LabelInfo,
    Stamp,
    VisionClass,
)
from tests.runtime.robot.messages import rosbags_cdr

CODECS = {
    IMAGE: (cdr.encode_image, cdr.decode_image),
    COMPRESSED_IMAGE: (cdr.encode_compressed_image, cdr.decode_compressed_image),
    LABEL_INFO: (cdr.encode_label_info, cdr.decode_label_info),
}
FRAME_IDS = ("", "a", "ab", "abc", "camera_optical_frame", "käfig/Kamera")
# Frame ids and widths of every length modulo 4 cover every alignment.
HEADERS = [Header(Stamp(-1 - i, 999_999_999 - i), text) for i, text in enumerate(FRAME_IDS)]
IMAGES = [
    Image(header, 2, width, encoding, width % 2, 3 * width, bytes(range(6 * width)))
    for header in HEADERS
    for width, encoding in ((1, "rgb8"), (2, "8UC3"), (3, "bgr8"), (4, "rgb8"), (5, "8UC3 "))
]
COMPRESSED = [CompressedImage(header, "jpeg" * n, bytes(range(n))) for header in HEADERS for n in range(5)]
INFOS = [
    LabelInfo(header, tuple(VisionClass(i * 257, "n" * i) for i in range(count)), 0.25)
    for header in HEADERS
    for count in range(5)
]
MESSAGES = [
    *((IMAGE, m) for m in IMAGES),
    *((COMPRESSED_IMAGE, m) for m in COMPRESSED),
    *((LABEL_INFO, m) for m in INFOS),
]


def test_bytes_equal_those_of_rosbags_in_both_directions():
    for kind, message in MESSAGES:
        encode, decode = CODECS[kind]
        reference = rosbags_cdr(message, kind)
        assert encode(message) == reference
        assert decode(reference) == message


def test_bytes_equal_those_of_stock_cyclonedds():
    pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
    from cyclonedds.idl import make_idl_struct, types

    time = make_idl_struct("Time", "T", {"sec": types.int32, "nanosec": types.uint32})
    header = make_idl_struct("Header", "H", {"stamp": time, "frame_id": str})
    octets = types.sequence[types.uint8]
    image = make_idl_struct(
        "Image",
        "I",
        {
            "header": header,
            "height": types.uint32,
            "width": types.uint32,
            "encoding": str,
            "is_bigendian": types.uint8,
            "step": types.uint32,
            "data": octets,
        },
    )
    small = make_idl_struct("Small", "C", {"header": header, "format": str, "data": octets})
    entry = make_idl_struct("Entry", "V", {"class_id": types.uint16, "class_name": str})
    info = make_idl_struct(
        "Info", "L", {"header": header, "class_map": types.sequence[entry], "threshold": types.float32}
    )

    def stock(message):
        head = header(time(message.header.stamp.sec, message.header.stamp.nanosec), message.header.frame_id)
        if isinstance(message, Image):
            m = message
            return image(head, m.height, m.width, m.encoding, m.is_bigendian, m.step, list(m.data))
        if isinstance(message, CompressedImage):
            return small(head, message.format, list(message.data))
        classes = [entry(c.class_id, c.class_name) for c in message.class_map]
        return info(head, classes, message.threshold)

    for kind, message in MESSAGES:
        assert CODECS[kind][0](message) == stock(message).serialize()


def test_node_announcements_equal_those_of_rosbags():
    store = ros2_typestore()
    types = store.types
    gid = types["rmw_dds_common/msg/Gid"]
    import numpy as np

    def gid_of(byte):
        return gid(np.full(16, byte, np.uint8))

    node = types["rmw_dds_common/msg/NodeEntitiesInfo"]("/", "bridge", [gid_of(1)], [gid_of(2), gid_of(3)])
    info = types["rmw_dds_common/msg/ParticipantEntitiesInfo"](gid_of(9), [node])
    reference = bytes(store.serialize_cdr(info, "rmw_dds_common/msg/ParticipantEntitiesInfo"))

    def ours(distro):
        parts = [bytes([b]) * 16 for b in (9, 1, 2, 3)]
        return encode_participant_info(DISTROS[distro], parts[0], "/", "bridge", parts[1:2], parts[2:])

    assert ours("jazzy") == reference
    assert len(ours("humble")) > len(reference)


def test_big_endian_messages_are_read():
    store = ros2_typestore()
    message = store.deserialize_cdr(rosbags_cdr(IMAGES[7], IMAGE), IMAGE)
    big = bytes(store.serialize_cdr(message, IMAGE, little_endian=False))
    assert big[1] == 0
    assert cdr.decode_image(big) == IMAGES[7]


def test_a_frame_id_that_is_not_utf8_survives_a_round_trip():
    data = bytearray(cdr.encode_image(dataclasses.replace(IMAGES[0], header=Header(Stamp(1, 2), "abc"))))
    data[data.index(b"abc")] = 0xFF
    assert cdr.encode_image(cdr.decode_image(bytes(data))) == bytes(data)


@pytest.mark.parametrize("kind", CODECS)
def test_messages_truncated_anywhere_are_refused_in_one_line(kind):
    encode, decode = CODECS[kind]
    whole = encode(next(m for k, m in reversed(MESSAGES) if k == kind))
    for length in range(len(whole)):
        with pytest.raises(InputError, match="message"):
            decode(whole[:length])


def test_wrong_lengths_are_refused_before_memory_is_allocated():
    data = bytearray(cdr.encode_label_info(INFOS[0]))
    at = len(data) - 8
    data[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(InputError, match="expected at most 65536"):
        cdr.decode_label_info(bytes(data))


def test_other_encapsulations_are_refused_with_their_bytes():
    with pytest.raises(InputError, match="starts with 00 03 00 00, expected plain CDR"):
        cdr.decode_image(b"\x00\x03\x00\x00" + bytes(40))


def test_hashes_of_the_types_are_those_of_ros2():
    store = ros2_typestore()
    assert {kind: store.hash_rihs01(kind) for kind in CODECS} == TYPE_HASHES
    # As published by ROS 2 Jazzy: rosbags and this module could share an error.
    assert TYPE_HASHES[IMAGE].endswith("_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47")


def test_the_hash_of_the_discovery_message_is_that_of_ros2():
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    # rosbags has `char` for the octets of a Gid, which ROS 2 hashes as uint8.
    definitions = {
        "Gid": "uint8[16] data",
        "NodeEntitiesInfo": "string<=256 node_namespace\nstring<=256 node_name\n"
        "Gid[] reader_gid_seq\nGid[] writer_gid_seq",
        "ParticipantEntitiesInfo": "Gid gid\nNodeEntitiesInfo[] node_entities_info_seq",
    }
    store = get_typestore(Stores.EMPTY)
    for name, text in definitions.items():
        store.register(get_types_from_msg(text, f"rmw_dds_common/msg/{name}"))
    assert store.hash_rihs01("rmw_dds_common/msg/ParticipantEntitiesInfo") == PARTICIPANT_HASH
    # The definition is the same from Iron on, so one constant is for all.
    stores = [Stores.ROS2_IRON, Stores.ROS2_JAZZY, Stores.ROS2_KILTED, Stores.ROS2_LYRICAL]
    for name in definitions:
        assert len({repr(get_typestore(s).fielddefs[f"rmw_dds_common/msg/{name}"]) for s in stores}) == 1


def test_robots_without_rosbags_encode_the_same_bytes(no_rosbags):
    """Imports all modules of the bridge and the ROS 2 node, except cyclonedds and rclpy."""
    code = (
        "import ast, importlib, pathlib, sys\n"
        "from fcn_edge_runtime.robot import cdr, messages as m\n"
        "import fcn_edge_runtime.robot.dds.bridge\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.py'):\n"
        "    for node in ast.walk(ast.parse(path.read_text())):\n"
        "        if isinstance(node, ast.ImportFrom) and node.module.startswith('fcn_edge_runtime'):\n"
        "            importlib.import_module(node.module)\n"
        "header = m.Header(m.Stamp(12, 34), 'camera')\n"
        "image = m.Image(header, 480, 640, 'rgb8', 0, 1920, bytes(range(256)) * 3600)\n"
        "sys.stdout.buffer.write(cdr.encode_image(image))\n"
    )
    node = Path(__file__).parents[3] / "runtime" / "ros2" / "fcn_edge_ros" / "fcn_edge_ros"
    done = subprocess.run([sys.executable, "-c", code, str(node)], capture_output=True, env=no_rosbags)
    assert done.returncode == 0, done.stderr
    image = Image(Header(Stamp(12, 34), "camera"), 480, 640, "rgb8", 0, 1920, bytes(range(256)) * 3600)
    assert done.stdout == rosbags_cdr(image, IMAGE)


def test_bags_say_what_to_install_where_rosbags_is_missing(no_rosbags):
    command = [sys.executable, "-m", "fcn_edge", "robot", "bag", "run.mcap"]
    done = subprocess.run(command, capture_output=True, text=True, env=no_rosbags)
    assert done.returncode == 1
    assert "pip install 'fcn-edge[robot]'" in done.stderr
