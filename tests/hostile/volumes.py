"""Hostile medical volumes: headers that declare too much, streams that inflate, series that are none."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from tests.hostile import codestreams
from tests.hostile.dicom import DEFLATED, JPEG, JPEG2000, RLE, always, dicom, element, in_one, series, us
from tests.hostile.registry import OPENED, Case, Subject

REFUSED = ("InputError",)
EITHER = ("InputError", OPENED)
MODEL = Path(__file__).parents[1] / "artifacts" / "0.1.0-float.onnx"
SHAPE = (24, 20, 6)
VOXELS = np.arange(24 * 20 * 6, dtype=np.uint8).tobytes()
ITEMS = 24 * 20 * 6

# NIfTI-1, field by field: name -> (offset, format)
FIELDS = {
    "size": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"), "slice_start": (74, "h"),
    "pixdim": (76, "8f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"), "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"), "cal_max": (124, "f"), "descrip": (148, "80s"), "qform": (252, "h"),
    "sform": (254, "h"), "quatern": (256, "6f"), "srow_x": (280, "4f"), "srow_y": (296, "4f"),
    "srow_z": (312, "4f"), "intent_name": (328, "16s"), "magic": (344, "4s"), "extension": (348, "4s"),
}  # fmt: skip
GOOD = {
    "size": 348, "dim": (3, *SHAPE, 1, 1, 1, 1), "datatype": 2, "bitpix": 8, "pixdim": (1.0,) * 8,
    "vox_offset": 352.0, "scl_slope": 1.0, "scl_inter": 0.0, "xyzt_units": 2, "sform": 1,
    "srow_x": (1.0, 0, 0, 0), "srow_y": (0.0, 1, 0, 0), "srow_z": (0.0, 0, 1, 0), "magic": b"n+1\0",
}  # fmt: skip
NAN, INF = float("nan"), float("inf")


def nifti(data=VOXELS, order="<", **changed):
    head = bytearray(352)
    for name, value in {**GOOD, **changed}.items():
        at, kind = FIELDS[name]
        struct.pack_into(order + kind, head, at, *(value if isinstance(value, tuple) else (value,)))
    return bytes(head) + data


def nifti2(data=VOXELS, dim=(3, *SHAPE, 1, 1, 1, 1), offset=544):
    head = bytearray(544)
    struct.pack_into("<i8shh8q", head, 0, 540, b"n+2\0\r\n\x1a\n", 2, 8, *dim)
    struct.pack_into("<8d", head, 104, *(1.0,) * 8)
    struct.pack_into("<q", head, 168, offset)
    struct.pack_into("<d", head, 176, 1.0)
    struct.pack_into("<ii", head, 344, 0, 1)
    struct.pack_into("<12d", head, 400, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    return bytes(head) + data


def packed(data, level=9):
    return gzip.compress(data, level)


def bomb(start, zeros):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = [packer.compress(start)]
    out += [packer.compress(bytes(1 << 20)) for _ in range(zeros >> 20)]
    return b"".join([*out, packer.flush()])


def written(name, content):
    def make(folder):
        (folder / name).write_bytes(content() if callable(content) else content)
        return folder / name

    return make


def headers():
    whole = (3, 20_000, 20_000, 20_000, 1, 1, 1, 1)
    for name, changed in {
        "8 trillion voxels": {"dim": whole}, "negative sides": {"dim": (3, -24, 20, 6, 1, 1, 1, 1)},
        "no sides": {"dim": (3, 0, 20, 6, 1, 1, 1, 1)}, "no axes": {"dim": (0, *SHAPE, 1, 1, 1, 1)},
        "9 axes": {"dim": (9, *SHAPE, 1, 1, 1, 1)}, "-1 axes": {"dim": (-1, *SHAPE, 1, 1, 1, 1)},
        "7 axes": {"dim": (7, *SHAPE, 2, 2, 2, 2)}, "sides that overflow": {"dim": (7, *(32767,) * 7)},
        "an unknown type": {"datatype": 9999}, "complex numbers": {"datatype": 32, "bitpix": 64},
        "colors": {"datatype": 128, "bitpix": 24}, "a type without bits": {"datatype": 0},
        "128-bit floats": {"datatype": 1536, "bitpix": 128}, "a bit count of another type": {"bitpix": 64},
        "voxels far away": {"vox_offset": 1e18}, "voxels before the file": {"vox_offset": -1e9},
        "voxels nowhere": {"vox_offset": NAN}, "voxels at infinity": {"vox_offset": INF},
        "a slope that is NaN": {"scl_slope": NAN}, "an infinite slope": {"scl_slope": INF},
        "an intercept that is NaN": {"scl_inter": NAN}, "a huge slope": {"scl_slope": 3e38, "scl_inter": -3e38},
        "no slope": {"scl_slope": 0.0}, "an affine of NaN": {"srow_x": (NAN,) * 4},
        "an affine of zeros": {"srow_x": (0.0,) * 4}, "an infinite affine": {"srow_y": (INF, 1, 1, 1)},
        "a huge affine": {"srow_x": (1e30, 0, 0, 0), "srow_y": (0, 1e30, 0, 0.0), "srow_z": (0, 0, 1e30, 0.0)},
        "a tiny affine": {"srow_x": (1e-30, 0, 0, 0), "srow_y": (0, 1e-30, 0, 0.0), "srow_z": (0, 0, 1e-30, 0.0)},
        "a slanted affine": {"srow_x": (1, 1, 1, 0.0), "srow_y": (1, 1, 1.0001, 0.0)},
        "a quaternion that is none": {"sform": 0, "qform": 1, "quatern": (9.0,) * 6},
        "a quaternion of NaN": {"sform": 0, "qform": 1, "quatern": (NAN,) * 6},
        "voxels of no size": {"sform": 0, "qform": 1, "pixdim": (0.0,) * 8},
        "voxels of NaN": {"sform": 0, "qform": 1, "pixdim": (NAN,) * 8}, "unknown codes": {"sform": 999, "qform": -5},
        "units that do not exist": {"xyzt_units": 255}, "control characters": {"descrip": b"\x1b[31m\n" * 13},
        "a header of another length": {"size": 9999}, "a pair of files": {"magic": b"ni1\0"},
        "another magic": {"magic": b"x+1\0"}, "an extension of gigabytes": {"extension": b"\1\0\0\0"},
    }.items():  # fmt: skip
        yield Case(f"NIfTI with {name}", written("scan.nii", nifti(**changed)), EITHER)
    yield Case(
        "NIfTI of the other byte order, 8 trillion voxels",
        written("scan.nii", nifti(order=">", dim=whole)),
        REFUSED,
    )
    extension = struct.pack("<ii", 2**31 - 16, 6)
    yield Case(
        "an extension of 2 GB", written("scan.nii", nifti(extension + VOXELS, extension=b"\1\0\0\0")), EITHER
    )
    yield Case(
        "NIfTI-2 of 2**60 voxels",
        written("scan.nii", nifti2(dim=(3, 1 << 20, 1 << 20, 1 << 20, 1, 1, 1, 1))),
        REFUSED,
    )
    yield Case(
        "NIfTI-2 of sides of 2**62",
        written("scan.nii", nifti2(dim=(3, 1 << 62, 1 << 62, 4, 1, 1, 1, 1))),
        REFUSED,
    )
    yield Case("NIfTI-2 with voxels at 2**62", written("scan.nii", nifti2(offset=1 << 62)), REFUSED)
    yield Case("floats that are NaN", written(
        "scan.nii", nifti(np.full(ITEMS, np.nan, np.float32).tobytes(), datatype=16, bitpix=32)), REFUSED)  # fmt: skip
    yield Case("floats that are huge", written(
        "scan.nii", nifti(np.full(ITEMS, 3e38, np.float32).tobytes(), datatype=16, bitpix=32)), REFUSED)  # fmt: skip
    yield Case("doubles beyond floats", written(
        "scan.nii", nifti(np.full(ITEMS, 1e300).tobytes(), datatype=64, bitpix=64)), REFUSED)  # fmt: skip
    yield Case("a million slices of one pixel", written(
        "scan.nii", nifti2(bytes(10**6), dim=(3, 1, 1, 10**6, 1, 1, 1, 1))), (*EITHER, "UsageError"))  # fmt: skip
    for count in (0, 10, 347, 348, 352, 400):
        yield Case(f"{count} bytes", written("scan.nii", nifti()[:count]), REFUSED)


def streams():
    gigabyte = (3, 1024, 1024, 1024, 1, 1, 1, 1)
    yield Case(
        "a gigabyte of zeros, declared",
        written("scan.nii.gz", lambda: bomb(nifti(b"", dim=gigabyte), 1 << 30)),
        REFUSED,
    )
    yield Case(
        "a gigabyte after a small volume", written("scan.nii.gz", lambda: bomb(nifti(), 1 << 30)), EITHER
    )
    yield Case(
        "a volume declared and not there",
        written("scan.nii.gz", packed(nifti(b"", dim=(3, 900, 900, 100, 1, 1, 1, 1)))),
        REFUSED,
    )
    yield Case(
        "100,000 members of gzip", written("scan.nii.gz", packed(nifti()) + packed(b"") * 100_000), EITHER
    )
    yield Case(
        "100,000 empty members first", written("scan.nii.gz", packed(b"") * 100_000 + packed(nifti())), EITHER
    )
    yield Case("a gzip stream that is cut", written("scan.nii.gz", packed(nifti())[:-200]), REFUSED)
    yield Case(
        "a gzip stream with another sum", written("scan.nii.gz", packed(nifti())[:-8] + bytes(8)), EITHER
    )
    yield Case("a gzip name of a megabyte", written("scan.nii.gz", (
        b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (1 << 20) + b"\0" + packed(nifti())[10:])), EITHER)  # fmt: skip
    yield Case("gzip within gzip", written("scan.nii.gz", packed(packed(nifti()))), REFUSED)
    yield Case(
        "noise as gzip",
        written("scan.nii.gz", b"\x1f\x8b\x08" + np.random.default_rng(0).bytes(9999)),
        REFUSED,
    )
    yield Case("another kind of file", written("scan.nii.gz", b"%PDF-1.7"), REFUSED)
    yield Case("a pipe", _pipe, REFUSED)


def _pipe(folder):
    os.mkfifo(folder / "scan.nii")
    return folder / "scan.nii"


def nested(depth):
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    start = struct.pack("<HH", 0x40, 0x275) + b"SQ" + struct.pack("<HI", 0, 0xFFFFFFFF) + item
    return start * depth


def scans():
    for name, changed in {
        "65,535 rows": {"rows": us(65535)}, "65,535 a side": {"rows": us(65535), "columns": us(65535)},
        "no rows": {"rows": us(0)}, "rows of text": {"rows": b"many"}, "no bits": {"allocated": us(0)},
        "64 bits": {"allocated": us(64)}, "7 bits": {"allocated": us(7)}, "more bits than there are": {"stored": us(99)},
        "a billion frames": {"frames": b"1000000000"}, "frames of text": {"frames": b"many"},
        "65,535 samples": {"samples": us(65535)}, "colors": {"kind": b"PALETTE COLOR"},
        "a spacing of NaN": {"spacing": b"nan\\nan"}, "a spacing of zero": {"spacing": b"0\\0"},
        "a spacing of one number": {"spacing": b"1"}, "a spacing of a thousand numbers": {"spacing": b"1\\" * 1000 + b"1"},
        "an infinite position": {"position": b"inf\\0\\0"}, "a huge position": {"position": b"1e300\\0\\0"},
        "directions of NaN": {"turn": b"nan\\0\\0\\0\\1\\0"}, "directions of zero": {"turn": b"0\\0\\0\\0\\0\\0"},
        "a slope of NaN": {"slope": b"nan"}, "a huge slope": {"slope": b"1e300"}, "a slope of text": {"slope": b"x"},
        "a slope of 60,000 digits": {"slope": b"1" * 60_000}, "no series": {"series": None}, "no UID": {"uid": None},
        "a series of control characters": {"series": b"\x1b[31m\n"}, "a modality of control characters": {"modality": b"\x1b[2J"},
        "pixels of two bytes": {"pixels": b"xx"}, "no pixels": {"pixels": b""}, "more pixels": {"pixels": bytes(1 << 22)},
        "the deflated syntax": {"syntax": DEFLATED}, "JPEG": {"syntax": JPEG}, "JPEG 2000": {"syntax": JPEG2000},
        "run lengths": {"syntax": RLE}, "an unknown syntax": {"syntax": b"9.9.9\0"}, "a syntax of text": {"syntax": b"\x1b[31m"},
        "sequences within sequences": {"more": nested(50_000)}, "sequences within sequences, 900 deep": {"more": nested(900)},
        "an element of 4 GB": {"more": element(0x40, 0x275, b"UT", b"x", 0xFFFFFFF0)},
        "an element without end": {"more": element(0x40, 0x275, b"OB", b"x", 0xFFFFFFFF)},
        "30,000 elements": {"more": b"".join(element(0x41, i, b"LO", b"x" * 20) for i in range(0x1000, 0x1000 + 30_000))},
        "text of 900 kB": {"more": element(0x40, 0xA160, b"UT", b"x" * 900_000)},
        "a name in an unknown character set": {"more": element(8, 5, b"CS", b"ISO_IR 99999") + element(0x10, 0x10, b"PN", b"\xff" * 60)},
        "elements after the pixels": {"after": element(0xFFFC, 0xFFFC, b"OB", bytes(1 << 19))},
    }.items():  # fmt: skip
        yield Case(f"DICOM with {name}", always(**changed), (*EITHER, "UsageError"))
        yield Case(f"DICOM with {name} in one slice", in_one(**changed), (*EITHER, "UsageError"))
    yield Case("a deflated slice of a gigabyte", series(
        lambda _: dicom(0, syntax=DEFLATED, pixels=bytes(1 << 28))), REFUSED)  # fmt: skip
    yield Case("slices at one place", always(position=b"0\\0\\0"), REFUSED)
    yield Case("a series of one slice", series(count=1), EITHER)
    yield Case(
        "a missing slice", series(lambda n: {"position": b"0\\0\\%d" % (2 * n + 2 * (n > 1))}), REFUSED
    )
    yield Case("6,000 files", series(lambda _: dicom(0)[:200], count=6000), REFUSED)
    yield Case("60 slices of 24x20", series(count=60), EITHER)
    for count in (132, 140, 200, 300, 500, 900):
        yield Case(f"DICOM, {count} bytes", series(lambda n, count=count: dicom(n)[:count]), REFUSED)
    yield Case("DICOM without its preamble", series(lambda n: dicom(n)[128:]), (*REFUSED, "UsageError"))
    yield Case("a lone slice that is another series", in_one(series=b"9.9"), REFUSED)


def _open(path: Path) -> str | None:
    """Label it, in three directions in turn, and write everything."""
    from fcn_edge_runtime import Segmenter
    from fcn_edge_runtime.errors import InputError
    from fcn_edge_runtime.imaging.finding import ImageFile
    from fcn_edge_runtime.medical.labeling import VolumeOptions, segment_volumes

    out = path.parent / "out"
    with Segmenter(MODEL, "cpu", 1) as segmenter:
        volume = ImageFile(path, Path("scan"), Path("scan"))
        options = VolumeOptions(percentiles=(1, 99))
        (result,) = segment_volumes(segmenter, [volume], out, reading=options)
    if result.error is not None:
        if out.exists() and any(out.iterdir()):
            return f"left {[found.name for found in out.iterdir()]}"
        raise InputError(result.error)
    return None


def _good(folder: Path) -> Path:
    return written("scan.nii", nifti())(folder)


def _warm() -> None:
    import gdcm  # noqa: F401 - for the children
    import highdicom  # noqa: F401 - the same
    import nibabel  # noqa: F401 - the same
    import onnxruntime  # noqa: F401 - the same
    import pydicom  # noqa: F401 - the same

    import fcn_edge_runtime.medical.labeling
    import fcn_edge_runtime.segmenter  # noqa: F401 - the same


CASES = (*headers(), *streams(), *scans(), *codestreams.cases())
SUBJECT = Subject("volumes", _good, _open, CASES, _warm)
