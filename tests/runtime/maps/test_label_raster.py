"""Maps: the labels of the whole image, with the raster's georeference, whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.maps import polygons
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

PLAIN = MapOptions(preview=False, device="cpu", threads=1)


def path_of(kind):
    return ARTIFACTS / f"0.1.0-{kind}.onnx"


@pytest.fixture
def scene(tmp_path):
    pixels = write_raster(tmp_path / "scene.tif", RGB, 560, 640, tiled=True)
    return tmp_path / "scene.tif", pixels


def options(**changed):
    return MapOptions(**{"preview": False, "device": "cpu", "threads": 1, **changed})


def read(path, band=1):
    with rasterio.open(path) as file:
        return file.read(band)


def test_a_map_has_the_labels_of_the_whole_image(scene, tmp_path):
    path, pixels = scene
    result = label_raster(path, path_of("sparse"), tmp_path / "map.tif", options(memory=10**10))
    with Segmenter(path_of("sparse"), "cpu", 1) as segmenter:
        assert (read(tmp_path / "map.tif") != segmenter(pixels).labels).mean() < 1e-5  # ties
    assert result.size == (560, 640)
    assert sum(area.pixels for area in result.areas) == 560 * 640


def test_a_map_lies_where_the_raster_does(scene, tmp_path):
    label_raster(scene[0], path_of("float"), tmp_path / "map.tif", PLAIN)
    with rasterio.open(scene[0]) as raster, rasterio.open(tmp_path / "map.tif") as file:
        assert (file.crs, file.transform, file.shape) == (raster.crs, raster.transform, raster.shape)
        assert file.nodata == 255
        assert file.colormap(1)[1][:3] != (0, 0, 0)
        assert file.tags()["FCN_EDGE_MODEL_SHA256"]
        assert "class_1" in (tmp_path / "map.tif.aux.xml").read_text()


def test_a_map_is_a_valid_cloud_optimized_geotiff(scene, tmp_path):
    from rio_cogeo import cog_validate

    label_raster(scene[0], path_of("float"), tmp_path / "map.tif", PLAIN)
    assert cog_validate(tmp_path / "map.tif", strict=True) == (True, [], [])


def test_areas_are_those_on_the_ground(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 200, 300)
    write_raster(tmp_path / "b.tif", RGB, 200, 300, crs="EPSG:3857", pixel=0.5)
    a, b = (
        label_raster(tmp_path / f"{name}.tif", path_of("float"), tmp_path / f"{name}-map.tif", PLAIN)
        for name in "ab"
    )
    utm, mercator = (sum(area.square_meters for area in result.areas) for result in (a, b))
    assert utm == pytest.approx(200 * 300 * 0.25 / 0.9996**2, rel=1e-4)
    latitude = np.arctan(np.sinh(5_000_000 / 6378137))
    assert mercator == pytest.approx(200 * 300 * 0.25 * np.cos(latitude) ** 2, rel=1e-2)


def test_pixels_without_data_have_no_label_and_do_not_spread(tmp_path):
    pixels = write_raster(tmp_path / "a.tif", RGB, 200, 300)
    pixels[60:120, 100:200] = 7
    planes = np.moveaxis(pixels, -1, 0)
    write_raster(tmp_path / "hole.tif", RGB, 200, 300, bands=planes, nodata=7)
    label_raster(tmp_path / "hole.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    labels = read(tmp_path / "map.tif")
    filled = pixels.copy()
    filled[60:120, 100:200] = np.rint(np.array(RGB.mean) / RGB.scale)
    with Segmenter(path_of("float"), "cpu", 1) as segmenter:
        expected = segmenter(filled).labels.copy()
    expected[60:120, 100:200] = 255
    assert (labels == expected).all()


def test_an_alpha_band_masks_and_is_not_read_as_a_color(tmp_path):
    pixels = write_raster(tmp_path / "a.tif", RGB, 200, 300)
    alpha = np.full((1, 200, 300), 255, np.uint8)
    alpha[:, :50] = 0
    planes = np.concatenate([np.moveaxis(pixels, -1, 0), alpha])
    write_raster(tmp_path / "rgba.tif", RGB, 200, 300, bands=planes, photometric="rgb", alpha="yes")
    label_raster(tmp_path / "rgba.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    labels = read(tmp_path / "map.tif")
    assert (labels[:50] == 255).all()
    assert (labels[50:] != 255).all()


def test_bands_are_taken_by_number_and_by_name(tmp_path):
    pixels = write_raster(tmp_path / "a.tif", RGB, 100, 120)
    planes = np.concatenate([np.zeros((1, 100, 120), np.uint8), np.moveaxis(pixels, -1, 0)])
    write_raster(tmp_path / "four.tif", RGB, 100, 120, bands=planes, photometric="minisblack")
    with rasterio.open(tmp_path / "four.tif", "r+") as file:
        file.descriptions = ("nir", "Red", "Green", "Blue")
    label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    for number, bands in enumerate([(2, 3, 4), ("red", "green", "BLUE"), ()]):
        out = tmp_path / f"map{number}.tif"
        label_raster(tmp_path / "four.tif", path_of("float"), out, options(bands=bands))
        assert (read(out) == read(tmp_path / "map.tif")).all()


def test_bands_that_do_not_fit_are_listed(tmp_path):
    planes = np.zeros((5, 50, 60), np.uint8)
    write_raster(tmp_path / "a.tif", RGB, 50, 60, bands=planes, photometric="minisblack")
    with pytest.raises(UsageError, match=r"1 gray, 2 undefined.*takes 3.*--bands"):
        label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    wrong = options(bands=("1", "2", "9"))
    with pytest.raises(UsageError, match="no band '9'"):
        label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", wrong)


def test_numbers_that_the_network_does_not_take_are_refused(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 50, 60, bands=np.zeros((3, 50, 60), np.uint16))
    with pytest.raises(InputError, match="holds uint16, expected uint8"):
        label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)


def test_a_scale_of_the_file_is_refused_or_ignored_on_request(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 50, 60)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.scales = (0.5, 0.5, 0.5)
    with pytest.raises(InputError, match=r"scale of 0\.5"):
        label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", options(stored_values=True))


def test_confidence_is_a_map_of_its_own(scene, tmp_path):
    path, pixels = scene
    label_raster(path, path_of("float"), tmp_path / "map.tif", options(confidence=tmp_path / "sure.tif"))
    with Segmenter(path_of("float"), "cpu", 1) as segmenter:
        assert np.abs(read(tmp_path / "sure.tif") - segmenter(pixels).confidence).max() < 1e-5


def test_polygons_cover_the_map_without_seams(scene, tmp_path):
    import pyogrio

    out = tmp_path / "map.gpkg"
    result = label_raster(scene[0], path_of("float"), tmp_path / "map.tif", options(polygons=out))
    meta, _, geometry, (ids, names, areas) = pyogrio.raw.read(out)
    assert result.polygons == len(geometry)
    assert meta["crs"] == "EPSG:32633"
    for area in result.areas:
        here = ids == area.id
        assert areas[here].sum() == pytest.approx(area.square_meters, rel=1e-6)
        assert set(names[here]) <= {area.name}


@pytest.mark.parametrize("rows", [64, 512])
@pytest.mark.slow
def test_geoparquet_has_the_polygons_of_a_geopackage(scene, tmp_path, monkeypatch, rows):
    import json

    import pyogrio

    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(polygons, "_ROWS", rows)
    for name in ("a.gpkg", "a.parquet"):
        out = options(polygons=tmp_path / name, overwrite=True)
        label_raster(scene[0], path_of("float"), tmp_path / "map.tif", out)
    _, _, geometry, (ids, names, areas) = pyogrio.raw.read(tmp_path / "a.gpkg")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["class_id", "class", "area_m2", "geometry"]
    rows = [(i, n, a, bytes(g)) for i, n, a, g in zip(ids, names, areas, geometry, strict=True)]
    assert [tuple(row.values()) for row in table.to_pylist()] == rows
    about = json.loads(table.schema.metadata[b"geo"])
    assert about["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 32633}


def test_small_polygons_are_left_out(scene, tmp_path):
    import pyogrio

    out = tmp_path / "map.geojson"
    label_raster(scene[0], path_of("float"), tmp_path / "map.tif", options(polygons=out, min_area=100.0))
    _, _, _, (_, _, areas) = pyogrio.raw.read(out)
    assert areas.min() >= 100


def test_ground_control_points_are_kept(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 90, 100, crs=None, transform=rasterio.Affine.identity())
    points = [GroundControlPoint(r, c, 10 + c / 1e4, 50 - r / 1e4) for r in (0, 90) for c in (0, 100)]
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.gcps = (points, rasterio.CRS.from_epsg(4326))
    label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert len(file.gcps[0]) == 4


def test_a_coarser_resolution_is_resampled(scene, tmp_path):
    label_raster(scene[0], path_of("float"), tmp_path / "map.tif", options(resolution=1.0))
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.shape == (280, 320)
        assert file.res == (1.0, 1.0)


@pytest.mark.parametrize("resolution", [1e-300, 5e-324, 1e-9])
def test_a_resolution_of_too_many_pixels_is_refused(scene, tmp_path, resolution):
    with pytest.raises(UsageError, match="expected at most"):
        label_raster(scene[0], path_of("float"), tmp_path / "map.tif", options(resolution=resolution))


@pytest.mark.parametrize(("trained", "warned"), [(0.5, False), (0.7, False), (0.8, True), (0.3, True)])
def test_a_raster_of_another_resolution_is_reported(tmp_path, monkeypatch, trained, warned):
    opened = Raster.open

    def with_resolution(name, spec, **given):
        return opened(name, replace(spec, resolution=trained), **given)

    monkeypatch.setattr(Raster, "open", with_resolution)
    write_raster(tmp_path / "a.tif", RGB, 50, 60)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    assert any(f"give --resolution {trained:g}" in str(w.message) for w in caught) == warned


def test_a_resolution_needs_meters(tmp_path):
    transform = rasterio.transform.from_origin(9, 50, 1e-4, 1e-4)
    write_raster(tmp_path / "a.tif", RGB, 50, 60, crs="EPSG:4326", transform=transform)
    with pytest.raises(UsageError, match="degrees"):
        label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", options(resolution=1.0))


def test_a_raster_without_georeference_is_labeled_and_named(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 50, 60, crs=None, transform=rasterio.Affine.identity())
    with pytest.warns(UserWarning, match="no georeference"):
        result = label_raster(tmp_path / "a.tif", path_of("float"), tmp_path / "map.tif", PLAIN)
    assert result.areas[0].square_meters is None


@pytest.mark.security("a raster that is cut short", "one line, no map")
def test_a_truncated_raster_gives_no_map(scene, tmp_path):
    path, _ = scene
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match="cannot be read as a raster"):
        label_raster(path, path_of("float"), tmp_path / "map.tif", PLAIN)
    assert not (tmp_path / "map.tif").exists()


def test_a_raster_that_is_changed_while_read_gives_no_map(scene, tmp_path, monkeypatch):
    add = Journal.add

    def touched(self, *given):
        add(self, *given)
        os.utime(scene[0], (1, 1))

    monkeypatch.setattr(Journal, "add", touched)
    with pytest.raises(InputError, match="changed while it was read"):
        label_raster(scene[0], path_of("float"), tmp_path / "map.tif", PLAIN)
    assert not (tmp_path / "map.tif").exists()


def test_several_threads_read_one_raster(scene):
    path, pixels = scene
    windows = [
        (slice(top, top + 90), slice(left, left + 70)) for top in (0, 110, 200) for left in (0, 130, 300)
    ]
    with Raster.open(path, RGB) as source, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda window: source.read(*window)[0], windows * 20))
    for window, read in zip(windows * 20, found, strict=True):
        assert np.array_equal(read, pixels[window])


def test_the_raster_and_other_files_are_not_overwritten(scene, tmp_path):
    path, _ = scene
    with pytest.raises(UsageError, match="overwrite the raster"):
        label_raster(path, path_of("float"), path, options(overwrite=True))
    (tmp_path / "map.tif").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        label_raster(path, path_of("float"), tmp_path / "map.tif", PLAIN)
    label_raster(path, path_of("float"), tmp_path / "map.tif", options(overwrite=True))


def test_a_network_that_sees_the_whole_image_makes_no_map(scene, tmp_path):
    with pytest.raises(UsageError, match="whole image"):
        label_raster(scene[0], path_of("pooled"), tmp_path / "map.tif", PLAIN)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene.tif"]


def test_too_little_memory_is_named(scene, tmp_path):
    with pytest.raises(UsageError, match="expected at least"):
        label_raster(scene[0], path_of("float"), tmp_path / "map.tif", options(memory=1 << 20))


_SLOWED = """
import sys, time
from fcn_edge_runtime.maps import label_raster as module
from fcn_edge_runtime.maps.sizing import BLOCK, Plan
module.plan_for = lambda *_: Plan((BLOCK // 4, BLOCK // 4), 0)
add = module.Journal.add
def slowly(self, *given):
    add(self, *given)
    print("tile", flush=True)
    time.sleep(float(sys.argv[4]))
module.Journal.add = slowly
options = module.MapOptions(preview=False, device="cpu", threads=1)
print(module.label_raster(*sys.argv[1:4], options).resumed)
"""


def _run(scene, out, seconds):
    command = [sys.executable, "-c", _SLOWED, scene, path_of("sparse"), out, str(seconds)]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)


def _killed_after_three_tiles(scene, out):
    process = _run(scene, out, 0.2)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()


def test_a_killed_map_goes_on_and_has_the_same_bytes(scene, tmp_path):
    whole, killed = tmp_path / "whole.tif", tmp_path / "killed.tif"
    assert _run(scene[0], whole, 0).communicate()[0].split()[-1] == "0"
    _killed_after_three_tiles(scene[0], killed)
    assert not killed.exists()
    resumed = int(_run(scene[0], killed, 0).communicate()[0].split()[-1])
    assert 2 <= resumed < 25
    assert killed.read_bytes() == whole.read_bytes()
    assert [path for path in tmp_path.iterdir() if "fcn-edge-map" in path.name] == []


def test_a_half_written_tile_is_made_again(scene, tmp_path):
    out = tmp_path / "map.tif"
    _killed_after_three_tiles(scene[0], out)
    journal = tmp_path / ".map.tif.fcn-edge-map"
    os.truncate(journal, journal.stat().st_size - 10)
    assert 1 <= int(_run(scene[0], out, 0).communicate()[0].split()[-1]) < 25


def test_a_changed_raster_starts_again(scene, tmp_path):
    out = tmp_path / "map.tif"
    _killed_after_three_tiles(scene[0], out)
    os.utime(scene[0], (time.time() + 5,) * 2)
    assert _run(scene[0], out, 0).communicate()[0].split()[-1] == "0"


_BOUNDED = """
import resource, sys
from fcn_edge_runtime.maps import polygons
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.raster import Raster
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
label_raster(*sys.argv[1:], MapOptions(preview=False, device="cpu", threads=1))
"""


@pytest.mark.security("a disk that is full while a map is made", "one error, no map, what is done stays")
def test_a_full_disk_leaves_no_map(scene, tmp_path):
    out = tmp_path / "map.tif"
    command = [sys.executable, "-c", _BOUNDED, scene[0], path_of("float"), out]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert "ArtifactError" in done.stderr
    assert "choose another place" in done.stderr
    assert not out.exists()


@pytest.mark.security("a raster that shrinks while it is read", "one error, no map")
def test_a_raster_that_shrinks_while_read_gives_no_map(scene, tmp_path):
    out = tmp_path / "map.tif"
    process = _run(scene[0], out, 0.3)
    process.stdout.readline()
    os.truncate(scene[0], 5000)
    assert process.wait() != 0
    assert not out.exists()


def test_a_card_without_bands_is_written_as_before_there_were_any():
    with ModelFile.open(path_of("float")) as model:
        card = model.card
    assert "bands" not in card.to_dict()["input"]
    assert "resolution" not in card.to_dict()["input"]
    named = replace(card, input=replace(RGB, bands=("red", "green", "nir"), resolution=0.3))
    assert named.to_dict()["input"]["bands"] == ("red", "green", "nir")
    assert Card.from_json(named.to_json()).input == named.input
