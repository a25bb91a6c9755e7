from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

ROOT = Path(__file__).parents[2]
SCENES = ROOT / "models" / "landcover"
ARTIFACTS = ROOT / "tests" / "artifacts"
FLOAT = ARTIFACTS / "0.1.0-float.onnx"


def run(*args, cwd):
    command = [sys.executable, "-m", "fcn_edge", "map", *map(str, args), "--device", "cpu", "--threads", "1"]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_map_writes_a_map_a_picture_and_a_summary(tmp_path):
    done = run(SCENES / "aerial.tif", "--model", FLOAT, "-o", "map.tif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "map.tif: 400x400 pixels" in done.stdout
    assert " m2" in done.stdout
    assert "times the pixels" in done.stderr
    names = ["map.preview.png", "map.qml", "map.tif", "map.tif.aux.xml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with rasterio.open(SCENES / "aerial.tif") as raster, rasterio.open(tmp_path / "map.tif") as file:
        assert file.bounds == raster.bounds
        nothing = (raster.read() == 255).all(axis=0)
        assert ((file.read(1) == 255) == nothing).all()


def test_map_prints_one_json_object(tmp_path):
    done = run(SCENES / "aerial.tif", "--model", FLOAT, "-o", "map.tif", "--json", "-q", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["size"] == [400, 400]
    assert sum(area["pixels"] for area in result["areas"]) == 160_000
    assert sum(area["square_meters"] for area in result["areas"]) == pytest.approx(1600, rel=1e-3)


def test_a_real_satellite_scene_of_16_bits_becomes_a_map(tmp_path):
    model = ARTIFACTS / "0.1.0-uint16.onnx"
    done = run(SCENES / "scene.tif", "--model", model, "-o", "map.tif", "--bands", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "km2" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("-o", "map.png"), 2, "ends in .tif"),
        (("-o", "map.tif", "--memory", "much"), 2, "such as 800MiB"),
        (("-o", "map.tif", "--polygons", "map.shp"), 2, ".gpkg"),
        (("-o", "map.tif", "--bands", "1,2"), 2, "takes 3"),
        (("-o", "map.tif", "--memory", "1MiB"), 2, "expected at least"),
        (("-o", SCENES / "aerial.tif", "--overwrite"), 2, "overwrite the raster"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(tmp_path, args, code, words):
    done = run(SCENES / "aerial.tif", "--model", FLOAT, "-q", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a raster of a known format"),
        (b"%PDF-1.7", "is a PDF file"),
        (b"II*\0\x08\0\0\0", "is damaged or truncated"),
    ],
)
def test_what_is_not_a_raster_is_one_line(tmp_path, content, words):
    (tmp_path / "a.tif").write_bytes(content)
    done = run("a.tif", "--model", FLOAT, "-o", "map.tif", "-q", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: a.tif {words}")
    assert done.stderr.count("\n") == 1


def test_scenes_are_small_and_real():
    for path in SCENES.glob("*.tif"):
        assert path.stat().st_size < 3 << 20
        with rasterio.open(path) as file:
            assert file.crs.is_projected
            assert len(np.unique(file.read(1))) > 100


def test_run_on_a_georeferenced_image_names_map(tmp_path):
    command = [sys.executable, "-m", "fcn_edge", "run", FLOAT, SCENES / "aerial.tif", "-o", "out", "-q"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0
    assert "`fcn-edge map` keeps the georeference" in done.stderr


@pytest.mark.parametrize(
    ("bands", "dtype", "words"),
    [(3, "uint16", "3 bands of 16"), (5, "uint8", "5 bands of 8"), (9, "uint8", "9 bands")],
)
def test_run_on_a_tiff_of_other_bands_names_map(tmp_path, bands, dtype, words):
    profile = {"driver": "GTiff", "height": 40, "width": 50, "count": bands, "dtype": dtype}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, crs="EPSG:32633") as file:
        file.write(np.zeros((bands, 40, 50), dtype))
    command = [sys.executable, "-m", "fcn_edge", "run", FLOAT, "a.tif", "-o", "out", "-q"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert words in done.stderr
    assert "label it with `fcn-edge map`" in done.stderr


def georeferenced(path, crs, **changed):
    profile = {"driver": "GTiff", "height": 700, "width": 700, "count": 3, "dtype": "uint8", **changed}
    where = {"crs": crs, "transform": rasterio.transform.from_origin(9, 50, 1e-4, 1e-4)} if crs else {}
    with rasterio.open(path, "w", **where, **profile) as file:
        file.write(np.random.default_rng(0).integers(0, 255, (3, 700, 700), np.uint8))


def degrees(folder):
    georeferenced(folder / "a.tif", "EPSG:4326")


def without_georeference(folder):
    georeferenced(folder / "a.tif", None)


def cut(folder):
    degrees(folder)
    os.truncate(folder / "a.tif", (folder / "a.tif").stat().st_size // 2)


BAD = {
    "wrong bands": (degrees, ["--bands", "1,2,7"], 2, "no band '7'"),
    "degrees": (degrees, ["--resolution", "0.5"], 2, "a.tif has degrees"),
    "no CRS": (without_georeference, ["--resolution", "0.5"], 2, "a.tif has no CRS"),
    "cut": (cut, [], 1, "a.tif cannot be read as a raster"),
    "output on the input": (degrees, ["-o", "a.tif", "--overwrite"], 2, "would overwrite the raster"),
    "global context": (degrees, ["--model", ARTIFACTS / "0.1.0-pooled.onnx"], 2, "--approximate overlap=256"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_input_is_one_line_and_writes_nothing(tmp_path, kind):
    make, args, code, words = BAD[kind]
    make(tmp_path)
    done = run("a.tif", "--model", FLOAT, "-o", "map.tif", "-q", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_raster_without_georeference_is_labeled_and_says_so(tmp_path):
    without_georeference(tmp_path)
    done = run("a.tif", "--model", FLOAT, "-o", "map.tif", "-q", cwd=tmp_path)
    assert done.returncode == 0
    assert "a.tif has no georeference, and neither will the map" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_line(tmp_path):
    georeferenced(tmp_path / "a.tif", "EPSG:4326")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
    limited += "from fcn_edge.cli import main; sys.exit(main())"
    args = ["map", "a.tif", "--model", FLOAT, "-o", "map.tif", "-q", "--device", "cpu"]
    command = list(map(str, [sys.executable, "-c", limited, *args]))
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "choose another place" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]  # no tile was done


@pytest.mark.slow
def test_bench_measures_maps_of_a_raster(tmp_path):
    georeferenced(tmp_path / "a.tif", "EPSG:4326")
    args = ["bench", FLOAT, "--map", "a.tif", "--json", "-q", "--threads", "1"]
    command = [sys.executable, "-m", "fcn_edge", *args]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=300)
    (found,) = json.loads(done.stdout)
    assert found["size"] == [700, 700]
    assert 0 < found["network_seconds"] < found["seconds"]
    assert 0 < found["efficiency"]["median"] < 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
