"""Maps of rasters as they come: each format has the labels of the same pixels in a plain GeoTIFF."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.rpc import RPC
from rasterio.transform import Affine

from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

MODEL = ARTIFACTS / "0.1.0-float.onnx"
PLAIN = MapOptions(preview=False, device="cpu", threads=1)


def labels(path, out):
    label_raster(path, MODEL, out, PLAIN)
    with rasterio.open(out) as file:
        return file.read(1)


@pytest.fixture
def scene(tmp_path):
    write_raster(tmp_path / "scene.tif", RGB, 130, 190)
    return tmp_path / "scene.tif", labels(tmp_path / "scene.tif", tmp_path / "expected.tif")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jp2", {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}),
        ("a.png", {"driver": "PNG", "WORLDFILE": "YES"}),
        ("a.vrt", {"driver": "VRT"}),
        ("cog.tif", {"driver": "COG"}),
        ("big.tif", {"driver": "GTiff", "BIGTIFF": "YES", "TILED": "YES", "COMPRESS": "ZSTD"}),
        ("planes.tif", {"driver": "GTiff", "INTERLEAVE": "BAND", "COMPRESS": "LZW", "PREDICTOR": "2"}),
    ],
)
def test_a_format_makes_the_same_map(scene, tmp_path, name, options):
    path, expected = scene
    rasterio.shutil.copy(path, tmp_path / name, **options)
    assert (labels(tmp_path / name, tmp_path / "map.tif") == expected).all()
    with rasterio.open(tmp_path / "map.tif") as file, rasterio.open(path) as raster:
        assert (file.crs, file.transform) == (raster.crs, raster.transform)


def test_a_mosaic_of_files_is_labeled_across_their_edges(scene, tmp_path):
    path, expected = scene
    with rasterio.open(path) as file:
        pixels, profile = file.read(), file.profile
    sources = ""
    for number, (left, right) in enumerate([(0, 70), (70, 190)]):
        part = {
            **profile,
            "width": right - left,
            "transform": profile["transform"] * Affine.translation(left, 0),
        }
        with rasterio.open(tmp_path / f"part{number}.tif", "w", **part) as file:
            file.write(pixels[:, :, left:right])
        sources += (
            f'<SimpleSource><SourceFilename relativeToVRT="1">part{number}.tif</SourceFilename>'
            f'<SourceBand>BAND</SourceBand><SrcRect xOff="0" yOff="0" xSize="{right - left}" ySize="130"/>'
            f'<DstRect xOff="{left}" yOff="0" xSize="{right - left}" ySize="130"/></SimpleSource>'
        )
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{color}</ColorInterp>'
        f"{sources.replace('BAND', str(band))}</VRTRasterBand>"
        for band, color in enumerate(("Red", "Green", "Blue"), 1)
    )
    text = f'<VRTDataset rasterXSize="190" rasterYSize="130">{bands}</VRTDataset>'
    (tmp_path / "mosaic.vrt").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (labels(tmp_path / "mosaic.vrt", tmp_path / "map.tif") == expected).all()


def test_a_slide_is_labeled_at_its_full_resolution(tmp_path):
    """As scanners write them: the slide, a thumbnail, smaller levels, each a page of its own."""
    slide = tmp_path / "slide.svs"
    profile = {"BIGTIFF": "YES", "COMPRESS": "JPEG", "PHOTOMETRIC": "YCBCR", "TILED": "YES"}
    for number, (height, width) in enumerate([(260, 380), (65, 95), (130, 190)]):
        page = tmp_path / f"page{number}.tif"
        write_raster(page, RGB, height, width, crs=None, transform=Affine.identity())
        rasterio.shutil.copy(
            page, slide, driver="GTiff", APPEND_SUBDATASET="YES" if number else "NO", BLOCKXSIZE=128,
            BLOCKYSIZE=128, **profile,
        )  # fmt: skip
    with pytest.warns(UserWarning, match="no georeference"):
        found = labels(slide, tmp_path / "map.tif")
    with rasterio.open(slide) as file:
        pixels = np.ascontiguousarray(np.moveaxis(file.read(), 0, -1))
    from fcn_edge_runtime import Segmenter

    with Segmenter(MODEL, "cpu", 1) as segmenter:
        assert (found == segmenter(pixels).labels).all()


def test_rational_polynomials_are_kept(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 90, 100, crs=None, transform=Affine.identity())
    ones, line, sample = [1.0] + [0.0] * 19, [0, 0, -1.0] + [0] * 17, [0, 1.0] + [0] * 18
    rpc = RPC(10, 100, 50, 0.1, ones, line, 45, 45, 10, 0.1, ones, sample, 50, 50, None, None)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.rpcs = rpc
    labels(tmp_path / "a.tif", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.rpcs.line_off == 45
        assert file.rpcs.samp_num_coeff == sample
