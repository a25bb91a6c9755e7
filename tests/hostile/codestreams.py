"""Hostile slices of DICOM that are compressed, and enhanced files of many frames."""

from __future__ import annotations

import functools
import struct
import tempfile
from pathlib import Path

import numpy as np

from tests.hostile.dicom import EXPLICIT, PLANE, always, dicom, element, series, us
from tests.hostile.registry import OPENED, Case

REFUSED = ("InputError",)
EITHER = ("InputError", OPENED)
OPEN_END = 0xFFFFFFFF
KINDS = {
    "run lengths": (b"1.2.840.10008.1.2.5\0", "RLELossless"),
    "lossless JPEG": (b"1.2.840.10008.1.2.4.70", "JPEGLosslessProcess14_1"),
    "JPEG-LS": (b"1.2.840.10008.1.2.4.80", "JPEGLSLossless"),
    "JPEG 2000": (b"1.2.840.10008.1.2.4.90", "JPEG2000Lossless"),
}


@functools.cache
def whole(kind):
    """The slice as a codestream of a kind."""
    import gdcm
    import pydicom

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "plain.dcm")
        Path(path).write_bytes(dicom(0))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(path)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, KINDS[kind][1])))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(path)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return next(pydicom.encaps.generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))


def items(*fragments, table=b""):
    """Encapsulated fragments, the table of offsets first."""
    listed = [struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in (table, *fragments)]
    return b"".join(listed) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def slices(kind, change, *, fragments=items, **elements):
    """A series whose slices are codestreams: `change` makes them of a whole one, `fragments` encapsulates."""

    def make(folder):
        data = change(whole(kind))
        values = {"syntax": KINDS[kind][0], "pixels": fragments(data + b"\0" * (len(data) % 2)), **elements}
        return always(length=OPEN_END, **values)(folder)

    return make


def put(marker, at, form, *values):
    """Overwrite fields of a segment, `at` bytes after its marker."""

    def change(data):
        data = bytearray(data)
        struct.pack_into(form, data, data.index(marker) + 2 + at, *values)
        return bytes(data)

    return change


def before(marker, more):
    return lambda data: data.replace(marker, more + marker, 1)


def segment(kind, content):
    return bytes((0xFF, kind)) + struct.pack(">H", len(content) + 2) + content


