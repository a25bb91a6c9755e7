"""The classes of a map as polygons, in the map's CRS, with their areas on the ground.

Connected pixels of one class (by their sides) are one polygon, however large the map is. They are written as
they are found, so that memory holds those alone that are not at their end.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.imaging.outlines import outlines
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.raster import without_place_warnings
from fcn_edge_runtime.maps.simplify import simplified
from fcn_edge_runtime.model.card import Card

__all__ = ["FORMATS", "check_polygons", "write_polygons"]

FORMATS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf", ".parquet": "GeoParquet"}
_AT_ONCE = 50_000
_ROWS = 512  # of the map that are outlined at once
_LONGEST_EDGE = 64  # pixels: a longer edge is bent by a change of projection
_POLYGON = 3  # in well-known binary


def write_polygons(
    labels: Path,
    path: Path,
    part: Path,
    card: Card,
    ground: Ground | None,
    least: float,
    simplify: float | None = None,
) -> int:
    """Write the polygons of a map.

    Args:
        labels: the map.
        path: of the result, whose ending is one of `FORMATS`.
        part: what is written.
        card: of the model.
        ground: of the map; None writes areas in pixels of the map's CRS.
        least: smaller areas are left out, square meters.
        simplify: take corners away whose triangles are smaller than the square of so many meters: all
            polygons are in memory then. None keeps every pixel's corner.

    Returns:
        How many were written.

    Raises:
        ArtifactError: they cannot be written.
    """
    import rasterio

    written = 0
    with without_place_warnings(), rasterio.open(labels) as file:
        crs, move = file.crs, file.transform
        edge = _LONGEST_EDGE * float(np.hypot(move.a, move.d))
        found = outlines(
            (
                file.read(1, window=((first, min(first + _ROWS, file.height)), (0, file.width)))
                for first in range(0, file.height, _ROWS)
            ),
            card.unlabeled,
        )
        if simplify is not None and ground is not None:
            found = simplified(found, simplify / ground.side)
        names = ("class_id", "class", "area_m2" if ground is not None else "area")
        with (_parquet if path.suffix.lower() == ".parquet" else _by_gdal)(path, part, crs, names) as write:
            while some := list(islice(found, _AT_ONCE)):
                moved = [(o.label, [_moved(ring, move) for ring in o.rings]) for o in some]
                kept = [entry for entry in _measured(moved, ground, edge) if entry[1] >= least]
                ids = np.array([label for label, _, _ in kept], np.int32)
                texts = np.array([card.classes[label].name for label in ids], object)
                areas = np.array([area for _, area, _ in kept], np.float64)
                write([wkb for _, _, wkb in kept], [ids, texts, areas])
                written += len(kept)
            if not written:
                write([], [np.empty(0, np.int32), np.empty(0, object), np.empty(0)])
    return written


_Write = Callable[[list[bytes], list[np.ndarray]], None]  # geometries, and the columns


@contextlib.contextmanager
def _by_gdal(path: Path, part: Path, crs: Any, names: Sequence[str]) -> Iterator[_Write]:
    """Write with GDAL's driver of the path's ending."""
    pyogrio = require("pyogrio", "writing polygons", InputError)
    # A GeoPackage holds the time of its last change: the same map gives the same bytes.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z"})
    made, written = [False], [0]

    def write(geometries: list[bytes], columns: list[np.ndarray]) -> None:
        if made[0] and not geometries:
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")  # `label_raster` says so
            pyogrio.raw.write(
                str(part), geometry=np.array(geometries, object), field_data=columns, fields=list(names),
                geometry_type="Polygon", crs=None if crs is None else crs.to_wkt(),
                driver=FORMATS[path.suffix.lower()], layer=path.stem, append=made[0],
            )  # fmt: skip
        made[0] = True
        written[0] += len(geometries)

    try:
        yield write
        if not _whole(part, written[0]):
            raise ArtifactError(f"{path} cannot be written (its end is missing): is the disk full?")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ArtifactError(f"{path} cannot be written ({' '.join(str(error).split())[:300]})") from None


def _whole(part: Path, count: int) -> bool:
    """Whether all of a file is there: GDAL writes a file's end when it closes it, and ignores errors then."""
    if part.suffix.lower() == ".geojson":
        with part.open("rb") as stream:
            stream.seek(-2, os.SEEK_END)
            return stream.read() == b"}\n"
    pyogrio = require("pyogrio", "writing polygons", InputError)
    indexed = pyogrio.read_info(str(part))["capabilities"]["fast_spatial_filter"]
    last = pyogrio.raw.read(str(part), skip_features=max(0, count - 1), max_features=1)[2]
    return len(last) == min(count, 1) and (indexed or not count)


@contextlib.contextmanager
def _parquet(path: Path, part: Path, crs: Any, names: Sequence[str]) -> Iterator[_Write]:
    """Write GeoParquet 1.1: columns, and a geometry in well-known binary."""
    pyarrow = require("pyarrow", "writing GeoParquet", InputError)
    from pyarrow import parquet

    projected = None if crs is None else crs.to_dict(projjson=True)
    geometry = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": projected}
    about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    types = (pyarrow.int32(), pyarrow.string(), pyarrow.float64(), pyarrow.binary())
    schema = pyarrow.schema(
        list(zip((*names, "geometry"), types, strict=True)), metadata={"geo": json.dumps(about)}
    )
    try:
        with parquet.ParquetWriter(part, schema, compression="zstd") as file:

            def write(geometries: list[bytes], columns: list[np.ndarray]) -> None:
                values = [*columns, geometries]
                arrays = [pyarrow.array(v, t) for v, t in zip(values, types, strict=True)]
                file.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

            yield write
    except (OSError, pyarrow.ArrowException) as error:
        raise ArtifactError(f"{path} cannot be written ({' '.join(str(error).split())[:300]})") from None


def _moved(ring: np.ndarray, transform: Any) -> np.ndarray:
    """A ring of corners of pixels in the map's CRS, closed."""
    closed = np.concatenate([ring, ring[:1]]).astype(np.float64)
    x = transform.a * closed[:, 0] + transform.b * closed[:, 1] + transform.c
    y = transform.d * closed[:, 0] + transform.e * closed[:, 1] + transform.f
    return np.stack([x, y], axis=1)


def check_polygons(path: Path) -> None:
    """Raise UsageError for an ending that is not known, and InputError where its library is missing."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise UsageError(f"got --polygons {path}, expected a name that ends in {', '.join(FORMATS)}")
    if ending == ".parquet":
        require("pyarrow", "writing GeoParquet", InputError)
    else:
        require("pyogrio", "writing polygons", InputError)


def _measured(
    found: Sequence[tuple[int, list[np.ndarray]]], ground: Ground | None, edge: float
) -> list[tuple[int, float, bytes]]:
    """(label, area, well-known binary) of each polygon; all points are moved to the ground at once."""
    if not found:
        return []
    polygons = [polygon for _, polygon in found]
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
    for label, polygon in found:
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
