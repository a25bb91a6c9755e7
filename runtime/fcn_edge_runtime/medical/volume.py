"""A volume of voxels: the numbers that a file stores, what they mean, and where they are in the patient.

Slices are seen as radiologists look at them, however the file orders its voxels: the patient's right is at
the left of axial and coronal slices, anterior at the top or the left, superior at the top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError

__all__ = ["AXES", "Volume", "check_voxels", "slices_of", "turned"]

AXES = ("axial", "coronal", "sagittal")
# Of an array whose axes run to the patient's right, anterior and superior: what to flip, and the new order.
_VIEWS = {"axial": ((0, 1), (2, 1, 0)), "coronal": ((0, 2), (1, 2, 0)), "sagittal": ((1, 2), (0, 2, 1))}
_MOST_SIDE = 8192  # voxels: a slice of one voxel costs a run of the network, too
_MOST_BYTES = 4  # a voxel, on average over all that the limit of voxels allows


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume as it was read.

    Attributes:
        name: its path, for messages.
        stored: (I, J, K) numbers in the file's order of axes; integers or floats, finite.
        affine: (4, 4) float64, from voxel indices to millimeters toward the patient's right, anterior and
            superior.
        slope: of a voxel's value, stored * slope + intercept.
        intercept: the same.
        header: what its writer needs: a NIfTI header, or a `SeriesHeader`.
    """

    name: str
    stored: np.ndarray
    affine: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    header: Any = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters from voxel to voxel along each axis of `stored`."""
        first, second, third = (float(n) for n in np.linalg.norm(self.affine[:3, :3], axis=0))
        return first, second, third

    @property
    def milliliters(self) -> float:
        """Of one voxel."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    def values(self, stored: np.ndarray) -> np.ndarray:
        """Numbers of `stored`, a slice of it for instance, in the file's units: float32 of the same shape."""
        found: np.ndarray = stored.astype(np.float32)
        if (self.slope, self.intercept) != (1, 0):
            found *= np.float32(self.slope)
            found += np.float32(self.intercept)
        return found

    def spacing_of(self, axis: str) -> tuple[float, float, float]:
        """Millimeters from slice to slice, row to row and column to column of `slices_of`."""
        probe = np.arange(8, dtype=np.int64).reshape(2, 2, 2)  # its steps name the axes: 4, 2, 1
        view = slices_of(probe, self.affine, axis)
        steps = [abs(int(view[index]) - int(view[0, 0, 0])) for index in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
        by_step = dict(zip((4, 2, 1), self.spacing, strict=True))
        slices, rows, columns = (by_step[step] for step in steps)
        return slices, rows, columns


def slices_of(array: np.ndarray, affine: np.ndarray, axis: str) -> np.ndarray:
    """A view (slices, rows, columns) of an array (I, J, K): writing into it is writing into the array.

    Args:
        array: in the order of a volume's axes.
        affine: of the volume.
        axis: one of `AXES`. Oblique volumes are sliced along their own axis that is nearest.
    """
    orientations = require("nibabel.orientations", "reading medical volumes")
    flips, order = _VIEWS[axis]
    canonical = orientations.apply_orientation(array, orientations.io_orientation(affine))
    view: np.ndarray = np.flip(canonical, flips).transpose(order)
    return view


def turned(volume: Volume, affine: np.ndarray) -> Volume:
    """The same voxels, with axes in the order and the directions of an affine's, as near as they are."""
    orientations = require("nibabel.orientations", "reading medical volumes")
    own, wanted = orientations.io_orientation(volume.affine), orientations.io_orientation(affine)
    change = orientations.ornt_transform(own, wanted)
    stored = orientations.apply_orientation(volume.stored, change)
    moved = volume.affine @ orientations.inv_ornt_aff(change, volume.stored.shape)
    return replace(volume, stored=stored, affine=moved)


def check_voxels(shape: tuple[int, ...], item: int, most: int, name: str) -> None:
    """Refuse a volume by what its header declares, before memory is allocated.

    Args:
        shape: (I, J, K).
        item: bytes of a voxel.
        most: voxels at most; their bytes together are limited to four times as many.
        name: of the volume, for the message.

    Raises:
        InputError: it is empty, too large or too long.
    """
    voxels = 1
    for side in shape:
        voxels *= int(side)
    if voxels < 1 or min(shape) < 1:
        raise InputError(f"{name} has the shape {shape}, expected at least one voxel")
    if max(shape) > _MOST_SIDE:
        raise InputError(
            f"{name} has {max(shape)} voxels along one axis, expected at most {_MOST_SIDE}: crop it"
        )
    if voxels > most or voxels * item > _MOST_BYTES * most:
        raise InputError(
            f"{name} has {voxels} voxels of {item} bytes, expected at most {most} of {_MOST_BYTES} bytes: "
            "crop or resample it, or raise --max-pixels if memory allows"
        )
