"""DICOM series: a folder of slices, or of one enhanced file with many, read as one volume within limits.

pydicom parses the files. Each header is checked before its pixels are read, and each codestream before it is
decoded. All slices must be of one series, of one size, parallel and evenly spaced.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.medical.decoding import check_syntax, is_compressed, read_frames, reason_of, tolerant
from fcn_edge_runtime.medical.frames import MOST_FRAMES, Frame, count_of, frames_of
from fcn_edge_runtime.medical.nifti import is_nifti
from fcn_edge_runtime.medical.volume import Volume, check_voxels

__all__ = ["SeriesHeader", "is_series", "is_volume", "read_series"]

_PURPOSE = "reading DICOM"
_MOST_HEADER = 1 << 20  # bytes of a file besides its pixels
_MOST_OF_ONE = 5 << 19  # the same of a file alone in its folder, which may describe thousands of frames
_LOOKED_AT = 50  # names of a folder
_UNEVEN = 0.01  # of the spacing of slices
_NEEDED = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SeriesInstanceUID",
    "SOPInstanceUID",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SeriesHeader:
    """What a writer needs of a series.

    Attributes:
        datasets: of the files, without their pixels.
        slices: of each frame of the datasets, in their order, the slice of the volume that it is.
    """

    datasets: tuple[Any, ...]
    slices: tuple[int, ...]


def is_series(path: Path) -> bool:
    """Whether a path is a DICOM file, or a folder of them, by the first of its names that are files."""
    try:
        return (path.is_dir() or path.is_file()) and any(map(_is_dicom, _files(path)[:_LOOKED_AT]))
    except (OSError, ValueError):
        return False


def is_volume(path: Path) -> bool:
    """Whether a path is a NIfTI file, by its name, or a DICOM file or series, by what it holds."""
    return is_nifti(path) or is_series(path)


def read_series(path: Path, most: int) -> Volume:
    """Read a series.

    Args:
        path: a folder whose files are the slices, in any order and of any names, where files that are not
            DICOM are passed over; or one file.
        most: voxels at most.

    Returns:
        A volume (columns, rows, slices), whose `header` is a `SeriesHeader`.

    Raises:
        InputError: pydicom or a decoder is not installed, or the files are not one whole series of parallel
            slices.
    """
    pydicom = require("pydicom", _PURPOSE)
    files = [file for file in _files(path) if file.name.upper() != "DICOMDIR" and _is_dicom(file)]
    if not files:
        raise InputError(f"{path} holds no DICOM files")
    if len(files) > MOST_FRAMES:
        raise InputError(
            f"{path} holds {len(files)} DICOM files, expected at most {MOST_FRAMES}, of one series"
        )
    longest = _MOST_HEADER if len(files) > 1 else _MOST_OF_ONE
    heads = [_head(pydicom, file, longest) for file in files]
    _check_alike(heads, files, path)
    counts = [count_of(head, file) for head, file in zip(heads, files, strict=True)]
    kind = np.dtype(f"{'ui'[int(heads[0].PixelRepresentation)]}{int(heads[0].BitsAllocated) // 8}")
    shape = int(heads[0].Columns), int(heads[0].Rows), sum(counts)
    check_voxels(shape, kind.itemsize, most, str(path))
    frames = [frame for head, file in zip(heads, files, strict=True) for frame in frames_of(head, file)]
    _check_parallel(frames)
    order, affine = _placed(frames)
    slices = np.argsort(order).tolist()
    stored = np.empty(shape, kind, order="F")
    left = iter(slices)
    for file, count in zip(files, counts, strict=True):
        read_frames(pydicom, file, [stored[:, :, next(left)] for _ in range(count)])
    header = SeriesHeader(tuple(heads), tuple(slices))
    scales = [(frames[i].slope, frames[i].intercept) for i in order]
    if len(set(scales)) == 1:
        return Volume(str(path), stored, affine, *scales[0], header)
    # As in PET, where each slice has its own.
    slopes, intercepts = np.array(scales, np.float32).T
    return Volume(str(path), stored * slopes + intercepts, affine, header=header)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _head(pydicom: Any, file: Path, longest: int) -> Any:
    """The dataset of a file without its pixels; it holds all that the checks and the pixels need."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = io.BytesIO(stream.read(longest))
    try:
        with tolerant(pydicom):
            reader = pydicom.filereader
            reader.read_preamble(_rewound(start), force=False)
            # Its public form takes paths alone, and all of a file.
            syntax = reader._read_file_meta_info(start).get("TransferSyntaxUID")  # noqa: SLF001
            check_syntax(syntax, file)
            head = pydicom.dcmread(_rewound(start), stop_before_pixels=True)
            _check_head(head, file)
            pixels = int(head.Rows) * int(head.Columns) * int(head.BitsAllocated) // 8 * count_of(head, file)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files raise errors of any class in pydicom
        raise InputError(f"{file} is damaged ({reason_of(error)})") from None
    # What does not compress becomes longer by a few percent.
    least, most = (0, 2 * pixels) if is_compressed(syntax) else (pixels, pixels)
    if not least <= size <= most + longest:
        raise InputError(
            f"{file} has {size} bytes, and declares {pixels} bytes of pixels: it is cut short or damaged"
        )
    return head


