"""Connected regions of a class with box, centroid and area, found by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.card import Card, ClassInfo

__all__ = ["Region", "regions"]


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one class that are connected by sides or corners.

    Attributes:
        kind: the class.
        area: in pixels.
        box: (left, top, right, bottom) in pixels, right and bottom excluded.
        centroid: (x, y), the mean of the pixel centers; the top left pixel's is (0, 0).
        mask: (bottom - top, right - left) bool: which pixels of the box belong to it.
    """

    kind: ClassInfo
    area: int
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    mask: np.ndarray


def regions(labels: np.ndarray, card: Card, min_area: int = 1) -> tuple[Region, ...]:
    """Connected regions of every class of one image, the largest first; unlabeled pixels form none.

    Args:
        labels: (H, W).
        card: names the classes.
        min_area: in pixels; smaller regions are left out.

    Raises:
        InputError: `labels` is a batch, or SciPy is not installed.
    """
    if labels.ndim != 2:
        raise InputError(f"got labels of shape {labels.shape}, expected those of one image (H, W)")
    ndimage = _scipy_ndimage()
    found = []
    for kind in card.classes:
        here = labels == kind.id
        if not here.any():
            continue
        # One pass numbers the regions of the class; then each region is processed in its own box only.
        numbered, _ = ndimage.label(here, structure=np.ones((3, 3), bool))
        for number, box in enumerate(ndimage.find_objects(numbered), start=1):
            mask = numbered[box] == number
            area = int(mask.sum())
            if area >= min_area:
                found.append(_region(kind, box, mask, area))
    return tuple(sorted(found, key=lambda region: -region.area))


def _region(kind: ClassInfo, box: tuple[slice, slice], mask: np.ndarray, area: int) -> Region:
    rows, columns = box
    y, x = np.nonzero(mask)
    centroid = (float(x.mean() + columns.start), float(y.mean() + rows.start))
    return Region(kind, area, (columns.start, rows.start, columns.stop, rows.stop), centroid, mask)


def _scipy_ndimage() -> Any:
    return require("scipy.ndimage", "finding objects")
