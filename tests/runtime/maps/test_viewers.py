"""Other programs read a map as it was meant: GDAL's own, and QGIS in its own Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.model.file import ModelFile

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "tests" / "artifacts" / "0.1.0-float.onnx"
LOOK = Path(__file__).with_name("qgis_look.py")
SYSTEM_PYTHON = "/usr/bin/python3"
OTHERS = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GDAL", "PROJ"))}


def has_qgis():
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return not subprocess.run(
        [SYSTEM_PYTHON, "-c", "import qgis.core"], env=OTHERS, capture_output=True
    ).returncode


@pytest.fixture(scope="module")
def cover(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cover")
    options = MapOptions(polygons=folder / "map.gpkg", preview=False, device="cpu", threads=1)
    label_raster(ROOT / "models" / "landcover" / "aerial.tif", MODEL, folder / "map.tif", options)
    return folder


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo is not installed")
def test_gdalinfo_names_the_classes(cover):
    shown = subprocess.run(["gdalinfo", cover / "map.tif"], env=OTHERS, capture_output=True, text=True).stdout
    assert "LAYOUT=COG" in shown
    assert "0: class_0" in shown
    assert "NoData Value=255" in shown


@pytest.mark.slow
@pytest.mark.skipif(not has_qgis(), reason="QGIS is not installed: apt-get install python3-qgis")
def test_qgis_shows_the_classes_in_their_colors(cover, tmp_path):
    from PIL import Image

    with ModelFile.open(MODEL) as model:
        classes = model.card.classes
    command = [SYSTEM_PYTHON, LOOK, cover / "map.tif", cover / "map.gpkg", tmp_path / "seen.png"]
    done = subprocess.run(command, env=OTHERS, capture_output=True, text=True, timeout=100)
    report = json.loads(done.stdout)
    assert report["valid"] == [True, True]
    assert report["crs"] == ["EPSG:32617", "EPSG:32617"]
    assert report["classes"] == {c.name: list(c.color) for c in classes}
    assert report["fields"] == ["fid", "class_id", "class", "area_m2"]
    assert report["polygons"] > 0
    seen = np.array(Image.open(tmp_path / "seen.png").convert("RGB")).reshape(-1, 3)
    drawn = {tuple(color) for color in np.unique(seen, axis=0).tolist()}
    assert len(drawn & {c.color for c in classes}) >= 2
