"""Smaller copies of a map."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import rasterio

from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.overviews import halved
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster


@pytest.mark.parametrize(("dtype", "nothing"), [("uint8", 255), ("uint16", 65535)])
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 1), (2, 5)])
def test_an_overview_has_the_most_frequent_of_four(dtype, nothing, size):
    rng = np.random.default_rng(sum(size))
    labels = rng.choice([0, 1, 2, nothing], size).astype(dtype)
    small = halved(labels, nothing)
    padded = np.pad(labels, [(0, side % 2) for side in size], "edge")
    for (y, x), found in np.ndenumerate(small):
        four = [label for label in padded[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel() if label != nothing]
        counts = Counter(four)
        assert counts[found] == max(counts.values()) if four else found == nothing


def test_the_overviews_of_a_map_are_halves_of_halves(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 1100, 1500)
    options = MapOptions(preview=False, device="cpu", threads=1)
    label_raster(tmp_path / "a.tif", ARTIFACTS / "0.1.0-float.onnx", tmp_path / "map.tif", options)
    with rasterio.open(tmp_path / "map.tif") as file:
        labels = file.read(1)
        assert file.overviews(1) == [2, 4]
    for level in range(2):
        labels = halved(labels, 255)
        with rasterio.open(tmp_path / "map.tif", overview_level=level) as file:
            assert (file.read(1) == labels).all()
