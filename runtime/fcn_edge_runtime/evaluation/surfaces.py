"""How far apart the surfaces of two labelings of a volume are, by DeepMind's surface-distance."""

from __future__ import annotations

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.model.card import Card

__all__ = ["hausdorff_95"]

_PERCENT = 95


def hausdorff_95(
    labels: np.ndarray, truth: np.ndarray, spacing: tuple[float, float, float], card: Card
) -> tuple[float | None, ...]:
    """The 95 % Hausdorff distance of each class: within it are 95 % of each surface from the other.

    Args:
        labels: (I, J, K) class ids.
        truth: the same; voxels that are unlabeled in it are of no class.
        spacing: millimeters from voxel to voxel along each axis.
        card: of the model.

    Returns:
        Millimeters; None for a class that one of the two does not have.

    Raises:
        InputError: surface-distance is not installed.
    """
    surfaces = require("surface_distance.metrics", "the Hausdorff distance")
    known = truth != card.unlabeled
    found: list[float | None] = []
    for entry in card.classes:
        ours, true = (labels == entry.id) & known, truth == entry.id
        if ours.any() and true.any():
            distances = surfaces.compute_surface_distances(true, ours, spacing)
            found.append(float(surfaces.compute_robust_hausdorff(distances, _PERCENT)))
        else:
            found.append(None)
    return tuple(found)
