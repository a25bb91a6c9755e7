"""Simplified polygons: fewer corners, and neighbors that still share their borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.imaging.outlines import outlines
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.simplify import simplified
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

shapely = pytest.importorskip("shapely", minversion="2.1")
NOTHING = 255


def shapes_of(found):
    return [shapely.Polygon(o.rings[0], o.rings[1:]) for o in found]


def blobs(seed, side=60, classes=4):
    """Areas of several classes with stairs, islands, and places without data."""
    rng = np.random.default_rng(seed)
    fields = rng.normal(size=(classes, side // 4 + 3, side // 4 + 3))
    for _ in range(2):
        fields = fields + np.roll(fields, 1, 1) + np.roll(fields, 1, 2)
    at = np.arange(side) / 4
    low, share = at.astype(int), at % 1
    rows = fields[:, low] * (1 - share)[:, None] + fields[:, low + 1] * share[:, None]
    full = rows[:, :, low] * (1 - share) + rows[:, :, low + 1] * share
    labels = full.argmax(axis=0).astype(np.uint8)
    labels[20:27, 30:36] = NOTHING
    return labels


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), tolerance=st.floats(1, 6), rows=st.integers(7, 60))
def test_neighbors_neither_gap_nor_overlap(seed, tolerance, rows):
    labels = blobs(seed)
    found = list(outlines([labels[top : top + rows] for top in range(0, len(labels), rows)], NOTHING))
    before, after = shapes_of(found), shapes_of(simplified(found, tolerance))
    assert all(shape.is_valid and shape.area > 0 for shape in after)
    whole, together = shapely.union_all(before), shapely.union_all(after)
    assert sum(shape.area for shape in after) == pytest.approx(together.area)  # no overlaps
    assert len(shapely.get_rings(together)) == len(shapely.get_rings(whole))  # no gaps
    assert bool(shapely.coverage_is_valid(after))
    corners = [sum(map(shapely.get_num_coordinates, shapes)) for shapes in (before, after)]
    assert corners[1] < corners[0]


def test_a_diagonal_of_stairs_becomes_a_line():
    labels = np.tri(30, dtype=np.uint8)
    found = list(simplified(outlines([labels], NOTHING), 1.5))
    assert sum(len(o.rings[0]) for o in found) <= 14


def test_the_command_s_polygons_share_their_borders(tmp_path):
    import pyogrio

    write_raster(tmp_path / "a.tif", RGB, 90, 110)
    out, counts = tmp_path / "a.gpkg", []
    for meters in (None, 1.5):
        options = MapOptions(
            preview=False, device="cpu", threads=1, polygons=out, simplify=meters, overwrite=True
        )
        result = label_raster(tmp_path / "a.tif", ARTIFACTS / "0.1.0-float.onnx", tmp_path / "m.tif", options)
        _, _, geometry, (_, _, areas) = pyogrio.raw.read(out)
        shapes = shapely.from_wkb(geometry)
        assert areas.sum() == pytest.approx(sum(area.square_meters for area in result.areas), rel=0.01)
        counts.append(sum(map(shapely.get_num_coordinates, shapes)))
    assert bool(shapely.coverage_is_valid(shapes))
    assert counts[1] < counts[0]


@pytest.mark.parametrize(
    ("crs", "more", "words"),
    [(None, {"polygons": "a.gpkg"}, "has no CRS"), ("EPSG:32633", {}, "without --polygons")],
)
def test_what_cannot_be_simplified_is_refused(tmp_path, crs, more, words):
    write_raster(tmp_path / "a.tif", RGB, 50, 60, crs=crs)
    polygons = tmp_path / more["polygons"] if more else None
    with pytest.raises(UsageError, match=words):
        label_raster(
            tmp_path / "a.tif", ARTIFACTS / "0.1.0-float.onnx", tmp_path / "m.tif",
            MapOptions(preview=False, device="cpu", simplify=1.0, polygons=polygons),
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
