"""NIfTI files (.nii, .nii.gz): read within limits, and labels written with the same place in the patient.

nibabel reads and writes headers. The bytes are read here, because a header may declare any size, and a few
kilobytes of gzip may hold gigabytes: nothing is inflated beyond what the checked header asks for.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.finding import VOLUMES
from fcn_edge_runtime.medical.volume import Volume, check_voxels

__all__ = ["is_nifti", "labels_nifti", "read_nifti"]

_PURPOSE = "reading medical volumes"
_HEADER = 544  # bytes of the longest header, NIfTI-2, with the flag of extensions
_MOST_OFFSET = 1 << 20  # bytes before the voxels: the header and its extensions
_CHUNK = 1 << 22


def is_nifti(path: Path) -> bool:
    """Whether a name is that of a NIfTI file."""
    return path.name.lower().endswith(VOLUMES)


def read_nifti(path: str | os.PathLike[str], most: int) -> Volume:
    """Read a volume; its header is checked before a voxel is read.

    Args:
        path: the file.
        most: voxels at most.

    Raises:
        InputError: nibabel is not installed, or the file is missing, damaged, too large, not one volume of
            numbers, or without an orientation.
    """
    name = os.fspath(path)
    nibabel = require("nibabel", _PURPOSE)
    try:
        with _opened(name) as stream:
            header = _header(nibabel, _read(stream, _HEADER), name)
            shape, kind, offset = _checked(header, name, most)
            stream.seek(0)
            size = int(np.prod(shape)) * kind.itemsize
            data = _read(stream, offset + size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} cannot be read ({_reason(error)})") from None
    except MemoryError:
        raise InputError(f"the memory is not enough for {name}: crop or resample it") from None
    if len(data) < offset + size:
        raise InputError(
            f"{name} is cut short: it has {max(len(data) - offset, 0)} of {size} bytes of voxels"
        )
    stored = np.frombuffer(data, kind, int(np.prod(shape)), offset).reshape(shape, order="F")
    if kind.kind == "f" and not np.isfinite(stored).all():
        bad = int(stored.size - np.count_nonzero(np.isfinite(stored)))
        raise InputError(f"{name} has {bad} voxels that are NaN or infinite, expected numbers: replace them")
    try:
        slope, intercept = header.get_slope_inter()
    except nibabel.spatialimages.HeaderDataError as error:
        raise InputError(f"{name} has a damaged header ({_reason(error)})") from None
    return Volume(name, stored, _affine(header, name), slope or 1.0, intercept or 0.0, header)


def labels_nifti(labels: np.ndarray, volume: Volume, description: str) -> bytes:
    """Labels (I, J, K) as a .nii.gz with the affine, units and codes of the volume that they are of."""
    nibabel = require("nibabel", _PURPOSE)
    own = isinstance(volume.header, nibabel.Nifti1Header)  # not of DICOM; NIfTI-2's is one, too
    header = volume.header.copy() if own else nibabel.Nifti1Header()
    header.set_data_dtype(labels.dtype)
    header.set_slope_inter(1, 0)
    header["descrip"] = description.encode("ascii", "replace")[:79]
    header["cal_min"] = header["cal_max"] = 0
    header.extensions.clear()  # they describe the scan, and may name the patient
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    image = kind(labels, None if own else volume.affine, header)
    if not own:
        image.header.set_xyzt_units("mm")
        image.set_sform(volume.affine, code="scanner")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def _opened(name: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - a str may hold characters that Path refuses
            raise InputError(f"{name} is a folder, pipe or device, expected a NIfTI file")
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r} cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    with open(name, "rb") as stream:  # noqa: PTH123 - the same
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(name) if packed else open(name, "rb")  # type: ignore[return-value]  # noqa: PTH123


def _read(stream: BinaryIO, size: int) -> bytes:
    """At most `size` bytes. Memory grows with what is there, not with what a header declares."""
    found = io.BytesIO()
    while (left := size - found.tell()) and (chunk := stream.read(min(left, _CHUNK))):
        found.write(chunk)
    return found.getvalue()


def _header(nibabel: Any, start: bytes, name: str) -> Any:
    """The header at the start of a file, of either version and byte order."""
    for kind, length, magics in (
        (nibabel.Nifti1Header, 348, (b"n+1\0", b"ni1\0")),
        (nibabel.Nifti2Header, 540, (b"n+2\0", b"ni2\0")),
    ):
        magic = start[344:348] if length == 348 else start[4:8]
        if len(start) < length or magic not in magics:
            continue
        if magic == magics[1]:
            raise InputError(
                f"{name} is the header of a pair of .hdr and .img, expected one .nii file: convert it"
            )
        try:
            return kind(start[:length], check=True)
        except Exception as error:  # noqa: BLE001 - nibabel raises its own and numpy's errors for damaged headers
            raise InputError(f"{name} has a damaged header ({_reason(error)})") from None
    raise InputError(f"{name} is not a NIfTI file (.nii or .nii.gz)")


def _checked(header: Any, name: str, most: int) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape (I, J, K), dtype and offset of the voxels, all within limits."""
    try:
        shape, kind = tuple(int(side) for side in header.get_data_shape()), header.get_data_dtype()
        offset = int(header.get_data_offset())
    except Exception as error:  # noqa: BLE001 - codes and numbers that do not exist
        raise InputError(f"{name} has a damaged header ({_reason(error)})") from None
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise InputError(
            f"{name} has the shape {shape}, a series of {shape[3]} volumes: split it, expected one volume"
        )
    if len(shape) < 2:
        raise InputError(f"{name} has the shape {shape}, expected a volume of three axes")
    shape += (1,) * (3 - len(shape))
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise InputError(
            f"{name} has voxels of the type {kind}, expected integers or floats of up to 64 bits"
        )
    if not 0 <= offset <= _MOST_OFFSET:
        raise InputError(f"{name} declares its voxels at byte {offset}, expected at most {_MOST_OFFSET}")
    check_voxels(shape, kind.itemsize, most, name)
    return shape, kind, offset


def _affine(header: Any, name: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        try:
            affine = np.asarray(header.get_best_affine(), np.float64)
            usable = bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9)
        except Exception:  # noqa: BLE001 - an invalid quaternion
            usable = False
    if not usable:
        raise InputError(
            f"{name} does not state where its voxels are in the patient (its affine is singular)"
        )
    return affine


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160]
