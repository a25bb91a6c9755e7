"""The classes of a map as polygons, in the map's CRS, with their areas on the ground.

GDAL follows the labels row by row; connected pixels of one class (by their sides) are one polygon, however
large the map is. Polygons are collected in memory before they are written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.model.card import Card

__all__ = ["FORMATS", "check_polygons", "write_polygons"]

FORMATS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf"}
_AT_ONCE = 50_000
_LONGEST_EDGE = 64  # pixels: a longer edge is bent by a change of projection
_POLYGON = 3  # in well-known binary


def write_polygons(
    labels: Path, path: Path, part: Path, card: Card, ground: Ground | None, least: float
) -> int:
    """Write the polygons of a map.

    Args:
        labels: the map.
        path: of the result, whose ending is one of `FORMATS`.
        part: what is written.
        card: of the model.
        ground: of the map; None writes areas in pixels of the map's CRS.
        least: smaller areas are left out, square meters.

    Returns:
        How many were written.

    Raises:
        ArtifactError: they cannot be written.
    """
    pyogrio = require("pyogrio", "writing polygons", InputError)
    import rasterio
    from rasterio.features import shapes

    # A GeoPackage holds the time of its last change: the same map gives the same bytes.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z"})
    driver, written, made = FORMATS[path.suffix.lower()], 0, False
    area_name = "area_m2" if ground is not None else "area"
    with rasterio.open(labels) as file:
        crs = None if file.crs is None else file.crs.to_wkt()
        edge = _LONGEST_EDGE * float(np.hypot(file.transform.a, file.transform.d))
        found = (
            (shape, int(label))
            for shape, label in shapes(rasterio.band(file, 1), connectivity=4, transform=file.transform)
            if label != card.unlabeled
        )
        while True:
            some = list(islice(found, _AT_ONCE))
            if made and not some:
                break
            measured = _measured(some, ground, edge)
            kept = [entry for entry in measured if entry[1] >= least]
            ids = np.array([label for label, _, _ in kept], np.int32)
            columns = [
                ids,
                np.array([card.classes[label].name for label in ids], object),
                np.array([area for _, area, _ in kept], np.float64),
            ]
            try:
                pyogrio.raw.write(
                    str(part), geometry=np.array([wkb for _, _, wkb in kept], object), field_data=columns,
                    fields=["class_id", "class", area_name], geometry_type="Polygon", crs=crs, driver=driver,
                    layer=path.stem, append=made,
                )  # fmt: skip
            except pyogrio.errors.DataSourceError as error:
                raise ArtifactError(
                    f"{path} cannot be written ({' '.join(str(error).split())[:300]})"
                ) from None
            written, made = written + len(kept), True
    return written


def check_polygons(path: Path) -> None:
    """Raise UsageError unless polygons can be written with this ending."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"got --polygons {path}, expected a name that ends in {', '.join(FORMATS)}")


def _measured(
    found: Sequence[tuple[Any, int]], ground: Ground | None, edge: float
) -> list[tuple[int, float, bytes]]:
    """(label, area, well-known binary) of each polygon; all points are moved to the ground at once."""
    if not found:
        return []
    polygons = [[np.array(ring, np.float64) for ring in shape["coordinates"]] for shape, _ in found]
    rings = [ring for polygon in polygons for ring in polygon]
    dense = rings if ground is None else [_dense(ring, edge) for ring in rings]
    points = np.concatenate(dense)
    x, y = points.T if ground is None else ground.meters(points[:, 0], points[:, 1])
    begins = np.cumsum([0, *map(len, dense)])[:-1]
    # From each ring's first point, so that large coordinates do not round small areas.
    lengths = [len(ring) for ring in dense]
    x, y = x - np.repeat(x[begins], lengths), y - np.repeat(y[begins], lengths)
    crossed = np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0.0)
    crossed[begins[1:] - 1] = 0.0  # from one ring to the next
    areas = iter(np.abs(np.add.reduceat(crossed, begins)) / 2)
    measured = []
    for (_, label), polygon in zip(found, polygons, strict=True):
        outer, *holes = islice(areas, len(polygon))
        measured.append((label, float(outer - sum(holes)), _binary(polygon)))
    return measured


def _dense(ring: np.ndarray, edge: float) -> np.ndarray:
    """The same ring with points on edges that are longer than this."""
    lengths = np.hypot(*np.diff(ring, axis=0).T)
    if lengths.max() <= edge:
        return ring
    count = np.maximum(1, np.ceil(lengths / edge)).astype(int)
    at = np.repeat(np.arange(len(count)), count)
    share = (np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)) / count[at]
    where, known = np.append(at + share, len(count)), np.arange(len(ring))
    return np.stack([np.interp(where, known, axis) for axis in ring.T], axis=1)


def _binary(rings: Sequence[np.ndarray]) -> bytes:
    """A polygon as well-known binary, little-endian."""
    head = struct.pack("<BII", 1, _POLYGON, len(rings))
    return head + b"".join(struct.pack("<I", len(ring)) + ring.astype("<f8").tobytes() for ring in rings)
