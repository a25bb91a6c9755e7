"""Meters, areas and warnings of rasters in other projections, in degrees, and without a place on Earth."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import rasterio
from rasterio.control import GroundControlPoint

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.raster import Raster
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

MODEL = ARTIFACTS / "0.1.0-float.onnx"
# At 60 degrees of latitude, where 2 units are a meter.
MERCATOR = {
    "crs": "EPSG:3857",
    "transform": rasterio.Affine(2, 0, 1_000_000, 0, -2, 8_399_738),
}
DEGREES = {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-5, 0, 9, 0, -1e-5, 50)}
SOUTH = {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-5, 0, -70.5, 0, -1e-5, -33)}
NO_TRANSFORM = {"transform": rasterio.Affine.identity()}
NO_CRS = {"crs": None}
NOTHING = {**NO_CRS, **NO_TRANSFORM}


def options(**changed):
    return MapOptions(**{"preview": False, "device": "cpu", "threads": 1, **changed})


def mapped(folder, where, **changed):
    """The result for a raster that lies there, and the texts of its warnings."""
    write_raster(folder / "a.tif", RGB, 50, 60, **where)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = label_raster(folder / "a.tif", MODEL, folder / "map.tif", options(**changed))
    return result, [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


@pytest.fixture
def trained(monkeypatch):
    """The network was trained with pixels of 0.3 m."""
    opened = Raster.open
    monkeypatch.setattr(
        Raster, "open", lambda name, spec, **given: opened(name, replace(spec, resolution=0.3), **given)
    )


@pytest.mark.usefixtures("trained")
def test_the_resolution_that_a_warning_names_ends_it(tmp_path):
    _, texts = mapped(tmp_path, MERCATOR)
    assert [text[text.index("has pixels") :] for text in texts] == [
        "has pixels of 1 m, and the network was trained with 0.3 m: give --resolution 0.3"
    ]
    result, texts = mapped(tmp_path, MERCATOR, resolution=0.3, overwrite=True)
    assert texts == []
    assert result.size == (167, 201)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(("where", "zone"), [(DEGREES, "32632"), (SOUTH, "32719")])
def test_degrees_are_told_their_utm_zone(tmp_path, where, zone):
    _, texts = mapped(tmp_path, where)
    assert f"gdalwarp -t_srs EPSG:{zone}, then give --resolution 0.3" in texts[0]
    with pytest.raises(UsageError, match=f"EPSG:{zone}"):
        mapped(tmp_path, where, resolution=0.3, overwrite=True)


@pytest.mark.parametrize(
    ("where", "lacks"), [(NOTHING, "georeference"), (NO_TRANSFORM, "georeference"), (NO_CRS, "CRS")]
)
def test_areas_without_a_place_are_in_pixels_and_named(tmp_path, where, lacks):
    result, texts = mapped(tmp_path, where, polygons=tmp_path / "map.fgb")
    assert texts == [f"{tmp_path / 'a.tif'} has no {lacks}, and neither will the map"]
    assert result.areas[0].square_meters is None


@pytest.mark.parametrize("where", [NOTHING, NO_TRANSFORM, NO_CRS])
@pytest.mark.parametrize("wanted", [{"min_area": 2.0}, {"simplify": 2.0}, {"resolution": 2.0}])
def test_meters_without_a_place_are_refused(tmp_path, where, wanted):
    with pytest.raises(UsageError, match="is in meters"):
        mapped(tmp_path, where, polygons=tmp_path / "map.fgb", **wanted)


def test_polygons_of_control_points_are_named_as_pixels(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 50, 60, **NOTHING)
    points = [GroundControlPoint(r, c, 10 + c / 1e4, 50 - r / 1e4) for r in (0, 50) for c in (0, 60)]
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.gcps = (points, rasterio.CRS.from_epsg(4326))
    with pytest.warns(UserWarning, match="but ground control points: its polygons are in pixels"):
        label_raster(tmp_path / "a.tif", MODEL, tmp_path / "map.tif", options(polygons=tmp_path / "map.fgb"))
