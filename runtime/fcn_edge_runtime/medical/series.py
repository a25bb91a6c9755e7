"""DICOM series: a folder with one file for each slice, read as one volume within limits.

pydicom parses the files. Only what is stored as it is, uncompressed, is read: a codestream may declare any
size. All slices must be of one series, of one size, parallel and evenly spaced.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.medical.volume import Volume, check_voxels

__all__ = ["is_series", "read_series"]

_PURPOSE = "reading DICOM"
_MOST_FILES = 5000
_MOST_HEADER = 1 << 20  # bytes of a file besides its pixels
_LOOKED_AT = 50  # names of a folder
_UNEVEN = 0.01  # of the spacing of slices
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_NEEDED = ("Rows", "Columns", "BitsAllocated", "PixelRepresentation", "SeriesInstanceUID", "SOPInstanceUID")
_OF_PIXELS = (
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


def is_series(path: Path) -> bool:
    """Whether a path is a folder of DICOM files, by the first of its names that are files."""
    try:
        return path.is_dir() and any(_is_dicom(file) for file in _files(path)[:_LOOKED_AT])
    except (OSError, ValueError):
        return False


def read_series(folder: Path, most: int) -> Volume:
    """Read the series of a folder; each header is checked before its pixels are read.

    Args:
        folder: its files are the slices, in any order and of any names; files that are not DICOM are passed
            over.
        most: voxels at most.

    Returns:
        A volume (columns, rows, slices), whose `header` is the slices' datasets without pixels.

    Raises:
        InputError: pydicom is not installed, or the files are not one whole series of parallel slices.
    """
    pydicom = require("pydicom", _PURPOSE)
    files = [file for file in _files(folder) if file.name.upper() != "DICOMDIR" and _is_dicom(file)]
    if not files:
        raise InputError(f"{folder} holds no DICOM files")
    if len(files) > _MOST_FILES:
        raise InputError(
            f"{folder} holds {len(files)} DICOM files, expected at most {_MOST_FILES}, of one series"
        )
    heads = [_head(pydicom, file) for file in files]
    _check_alike(heads, files, folder)
    first = heads[0]
    item = int(first.BitsAllocated) // 8
    check_voxels((int(first.Columns), int(first.Rows), len(files)), item, most, str(folder))
    order, affine = _placed(heads, files, folder)
    heads, files = [heads[i] for i in order], [files[i] for i in order]
    scales = [
        (_number(head, "RescaleSlope", 1.0, file), _number(head, "RescaleIntercept", 0.0, file))
        for head, file in zip(heads, files, strict=True)
    ]
    planes = [_pixels(pydicom, file) for file in files]
    if len(set(scales)) == 1:
        return Volume(str(folder), np.stack(planes, axis=-1), affine, *scales[0], tuple(heads))
    # As in PET, where each slice has its own.
    scaled = [
        plane * np.float32(slope) + np.float32(add)
        for plane, (slope, add) in zip(planes, scales, strict=True)
    ]
    return Volume(str(folder), np.stack(scaled, axis=-1), affine, header=tuple(heads))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _head(pydicom: Any, file: Path) -> Any:
    """The dataset of a file without its pixels; it holds all that the checks and the pixels need."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = io.BytesIO(stream.read(_MOST_HEADER))
    try:
        with _tolerant(pydicom):
            reader = pydicom.filereader
            reader.read_preamble(_rewound(start), force=False)
            # Its public form takes paths alone, and all of a file.
            meta = reader._read_file_meta_info(start)  # noqa: SLF001
            _check_syntax(meta.get("TransferSyntaxUID"), file)
            head = pydicom.dcmread(_rewound(start), stop_before_pixels=True)
            _check_head(head, file)
            pixels = int(head.Rows) * int(head.Columns) * int(head.BitsAllocated) // 8
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files raise errors of any class in pydicom
        raise InputError(f"{file} is damaged ({_reason(error)})") from None
    if not pixels <= size <= pixels + _MOST_HEADER:
        raise InputError(
            f"{file} has {size} bytes, and declares {pixels} bytes of pixels: it is cut short or damaged"
        )
    return head


