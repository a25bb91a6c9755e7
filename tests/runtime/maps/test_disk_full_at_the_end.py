"""A disk that is full while the files of a map are written: GDAL leaves out their ends, and says nothing."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import numpy as np
import pytest
import rasterio

from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.maps.blocks import require_blocks
from fcn_edge_runtime.maps.cog import _to_cog
from fcn_edge_runtime.maps.label_raster import label_raster
from fcn_edge_runtime.maps.polygons import write_polygons
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress
from tests.runtime.maps.labeled_scene import MODEL, labeled_scene, options
from tests.runtime.maps.rasters import RGB, write_raster

ENDINGS = [".gpkg", ".fgb", ".geojson", ".parquet"]


@contextlib.contextmanager
def full_after(size):
    """No file may have more bytes than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def labels(tmp_path):
    """A map of small areas."""
    noise = np.random.default_rng(0).integers(0, 2, (1, 120, 120), np.uint8)
    write_raster(tmp_path / "labels.tif", RGB, 120, 120, bands=noise)
    return tmp_path / "labels.tif"


@pytest.mark.parametrize("missing", [1, 40_000])
@pytest.mark.parametrize("ending", ENDINGS)
def test_polygons_cut_by_a_full_disk_are_refused(labels, tmp_path, ending, missing):
    with ModelFile.open(MODEL) as model:
        card = model.card
    part, path = tmp_path / f"part{ending}", tmp_path / f"out{ending}"
    assert write_polygons(labels, path, part, card, None, 0.0) > 1000
    size = part.stat().st_size
    part.unlink()
    with full_after(size - missing), pytest.raises(ArtifactError, match=r"out.* cannot be written \("):
        write_polygons(labels, path, part, card, None, 0.0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_polygons_make_a_file_without_any(labels, tmp_path, ending):
    with ModelFile.open(MODEL) as model:
        card = model.card
    part = tmp_path / f"part{ending}"
    assert write_polygons(labels, tmp_path / f"out{ending}", part, card, None, 1e9) == 0
    assert part.exists()


@pytest.mark.parametrize("missing", [1, 100, 5000])
def test_a_map_cut_by_a_full_disk_is_refused(tmp_path, missing):
    noise = np.random.default_rng(0).integers(0, 4, (1, 600, 700), np.uint8)
    write_raster(tmp_path / "labels.tif", RGB, 600, 700, bands=noise)
    _to_cog(tmp_path / "labels.tif", tmp_path / "map.tif")
    size = (tmp_path / "map.tif").stat().st_size
    (tmp_path / "map.tif").unlink()
    with full_after(size - missing), pytest.raises(OSError, match=r"missing|directory"):
        _to_cog(tmp_path / "labels.tif", tmp_path / "map.tif")


def test_a_map_of_several_bands_is_known_as_whole(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 600, 700, tiled=True, interleave="band")
    require_blocks(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.build_overviews([2, 4])
    require_blocks(tmp_path / "a.tif")


class _FullAt(Progress):
    """The disk is full where a stage begins."""

    def __init__(self, stage, stack):
        self._stage, self._stack = stage, stack

    def start(self, stage, *_):
        if stage == self._stage:
            self._stack.enter_context(full_after(300))


@pytest.mark.security("a disk that is full while a map's files are written", "one error, what is done stays")
@pytest.mark.parametrize("stage", ["write", "polygons", "preview"])
def test_a_map_goes_on_after_a_disk_full_at_the_end(tmp_path, monkeypatch, stage):
    scene, out = labeled_scene(tmp_path, monkeypatch), Path(tmp_path / "out.tif")
    wanted = options(polygons=tmp_path / "out.geojson", preview=True)
    with contextlib.ExitStack() as stack, pytest.raises(ArtifactError, match="cannot be written"):
        label_raster(scene, MODEL, out, wanted, _FullAt(stage, stack))
    assert not out.exists()
    assert label_raster(scene, MODEL, out, wanted).resumed == 25
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()
