"""DICOM files written element by element, so that each may say anything."""

from __future__ import annotations

import struct
import zlib

EXPLICIT, DEFLATED = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
JPEG, JPEG2000, RLE = b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.5\0"
CT = b"1.2.840.10008.5.1.4.1.1.2\0"
PLANE = (bytes(range(256)) * 2)[: 24 * 20]


def element(group, number, kind, value, length=None):
    value += b"\0" * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack("<HH", group, number) + kind
    long = kind in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF")
    return head + (struct.pack("<HI", 0, size) if long else struct.pack("<H", size & 0xFFFF)) + value


def us(number):
    return struct.pack("<H", number)


def dicom(number, *, syntax=EXPLICIT, more=b"", after=b"", pixels=None, length=None, **changed):
    """A slice; keys are names below. `more` comes before the pixels, whose element may declare any length."""
    values = {
        "sop": (8, 0x16, b"UI", CT), "uid": (8, 0x18, b"UI", b"1.2.3.%d" % number), "modality": (8, 0x60, b"CS", b"CT"),
        "thickness": (0x18, 0x50, b"DS", b"2"), "study": (0x20, 0xD, b"UI", b"1.2"), "series": (0x20, 0xE, b"UI", b"1.3"),
        "position": (0x20, 0x32, b"DS", b"0\\0\\%d" % (2 * number)), "turn": (0x20, 0x37, b"DS", b"1\\0\\0\\0\\1\\0"),
        "frame": (0x20, 0x52, b"UI", b"1.4"), "samples": (0x28, 2, b"US", us(1)), "kind": (0x28, 4, b"CS", b"MONOCHROME2"),
        "frames": (0x28, 8, b"IS", b"1"), "rows": (0x28, 0x10, b"US", us(20)), "columns": (0x28, 0x11, b"US", us(24)),
        "spacing": (0x28, 0x30, b"DS", b"1\\1"), "allocated": (0x28, 0x100, b"US", us(8)), "stored": (0x28, 0x101, b"US", us(8)),
        "high": (0x28, 0x102, b"US", us(7)), "sign": (0x28, 0x103, b"US", us(0)), "add": (0x28, 0x1052, b"DS", b"0"),
        "slope": (0x28, 0x1053, b"DS", b"1"),
    }  # fmt: skip
    values = {
        key: value if key not in changed else (*value[:3], changed[key]) for key, value in values.items()
    }
    body = b"".join(element(*value) for value in values.values() if value[3] is not None) + more
    plane = PLANE if pixels is None else pixels
    body += element(0x7FE0, 0x10, b"OB", plane, length) + after
    if syntax == DEFLATED:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = packer.compress(body) + packer.flush()
    meta = (
        element(2, 1, b"OB", b"\0\1") + element(2, 2, b"UI", CT) + element(2, 3, b"UI", b"1.2.3.%d" % number)
    )
    meta += element(2, 0x10, b"UI", syntax)
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body


def series(change=lambda _: {}, count=4):
    def make(folder):
        (folder / "series").mkdir()
        for number in range(count):
            changed = change(number)
            data = changed if isinstance(changed, bytes) else dicom(number, **changed)
            (folder / "series" / f"{number:05}.dcm").write_bytes(data)
        return folder / "series"

    return make


def always(**changed):
    return series(lambda _: changed)


def in_one(**changed):
    return series(lambda number: changed if number == 2 else {})
