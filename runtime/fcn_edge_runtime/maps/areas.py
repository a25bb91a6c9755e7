"""Areas on the ground: a pixel's square meters, in an equal-area projection around the raster's center.

Lambert's azimuthal equal-area projection on the raster's own ellipsoid keeps areas everywhere, so that
degrees and Mercator's stretched meters give the same square meters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

__all__ = ["Ground", "Placed"]


class Placed(Protocol):
    """What has a place in a CRS: a `Raster`, or a file that rasterio has open."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def crs(self) -> Any:
        """Rasterio's CRS, or None."""

    @property
    def transform(self) -> Any:
        """From columns and rows to the CRS; the identity where the file has none."""


_Sides = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Ground:
    """Where a raster lies on the ground.

    Attributes:
        center: of the raster, (longitude, latitude) in degrees.
        pixel: sides of the pixel at the center, (along a row, along a column) in meters.
    """

    center: tuple[float, float]
    pixel: tuple[float, float]
    _crs: Any
    _equal_area: Any
    _transform: Any

    @classmethod
    def of(cls, raster: Placed) -> Ground | None:
        """That of a raster; None where its CRS is not known, or where it lies in it."""
        if raster.crs is None or raster.transform.is_identity:
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
            ground = cls((longitude, latitude), (0.0, 0.0), raster.crs, equal, raster.transform)
            sides = ground._sides(np.array([raster.height / 2]), np.array([raster.width / 2]))
            ground = replace(ground, pixel=(float(np.hypot(*sides[0])[0]), float(np.hypot(*sides[1])[0])))
            edges = [
                ground.of_rows(slice(row, row + 1), slice(0, raster.width)) for row in (0, raster.height - 1)
            ]
        except (CRSError, CPLE_BaseError, ValueError):
            return None
        return ground if all(0 < edge[0] < np.inf for edge in edges) else None

    @property
    def side(self) -> float:
        """The side of a square as large as the pixel at the center, meters."""
        return float(np.sqrt(self.pixel[0] * self.pixel[1]))

    def meters(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the raster's CRS in the equal-area projection."""
        from rasterio.warp import transform

        east, north = transform(self._crs, self._equal_area, x, y)
        return np.asarray(east), np.asarray(north)

    def of_rows(self, rows: slice, columns: slice) -> np.ndarray:
        """Square meters of a pixel in each of the rows, in the middle of the columns."""
        row = np.arange(rows.start, rows.stop, dtype=np.float64)
        across, along = self._sides(row, np.full_like(row, (columns.start + columns.stop) / 2))
        return np.asarray(np.abs(across[0] * along[1] - across[1] * along[0]))

    def _sides(self, row: np.ndarray, column: np.ndarray) -> tuple[_Sides, _Sides]:
        """Meters east and north from the corners of pixels to the next column, and to the next row."""
        corners = [(column, row), (column + 1, row), (column, row + 1)]
        points = [_at(self._transform, *corner) for corner in corners]
        count = len(row)
        east, north = self.meters(*(np.concatenate([point[axis] for point in points]) for axis in (0, 1)))
        across = east[count : 2 * count] - east[:count], north[count : 2 * count] - north[:count]
        along = east[2 * count :] - east[:count], north[2 * count :] - north[:count]
        return across, along


def _at(transform: Any, column: Any, row: Any) -> tuple[Any, Any]:
    """Pixels in the raster's CRS; affine 3 has another operator for it than affine 2."""
    return (
        transform.a * column + transform.b * row + transform.c,
        transform.d * column + transform.e * row + transform.f,
    )