@contextlib.contextmanager
def _tolerant(pydicom: Any) -> Iterator[None]:
    """Say nothing of values that break the standard, which scanners write."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _check_syntax(syntax: Any, file: Path) -> None:
    if str(syntax) not in _UNCOMPRESSED:
        raise InputError(
            f"{file} is compressed ({getattr(syntax, 'name', syntax)}), expected uncompressed DICOM: "
            "decompress the series, with `gdcmconv --raw` or dcmdjpeg"
        )


def _check_head(head: Any, file: Path) -> None:
    missing = [key for key in _NEEDED if head.get(key) is None]
    missing += [key for key in _PLACE if not head.get(key)]
    if missing:
        raise InputError(f"{file} has no {missing[0]}: expected a slice of a CT, MR or PET series")
    if int(head.get("NumberOfFrames") or 1) > 1:
        raise InputError(
            f"{file} has {head.NumberOfFrames} frames, expected one slice in each file: split it"
        )
    kind = head.get("PhotometricInterpretation")
    samples = int(head.get("SamplesPerPixel") or 1)
    if samples != 1 or kind != "MONOCHROME2":
        raise InputError(f"{file} has {samples} samples a pixel, of the kind {kind}, expected MONOCHROME2")
    if head.BitsAllocated not in (8, 16, 32):
        raise InputError(f"{file} has {head.BitsAllocated} bits a pixel, expected 8, 16 or 32")


def _pixels(pydicom: Any, file: Path) -> np.ndarray:
    """A slice (columns, rows) as it is stored."""
    try:
        with _tolerant(pydicom):
            plane: np.ndarray = pydicom.dcmread(file, specific_tags=list(_OF_PIXELS)).pixel_array.T
    except Exception as error:  # noqa: BLE001 - damaged files raise errors of any class in pydicom
        raise InputError(f"the pixels of {file} cannot be read ({_reason(error)})") from None
    return plane


def _check_alike(heads: Sequence[Any], files: Sequence[Path], folder: Path) -> None:
    """All slices are of one series, size, kind of numbers, orientation and spacing."""
    series = {str(head.SeriesInstanceUID) for head in heads}
    if len(series) > 1:
        raise InputError(f"{folder} holds {len(series)} series, expected one: give each a folder of its own")
    first = heads[0]
    for head, file in zip(heads, files, strict=True):
        for key in ("Rows", "Columns", "BitsAllocated", "PixelRepresentation"):
            if head[key].value != first[key].value:
                raise InputError(
                    f"{file} has {key} {head[key].value}, {files[0]} {first[key].value}: expected one"
                )
        for key in ("PixelSpacing", "ImageOrientationPatient"):
            if not np.allclose(
                _numbers(head, key, file), _numbers(first, key, files[0]), rtol=1e-3, atol=1e-4
            ):
                raise InputError(
                    f"{file} has another {key} than {files[0]} (mixed spacing or orientation): expected one "
                    "series of parallel slices"
                )


def _placed(heads: Sequence[Any], files: Sequence[Path], folder: Path) -> tuple[list[int], np.ndarray]:
    """The order of the slices along their normal, and the affine of the volume in that order."""
    turn = _numbers(heads[0], "ImageOrientationPatient", files[0]).reshape(2, 3)
    row_step, column_step = _numbers(heads[0], "PixelSpacing", files[0])
    if abs(float(np.linalg.norm(np.cross(*turn))) - 1) > 1e-2 or min(row_step, column_step) <= 0:
        raise InputError(f"{files[0]} has an ImageOrientationPatient or a PixelSpacing that is not possible")
    corners = np.array([_numbers(h, "ImagePositionPatient", f) for h, f in zip(heads, files, strict=True)])
    depths = corners @ np.cross(*turn)
    order = np.argsort(depths, kind="stable").tolist()
    gaps = np.diff(depths[order])
    step = np.cross(*turn) * _number(heads[0], "SliceThickness", 1.0, files[0])
    if gaps.size:
        usual = float(np.median(gaps))
        for index, gap in enumerate(gaps.tolist()):
            between = f"between {files[order[index]].name} and {files[order[index + 1]].name} in {folder}"
            if gap < 1e-3:
                raise InputError(
                    f"two slices are at one place, {between}: expected one volume, without repetitions"
                )
            if abs(gap - usual) > _UNEVEN * usual:
                whole = gap / usual
                lost = round(whole) - 1
                kind = (
                    f"missing slices ({lost})"
                    if lost > 0 and abs(whole - round(whole)) < 0.05
                    else "uneven slices"
                )
                raise InputError(f"{kind}: {gap:.4g} mm {between}, {usual:.4g} mm elsewhere")
        step = (corners[order[-1]] - corners[order[0]]) / (len(order) - 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = turn[0] * column_step, turn[1] * row_step, step
    affine[:3, 3] = corners[order[0]]
    # DICOM's axes run to the patient's left and posterior.
    return order, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _numbers(head: Any, key: str, file: Path) -> np.ndarray:
    count = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}[key]
    try:
        found = np.array([float(value) for value in head.get(key)], np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise InputError(f"{file} has a damaged {key}: expected {count} numbers")
    return found


def _number(head: Any, key: str, missing: float, file: Path) -> float:
    given = head.get(key)
    if given is None or given == "":
        return missing
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{file} has a damaged {key}: expected a number")
    return value


def _rewound(stream: io.BytesIO) -> io.BytesIO:
    stream.seek(0, os.SEEK_SET)
    return stream


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160]