def of_any_kind():
    yield "whole", lambda data: data, (OPENED,)
    yield "nothing", lambda _: b"", REFUSED
    yield "noise", lambda _: np.random.default_rng(0).bytes(300), REFUSED
    yield "zeros", lambda data: bytes(len(data)), REFUSED
    for count in (2, 10, 40, 70, 100):
        yield f"the first {count} bytes", lambda data, count=count: data[:count], REFUSED
    yield "half of it", lambda data: data[: len(data) // 2], REFUSED
    yield "a megabyte after it", lambda data: data + bytes(1 << 20), EITHER


def of_jpeg(frame):
    """Changes of a codestream of JPEG's family, whose frame has this marker."""
    marker = bytes((0xFF, frame))
    for name, change in {
        "65,535 rows and columns": put(marker, 3, ">HH", 65535, 65535), "no rows": put(marker, 3, ">H", 0),
        "one row more": put(marker, 3, ">H", 21), "one column less": put(marker, 5, ">H", 23),
        "255 components": put(marker, 7, ">B", 255), "16 bits": put(marker, 2, ">B", 16), "no bits": put(marker, 2, ">B", 0),
        "another process": put(marker, -1, ">B", 0xC9), "progressive scans": put(marker, -1, ">B", 0xC2),
        "a segment of 65,535 bytes": put(marker, 0, ">H", 65535), "a segment of no bytes": put(marker, 0, ">H", 0),
        "two frames": before(b"\xff\xda", segment(frame, b"\x10\xff\xff\xff\xff\x01\x01\x11\0")),
        "a second image": lambda data: data[:-2] + data, "rows that come later": before(b"\xff\xda", segment(0xDC, b"\xff\xff")),
        "5,000 segments": before(b"\xff\xda", segment(0xFE, b"") * 5000), "a comment of 60 kB": before(b"\xff\xda", segment(0xFE, bytes(60_000))),
        "no end": lambda data: data.rstrip(b"\0")[:-2],
    }.items():  # fmt: skip
        yield name, change, EITHER if name == "a comment of 60 kB" else REFUSED
    yield "a megabyte of fill bytes", before(b"\xff\xda", b"\xff" * (1 << 20)), EITHER
    yield "a scan of fill bytes", lambda data: data.rstrip(b"\0")[:-2] + b"\xff" * 5000 + b"\xd9", EITHER


def of_jpeg_ls():
    yield "a size of its own", before(b"\xff\xda", segment(0xF8, b"\x04\x02\xff\xff\xff\xff")), REFUSED
    yield "a table", before(b"\xff\xda", segment(0xF8, b"\x02\x01\x01" + bytes(256))), REFUSED
    thresholds = segment(0xF8, b"\x01" + struct.pack(">5H", 0, 65535, 65535, 65535, 0))
    yield "thresholds that are not possible", before(b"\xff\xda", thresholds), EITHER


def of_jpeg_2000():
    size, coding, part = b"\xff\x51", b"\xff\x52", b"\xff\x90"
    for name, change in {
        "2**31 rows and columns": put(size, 4, ">II", 1 << 31, 1 << 31), "tiles of one pixel": put(size, 20, ">II", 1, 1),
        "tiles of no pixel": put(size, 20, ">II", 0, 0), "an image that begins elsewhere": put(size, 12, ">II", 4, 4),
        "16,384 components": put(size, 36, ">H", 16384), "38 bits": put(size, 38, ">B", 37), "pixels of 255": put(size, 39, ">BB", 255, 255),
        "65,535 layers": put(coding, 4, ">H", 65535), "no layers": put(coding, 4, ">H", 0), "32 levels": put(coding, 7, ">B", 32),
        "255 levels": put(coding, 7, ">B", 255), "blocks of 4 by 1024": put(coding, 8, ">BB", 0, 8), "blocks of 2**17": put(coding, 8, ">BB", 15, 15),
        "sizes of precincts that are missing": put(coding, 2, ">B", 1), "a coding style that is unknown": put(coding, 10, ">B", 255),
        "a tile that is not there": put(part, 2, ">H", 60000), "a part of 4 GB": put(part, 4, ">I", 0xFFFFFFFF),
        "a part of no length": put(part, 4, ">I", 1), "no end": lambda data: data.rstrip(b"\0")[:-2],
        "a container": lambda data: b"\0\0\0\x0cjP  \r\n\x87\n" + data, "a second size": before(part, segment(0x51, bytes(39))),
        "a second style": before(part, segment(0x52, bytes(10))), "an extension": before(part, segment(0x50, bytes(4))),
        "orders of progression": before(part, segment(0x5F, bytes(7))), "headers in one place": before(part, segment(0x60, bytes(9))),
        "5,000 segments": before(part, segment(0x64, b"\0\1") * 5000),
    }.items():  # fmt: skip
        yield (
            name,
            change,
            EITHER if name in ("blocks of 4 by 1024", "a coding style that is unknown") else REFUSED,
        )
    yield "100,000 parts of tiles", lambda data: data.replace(part, _part() * 100_000 + part, 1), REFUSED


def _part():
    return segment(0x90, struct.pack(">HIBB", 0, 14, 0, 0)) + b"\xff\x93"


def of_run_lengths():
    def table(*values):
        return lambda data: struct.pack("<16I", *values, *(0,) * (16 - len(values))) + data[64:]

    yield "no segments", table(0), REFUSED
    yield "2 segments", table(2, 64, 70), REFUSED
    yield "4 billion segments", table(0xFFFFFFFF, 64), REFUSED
    yield "a segment far away", table(1, 0xFFFFFFFF), REFUSED
    yield "a segment in the table", table(1, 0), REFUSED
    yield "one segment more", table(1, 64, 66), REFUSED
    yield "runs of 64 times the pixels", lambda data: data[:64] + b"\x81\0" * 240, REFUSED
    yield "codes without bytes", lambda data: data[:64] + b"\x80" * 900, REFUSED
    yield "one byte less", lambda data: data[:64] + b"\x81\0" * 3 + b"\xa2\0", REFUSED


def encapsulations():
    def fragments(name, made, expected, **elements):
        for kind in ("run lengths", "JPEG 2000"):
            yield Case(f"{kind} in {name}", slices(kind, lambda d: d, fragments=made, **elements), expected)

    yield from fragments("one item for each byte", lambda d: items(*(bytes((b,)) for b in d)), EITHER)
    yield from fragments("10,000 empty items", lambda d: items(*(b"",) * 10_000, d), EITHER)
    yield from fragments(
        "an item of 4 GB", lambda d: items() + struct.pack("<HHI", 0xFFFE, 0xE000, 1 << 31) + d, REFUSED
    )
    yield from fragments("no items", lambda _: b"", REFUSED)
    yield from fragments("no end of items", lambda d: items(d)[:-8], EITHER)
    yield from fragments(
        "offsets that lead away", lambda d: items(d, table=struct.pack("<I", 1 << 31)), EITHER
    )
    yield from fragments("10,000 offsets", lambda d: items(d, table=bytes(40_000)), REFUSED)
    yield from fragments("offsets of half a number", lambda d: items(d, table=b"\0\0"), REFUSED)
    yield from fragments("two items, each whole", lambda d: items(d, d), EITHER)
    far = element(0x7FE0, 1, b"OV", struct.pack("<HI", 0, 8)[2:] + struct.pack("<Q", 1 << 40))
    yield from fragments("a damaged table of extended offsets", items, EITHER, more=far)
    yield from fragments("the wrong element", lambda d: d, REFUSED)
    for bits, stored in ((16, 16), (32, 32), (8, 9), (8, 0)):
        for kind in KINDS:
            yield Case(
                f"{kind} of 8 bits in {bits}, {stored} stored",
                slices(kind, lambda d: d, allocated=us(bits), stored=us(stored), high=us(max(stored, 1) - 1)),
                REFUSED,
            )
    for kind in KINDS:
        yield Case(
            f"{kind} of 65,535 rows", slices(kind, lambda d: d, rows=us(65535), columns=us(65535)), REFUSED
        )


def sequence(group, number, *entries):
    return element(
        group, number, b"SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(e)) + e for e in entries)
    )


POSITION, TURN, SPACING = (0x20, 0x9113), (0x20, 0x9116), (0x28, 0x9110)
ENHANCED = b"1.2.840.10008.5.1.4.1.1.2.1\0"
SHARED, EACH = (0x5200, 0x9229), (0x5200, 0x9230)


def place(depth):
    return sequence(*POSITION, element(0x20, 0x32, b"DS", b"0\\0\\%s" % depth))


COMMON = (
    sequence(*TURN, element(0x20, 0x37, b"DS", b"1\\0\\0\\0\\1\\0")),
    sequence(*SPACING, element(0x18, 0x50, b"DS", b"2") + element(0x28, 0x30, b"DS", b"1\\1")),
)


def enhanced(frames=4, declared=None, each=None, shared=None, more=b"", **elements):
    """One file of many frames, which says in functional groups where they are."""
    groups = [place(b"%d" % (2 * n)) for n in range(frames)] if each is None else each
    groups = sequence(*SHARED, b"".join(COMMON) if shared is None else shared) + sequence(*EACH, *groups)
    count = b"%d" % (frames if declared is None else declared)
    values = {
        "position": None,
        "turn": None,
        "spacing": None,
        "slope": None,
        "add": None,
        "frames": count,
        "sop": ENHANCED,
    }
    pixels = PLANE * frames if "pixels" not in elements else elements.pop("pixels")
    return series(lambda _: dicom(0, more=groups + more, pixels=pixels, **{**values, **elements}), count=1)


def frames():
    yield Case("enhanced DICOM", enhanced(), (OPENED,))
    nan = [place(b"nan")] * 4
    for name, changed in {
        "a billion frames": {"declared": 10**9}, "5,000 frames of one": {"declared": 5000}, "fewer groups than frames": {"each": [place(b"0")]},
        "more groups than frames": {"declared": 2}, "frames of text": {"frames": 4, "declared": 0}, "no groups": {"each": []},
        "groups of nothing": {"each": [b""] * 4}, "positions of NaN": {"each": nan}, "frames at one place": {"each": [place(b"0")] * 4},
        "no orientation": {"shared": COMMON[1]}, "no spacing": {"shared": COMMON[0]}, "no shared groups": {"shared": b""},
        "a missing frame": {"each": [place(b"%d" % d) for d in (0, 2, 6, 8)]}, "pixels of one frame": {"pixels": PLANE},
        "65,535 rows": {"rows": us(65535), "columns": us(65535)}, "60,000 groups": {"each": [place(b"0")] * 60_000},
        "groups within groups": {"each": [sequence(*POSITION, place(b"0"))] * 4},
        "400,000 elements in a group": {"each": [b"".join(element(0x21, n % 60_000 + 0x1000, b"IS", b"") for n in range(400_000))] * 1},
        "5,000 frames of 100 elements": {"frames": 5000, "pixels": b"", "each": [place(b"0") + element(0x21, 0x10, b"LO", b"x") * 80] * 5000},
        "a header of 5 MB": {"more": element(0x5400, 0x100, b"UT", bytes(5 << 20))},
    }.items():  # fmt: skip
        yield Case(f"enhanced DICOM with {name}", enhanced(**changed), REFUSED)
    yield Case("enhanced DICOM of 60 frames", enhanced(60), EITHER)
    yield Case(
        "classic DICOM of many frames", always(frames=b"3", pixels=PLANE * 3, syntax=EXPLICIT), REFUSED
    )


def cases():
    """All of them."""
    more = {"run lengths": of_run_lengths(), "lossless JPEG": of_jpeg(0xC3), "JPEG 2000": of_jpeg_2000()}
    more["JPEG-LS"] = (*of_jpeg(0xF7), *of_jpeg_ls())
    for kind in KINDS:
        for name, change, expected in (*of_any_kind(), *more[kind]):
            yield Case(f"{kind} with {name}", slices(kind, change), expected)
    yield from encapsulations()
    yield from frames()
