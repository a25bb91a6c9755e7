"""Outlines with fewer corners: what neighbors share of a border, they share afterward.

A pixel's stairs become lines. GEOS takes corners away where the triangle of a corner and its neighbors is
small (Visvalingam and Whyatt, 1993), along all borders at once, and none that would let lines cross.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.outlines import Outline

__all__ = ["require_simplification", "simplified"]

_FAR = 1 << 31  # more than a corner's column or row


def require_simplification() -> None:
    """Raise InputError where the library is missing or too old."""
    shapely = require("shapely", "simplifying polygons", InputError)
    if not hasattr(shapely, "coverage_simplify") or shapely.geos_version < (3, 12):
        raise InputError(
            f"shapely {shapely.__version__} does not simplify neighbors together, expected 2.1 or newer "
            "with GEOS 3.12: pip install --upgrade shapely"
        )


def simplified(found: Iterable[Outline], tolerance: float) -> Iterator[Outline]:
    """Outlines with fewer corners, which cover the same plane without gaps and overlaps.

    Args:
        found: all outlines of a map.
        tolerance: the square root of the area of the triangles that are taken away, in pixels.
    """
    import shapely

    outlines = list(found)
    if not outlines:
        return
    rings = iter(_with_common_corners([ring for outline in outlines for ring in outline.rings]))
    shapes = []
    for outline in outlines:
        outer, *holes = (next(rings) for _ in outline.rings)
        shapes.append(shapely.Polygon(outer, holes))
    for outline, shape in zip(outlines, shapely.coverage_simplify(shapes, tolerance), strict=True):
        parts = (shapely.get_coordinates(ring)[:-1] for ring in shapely.get_rings(shape))
        yield Outline(outline.label, list(parts))


def _with_common_corners(rings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Rings with all corners of others that lie on their edges: where three classes meet, all three turn."""
    begins = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    corners = np.unique(begins, axis=0)
    first, count = np.zeros((2, len(begins)), np.int64)
    lines = []
    for axis in (0, 1):  # the coordinate along which an edge runs
        line = np.sort(corners[:, 1 - axis] * _FAR + corners[:, axis])
        here = begins[:, 1 - axis] == ends[:, 1 - axis]
        both = np.sort([begins[here, axis], ends[here, axis]], axis=0) + begins[here, 1 - axis] * _FAR
        first[here] = np.searchsorted(line, both[0], "right") + axis * len(line)
        count[here] = np.searchsorted(line, both[1], "left") + axis * len(line) - first[here]
        lines.append(np.stack([line % _FAR, line // _FAR][:: 1 - 2 * axis], axis=1))
    between = np.concatenate(lines)
    # Each edge's begin, and then the corners on it in the edge's direction.
    places = np.cumsum(count + 1) - count - 1
    edge = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    back = np.any(ends[edge] < begins[edge], axis=1)
    made = np.empty((len(begins) + len(edge), 2), np.int64)
    made[places] = begins
    made[places[edge] + 1 + step] = between[first[edge] + np.where(back, count[edge] - 1 - step, step)]
    sizes = np.cumsum([len(ring) for ring in rings])[:-1]
    return np.split(made, places[sizes])
