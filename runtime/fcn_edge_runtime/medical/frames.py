"""Where each frame of a DICOM file is in the patient, and what its numbers mean.

A classic file is one slice, and says so among its own elements. An enhanced one (Enhanced MR, CT or PET)
holds many, and says it in functional groups: those of the frame, else those that all of its frames share
(DICOM PS3.3, C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import InputError

__all__ = ["MOST_FRAMES", "Frame", "count_of", "frames_of"]

MOST_FRAMES = 5000  # of a volume
_SHARED, _EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# The functional group of each element.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
_COUNTS = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}
_Get = Callable[[str], Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Attributes:
        name: for messages.
        position: (3,) of its first voxel's center, millimeters to the patient's left, posterior, superior.
        turn: (2, 3) directions of its rows and of its columns.
        spacing: (2,) millimeters from row to row, and from column to column.
        thickness: millimeters.
        slope: of a value, stored * slope + intercept.
        intercept: the same.
    """

    name: str
    position: np.ndarray
    turn: np.ndarray
    spacing: np.ndarray
    thickness: float
    slope: float
    intercept: float


def count_of(head: Any, file: Path) -> int:
    """How many frames a file declares.

    Raises:
        InputError: no number that is possible, or several frames without functional groups for each of them.
    """
    try:
        count = int(head.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= MOST_FRAMES:
        raise InputError(
            f"{file} declares {head.get('NumberOfFrames')} frames, expected 1 to {MOST_FRAMES}, of one volume"
        )
    groups = head.get(_EACH)
    if groups is None and count > 1:
        raise InputError(
            f"{file} has {count} frames and does not say where each is, as enhanced CT, MR and PET do: "
            "split it into slices"
        )
    if groups is not None and len(groups) != count:
        raise InputError(
            f"{file} has {count} frames and functional groups of {len(groups)}, expected as many"
        )
    return count


def frames_of(head: Any, file: Path) -> Iterator[Frame]:
    """The frames of a file whose `count_of` was checked, in its order.

    Raises:
        InputError: an element is missing or damaged.
    """
    groups = head.get(_EACH)
    if groups is None:
        yield _frame(str(file), head.get)
        return
    shared = head.get(_SHARED) or [{}]
    for number, own in enumerate(groups, 1):
        yield _frame(f"frame {number} of {file}", _looked_up((own, shared[0])))


def _looked_up(groups: tuple[Any, Any]) -> _Get:
    def get(key: str) -> Any:
        for group in groups:
            items = group.get(_GROUPS[key])
            if items and items[0].get(key) is not None:
                return items[0].get(key)
        return None

    return get


def _frame(name: str, get: _Get) -> Frame:
    return Frame(
        name,
        _numbers(get, "ImagePositionPatient", name),
        _numbers(get, "ImageOrientationPatient", name).reshape(2, 3),
        _numbers(get, "PixelSpacing", name),
        _number(get, "SliceThickness", 1.0, name),
        _number(get, "RescaleSlope", 1.0, name),
        _number(get, "RescaleIntercept", 0.0, name),
    )


def _numbers(get: _Get, key: str, name: str) -> np.ndarray:
    given = get(key)
    if not given:
        raise InputError(f"{name} has no {key}: expected slices of CT, MR or PET")
    try:
        found = np.array([float(value) for value in given], np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (_COUNTS[key],) or not np.isfinite(found).all():
        raise InputError(f"{name} has a damaged {key}: expected {_COUNTS[key]} numbers")
    return found


def _number(get: _Get, key: str, missing: float, name: str) -> float:
    given = get(key)
    if given is None or given == "":
        return missing
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{name} has a damaged {key}: expected a number")
    return value
