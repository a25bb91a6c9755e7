"""Windows that overlap, read once."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.reading import Reader
from tests.runtime.maps.rasters import RGB, write_raster

STARTS = ((0, 90, 130, 200), (0, 100, 210, 260))  # of windows' rows and columns; the last overlap more
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}
WINDOWS = [(slice(y, y + 100), slice(x, x + 160)) for y in STARTS[0] for x in STARTS[1]]


@pytest.fixture(params=[None, 0], ids=["whole", "nodata"])
def source(tmp_path, request):
    write_raster(tmp_path / "a.tif", RGB, nodata=request.param)
    with Raster.open(tmp_path / "a.tif", RGB) as raster:
        yield raster


@pytest.mark.parametrize("most", [0, 20_000, 1 << 30])
@pytest.mark.parametrize("order", ["rows", "gaps", "backward", "shuffled"])
def test_windows_in_any_order_are_those_of_the_file(source, order, most):
    windows = {
        "rows": WINDOWS,
        "gaps": WINDOWS[1:3] + WINDOWS[6:],
        "backward": WINDOWS[::-1],
        "shuffled": [WINDOWS[i] for i in np.random.default_rng(0).permutation(len(WINDOWS))],
    }[order]
    reader = Reader(source, windows, most)
    for window in windows:
        (pixels, valid), expected = reader.read(*window), source.read(*window)
        assert (pixels == expected[0]).all()
        assert valid is None if expected[1] is None else (valid == expected[1]).all()


def test_windows_in_rows_take_each_pixel_once(source, monkeypatch):
    taken = np.zeros((source.height, source.width), int)
    read = Raster._read

    def counting(self, rows, columns, *arrays):
        taken[rows, columns] += 1
        read(self, rows, columns, *arrays)

    monkeypatch.setattr(Raster, "_read", counting)
    reader = Reader(source, WINDOWS, 1 << 30)
    for window in WINDOWS:
        reader.read(*window)
    assert (taken == 1).all()


@pytest.mark.parametrize(
    ("profile", "most", "kept"),
    [
        ({}, 1 << 30, True),
        ({}, 1000, False),
        ({"tiled": True, "blockxsize": 64, "blockysize": 64}, 1 << 30, False),
    ],
    ids=["strips", "too little memory", "tiles"],
)
def test_strips_are_kept_where_memory_allows(tmp_path, profile, most, kept):
    write_raster(tmp_path / "a.tif", RGB, **profile)
    with rasterio.Env(GDAL_CACHEMAX=1 << 20), Raster.open(tmp_path / "a.tif", RGB) as raster:
        raster.keep_strips(200, most)
        room = rasterio.env.getenv()["GDAL_CACHEMAX"]
    assert (room >= 200 * 420 * 3) if kept else room == 1 << 20