def _check_head(head: Any, file: Path) -> None:
    missing = [key for key in _NEEDED if head.get(key) is None]
    if missing:
        raise InputError(f"{file} has no {missing[0]}: expected slices of CT, MR or PET")
    kind = head.get("PhotometricInterpretation")
    samples = int(head.get("SamplesPerPixel") or 1)
    if samples != 1 or kind != "MONOCHROME2":
        raise InputError(f"{file} has {samples} samples a pixel, of the kind {kind}, expected MONOCHROME2")
    if head.BitsAllocated not in (8, 16, 32):
        raise InputError(f"{file} has {head.BitsAllocated} bits a pixel, expected 8, 16 or 32")
    if head.PixelRepresentation not in (0, 1):
        raise InputError(f"{file} has the PixelRepresentation {head.PixelRepresentation}, expected 0 or 1")


def _check_alike(heads: Sequence[Any], files: Sequence[Path], folder: Path) -> None:
    """All files are of one series, size and kind of numbers."""
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


def _check_parallel(frames: Sequence[Frame]) -> None:
    first = frames[0]
    for frame in frames:
        for key, own, expected in (
            ("PixelSpacing", frame.spacing, first.spacing),
            ("ImageOrientationPatient", frame.turn, first.turn),
        ):
            if not np.allclose(own, expected, rtol=1e-3, atol=1e-4):
                raise InputError(
                    f"{frame.name} has another {key} than {first.name} (mixed spacing or orientation): "
                    "expected one series of parallel slices"
                )


def _placed(frames: Sequence[Frame]) -> tuple[list[int], np.ndarray]:
    """The order of the slices along their normal, and the affine of the volume in that order."""
    first = frames[0]
    row_step, column_step = first.spacing
    normal = np.cross(*first.turn)
    if abs(float(np.linalg.norm(normal)) - 1) > 1e-2 or min(row_step, column_step) <= 0:
        raise InputError(
            f"{first.name} has an ImageOrientationPatient or a PixelSpacing that is not possible"
        )
    corners = np.array([frame.position for frame in frames])
    depths = corners @ normal
    order = np.argsort(depths, kind="stable").tolist()
    step = normal * first.thickness
    if len(order) > 1:
        _check_even(depths[order], [frames[index].name for index in order])
        step = (corners[order[-1]] - corners[order[0]]) / (len(order) - 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = first.turn[0] * column_step, first.turn[1] * row_step, step
    affine[:3, 3] = corners[order[0]]
    # DICOM's axes run to the patient's left and posterior.
    return order, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _check_even(depths: np.ndarray, names: Sequence[str]) -> None:
    """No two slices are at one place, and none is missing between others."""
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    between = [f"between {a} and {b}" for a, b in itertools.pairwise(names)]
    if gaps.min() < 1e-3:
        where = between[int(np.argmin(gaps))]
        raise InputError(f"two slices are at one place, {where}: expected one volume, without repetitions")
    for where, gap in zip(between, gaps.tolist(), strict=True):
        if abs(gap - usual) > _UNEVEN * usual:
            whole = gap / usual
            lost = round(whole) - 1
            missing = lost > 0 and abs(whole - round(whole)) < 0.05
            kind = f"missing slices ({lost})" if missing else "uneven slices"
            raise InputError(f"{kind}: {gap:.4g} mm {where}, {usual:.4g} mm elsewhere")


def _rewound(stream: io.BytesIO) -> io.BytesIO:
    stream.seek(0, os.SEEK_SET)
    return stream
