"""Areas on the ground: a pixel's square meters, in an equal-area projection around the raster's center.

Lambert's azimuthal equal-area projection on the raster's own ellipsoid keeps areas everywhere, so that
degrees and Mercator's stretched meters give the same square meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime.maps.raster import Raster

__all__ = ["Ground"]


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a raster lies on the ground."""

    _crs: Any
    _equal_area: Any
    _transform: Any

    @classmethod
    def of(cls, raster: Raster) -> Ground | None:
        """That of a raster; None where its CRS is not known."""
        if raster.crs is None:
            return None
        from rasterio._err import CPLE_BaseError
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
        from rasterio.warp import transform

        x, y = _at(raster.transform, raster.width / 2, raster.height / 2)
        try:
            (longitude,), (latitude,) = transform(raster.crs, CRS.from_epsg(4326), [x], [y])
            equal = CRS.from_string(
                f"+proj=laea +lat_0={latitude:.6f} +lon_0={longitude:.6f} +datum=WGS84 +units=m"
            )
            ground = cls(raster.crs, equal, raster.transform)
            edges = [
                ground.of_rows(slice(row, row + 1), slice(0, raster.width)) for row in (0, raster.height - 1)
            ]
        except (CRSError, CPLE_BaseError, ValueError):
            return None
        return ground if all(0 < edge[0] < np.inf for edge in edges) else None

    def meters(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the raster's CRS in the equal-area projection."""
        from rasterio.warp import transform

        east, north = transform(self._crs, self._equal_area, x, y)
        return np.asarray(east), np.asarray(north)

    def of_rows(self, rows: slice, columns: slice) -> np.ndarray:
        """Square meters of a pixel in each of the rows, in the middle of the columns."""
        row = np.arange(rows.start, rows.stop, dtype=np.float64)
        column = np.full_like(row, (columns.start + columns.stop) / 2)
        corners = [(column, row), (column + 1, row), (column, row + 1)]
        points = [_at(self._transform, *corner) for corner in corners]
        count = len(row)
        east, north = self.meters(*(np.concatenate([point[axis] for point in points]) for axis in (0, 1)))
        across = east[count : 2 * count] - east[:count], north[count : 2 * count] - north[:count]
        along = east[2 * count :] - east[:count], north[2 * count :] - north[:count]
        return np.asarray(np.abs(across[0] * along[1] - across[1] * along[0]))


def _at(transform: Any, column: Any, row: Any) -> tuple[Any, Any]:
    """Pixels in the raster's CRS; affine 3 has another operator for it than affine 2."""
    return (
        transform.a * column + transform.b * row + transform.c,
        transform.d * column + transform.e * row + transform.f,
    )
