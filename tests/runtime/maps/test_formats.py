"""Rasters as programs write them are read, whatever their format; what they lead to must be files, too."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.maps.formats import driver_of
from fcn_edge_runtime.model.card import InputSpec
from tests.runtime.maps.rasters import write_raster

RGB = InputSpec.default(3)


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.tif"
    write_raster(path, RGB, 96, 128, tiled=True)
    return path


@pytest.mark.parametrize("driver", ["GTiff", "COG", "JP2OpenJPEG", "PNG", "JPEG", "VRT"])
def test_common_formats_are_opened_by_their_own_driver(scene, tmp_path, driver):
    rasterio.shutil.copy(scene, tmp_path / "copy", driver=driver)
    assert driver_of(str(tmp_path / "copy")) == driver.replace("COG", "GTiff")


@pytest.mark.parametrize("options", [{"BIGTIFF": "YES"}, {"INTERLEAVE": "BAND"}, {"COMPRESS": "ZSTD"}])
def test_every_layout_of_a_geotiff_is_read(scene, tmp_path, options):
    rasterio.shutil.copy(scene, tmp_path / "copy.tif", driver="GTiff", **options)
    assert driver_of(str(tmp_path / "copy.tif")) == "GTiff"


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_reprojected_vrt_is_read(scene, tmp_path, crs):
    with rasterio.open(scene) as file:
        warped = WarpedVRT(file, crs=crs, add_alpha=True, resampling=Resampling.cubic)
        rasterio.shutil.copy(warped, tmp_path / "warped.vrt", driver="VRT")
    assert driver_of(str(tmp_path / "warped.vrt")) == "VRT"


def test_overviews_and_masks_beside_a_raster_are_read(scene):
    with rasterio.Env(TIFF_USE_OVR=True, GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(scene, "r+") as file:
        file.build_overviews([2])
        file.write_mask(np.full((96, 128), 255, np.uint8))
    assert {path.suffix for path in scene.parent.iterdir()} == {".tif", ".ovr", ".msk"}
    assert driver_of(str(scene)) == "GTiff"


def test_a_url_is_opened_as_a_geotiff():
    assert driver_of("https://example.org/scene.tif") == driver_of("/vsicurl/https://a.b/c") == "GTiff"


def test_a_damaged_mosaic_names_the_file_that_is(scene, tmp_path):
    rasterio.shutil.copy(scene, tmp_path / "mosaic.vrt", driver="VRT")
    scene.write_bytes(b"II*\0" + struct.pack("<I", 9999))
    with pytest.raises(InputError, match=r"mosaic.vrt cannot be read: .*scene.tif is damaged"):
        driver_of(str(tmp_path / "mosaic.vrt"))


@pytest.mark.usefixtures("scene")
def test_a_mosaic_of_relative_names_is_read_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rasterio.shutil.copy("scene.tif", "mosaic.vrt", driver="VRT")
    assert 'relativeToVRT="1"' in Path("mosaic.vrt").read_text()
    monkeypatch.chdir("/")
    assert driver_of(str(tmp_path / "mosaic.vrt")) == "VRT"


def test_a_map_says_how_to_convert_other_formats(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n")
    with pytest.raises(InputError, match=r"is a PDF file, expected TIFF, .* convert it with gdal_translate"):
        driver_of(str(tmp_path / "a.pdf"))
