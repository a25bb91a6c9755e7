"""Hostile messages of a ROS 2 graph: CDR that declares more than it holds, text without end."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from tests.hostile.registry import OPENED, Case, Subject

REFUSED = ("InputError",)
START, STAMP = b"\0\1\0\0", struct.pack("<iI", 1, 2)
LARGEST = 2**32 - 1


def text(data, length=None):
    """A string, and what follows it aligned to four bytes."""
    body = data + b"\0"
    return struct.pack("<I", len(body) if length is None else length) + body + bytes(-len(body) % 4)


def raw(encoding=b"rgb8", height=2, width=2, step=6, data=bytes(12), length=None, frame=b"camera"):
    sizes = struct.pack("<II", height, width)
    count = len(data) if length is None else length
    name = struct.pack("<I", len(encoding) + 1) + encoding + b"\0" + b"\0"  # and the order of bytes
    body = text(frame) + sizes + name + bytes(-len(name) % 4) + struct.pack("<II", step, count)
    return START + STAMP + body + data


def compressed(data, declared=b"jpeg", length=None):
    count = len(data) if length is None else length
    return START + STAMP + text(b"camera") + text(declared) + struct.pack("<I", count) + data


def picture(kind="PNG"):
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (8, 6)).save(stream, kind)
    return stream.getvalue()


# The first byte selects how the rest is read: an image, a compressed one, the names of labels.
MESSAGES = {
    "nothing": (b"i", REFUSED),
    "half a header": (b"i" + START + STAMP[:5], REFUSED),
    "another encapsulation": (b"i\0\3\0\0" + bytes(100), REFUSED),
    "data of 4 GB that is not there": (b"i" + raw(length=LARGEST), REFUSED),
    "a frame's name of 4 GB that is not there": (b"i" + START + STAMP + text(b"x", LARGEST), REFUSED),
    "a name without its end": (b"i" + START + STAMP + struct.pack("<I", 4) + b"abcd", REFUSED),
    "2^32 rows of 2^32 columns": (b"i" + raw(height=LARGEST, width=LARGEST, step=LARGEST), REFUSED),
    "2^32 rows of no bytes": (b"i" + raw(height=LARGEST, width=1, step=0, data=b""), REFUSED),
    "a step of 2^32": (b"i" + raw(step=LARGEST), REFUSED),
    "no rows": (b"i" + raw(height=0, data=b""), REFUSED),
    "an encoding of 5 MB": (b"i" + raw(encoding=b"\x1b[2J" * 1_250_000), REFUSED),
    "an encoding that is not text": (b"i" + raw(encoding=b"\xff\xfe"), REFUSED),
    "a frame's name of 5 MB": (b"i" + raw(frame=b"\xff" * 5_000_000), (OPENED,)),
    "a format of 5 MB of words": (b"c" + compressed(picture(), b"a;" * 2_500_000), (OPENED, "InputError")),
    "a format that is depth": (b"c" + compressed(picture(), b"16UC1; compressedDepth png"), REFUSED),
    "a picture of another kind": (b"c" + compressed(picture("BMP")), REFUSED),
    "half a picture": (b"c" + compressed(picture()[:44]), REFUSED),
    "a picture that is not there": (b"c" + compressed(b"", length=LARGEST), REFUSED),
    "2^32 labels": (b"l" + START + STAMP + text(b"x") + struct.pack("<I", LARGEST), REFUSED),
    "65,536 labels without names": (
        b"l" + START + STAMP + text(b"x") + struct.pack("<I", 65536) + struct.pack("<HxxI", 1, 0) * 65536,
        (OPENED, "InputError"),
    ),
}


def _open(path: Path) -> None:
    from fcn_edge_runtime.model.card import InputSpec
    from fcn_edge_runtime.robot import cdr
    from fcn_edge_runtime.robot.frames import read_frame

    data = path.read_bytes()
    if data[:1] == b"l":
        cdr.decode_label_info(data[1:])
        return
    decode = cdr.decode_compressed_image if data[:1] == b"c" else cdr.decode_image
    read_frame(decode(data[1:]), InputSpec.default())


def _warm() -> None:
    import PIL.Image  # noqa: F401 - for the children

    import fcn_edge_runtime.robot.cdr
    import fcn_edge_runtime.robot.frames  # noqa: F401 - the same


def _file(data: bytes):
    def write(folder: Path) -> Path:
        path = folder / "message"
        path.write_bytes(data)
        return path

    return write


CASES = tuple(Case(name, _file(data), expected) for name, (data, expected) in MESSAGES.items())
SUBJECT = Subject("messages", _file(b"i" + raw()), _open, CASES, _warm)
