"""Networks that see the whole image: windows are blended, and the map is named approximate."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.maps.blend import BlendedImage
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster
from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.maps.sizing import Plan
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import pattern
from tests.runtime.maps.rasters import ARTIFACTS, RGB, write_raster

POOLED = ARTIFACTS / "0.1.0-pooled.onnx"


def options(**changed):
    return MapOptions(**{"preview": False, "device": "cpu", "threads": 1, "approximate": 64, **changed})


def blended(network, image, core):
    """Scores of the whole image, as `BlendedImage` puts them together."""
    tiled = BlendedImage(network, *image.shape[:2], core)

    def run(windows):
        for down, right in windows:
            yield network.run(np.ascontiguousarray(image[slice(*down.pixels), slice(*right.pixels)]))[
                "scores"
            ]

    return tiled, {tile.number: near for tile, near in tiled.scores(tiled.tiles, run)}


@pytest.mark.parametrize("kind", ["pooled", "float", "padded", "binary"])
@pytest.mark.parametrize("size", [(130, 170), (96, 64), (47, 201)])
def test_scores_are_added_by_linear_weights(kind, size):
    network = TileNetwork(ARTIFACTS / f"0.1.0-{kind}.onnx", "cpu", 1, overlap=16)
    image = pattern(1, *size, 3, 1, RGB)[0]
    tiled, found = blended(network, image, (32, 40))
    step, (down, right) = network.step, network.axes(*size)
    total, weight = (
        np.zeros((found[0].shape[0], down.scores, right.scores)),
        np.zeros((down.scores, right.scores)),
    )
    for y in tiled.down:
        for x in tiled.right:
            window = np.ascontiguousarray(image[slice(*y.pixels), slice(*x.pixels)])
            each = []
            for span, length in ((y.pixels, size[0]), (x.pixels, size[1])):
                middle = np.arange(span[0] // step, -(-span[1] // step)) * step + step / 2
                rising = np.full_like(middle, 1e9) if span[0] == 0 else middle - span[0]
                falling = np.full_like(middle, 1e9) if span[1] == length else span[1] - middle
                overlap = -(-16 // network.reach.unit) * network.reach.unit
                each.append(np.clip(np.minimum(rising, falling) / overlap, 0, 1))
            part = np.outer(*each)
            rows = slice(y.pixels[0] // step, y.pixels[0] // step + part.shape[0])
            columns = slice(x.pixels[0] // step, x.pixels[0] // step + part.shape[1])
            total[:, rows, columns] += (
                network.run(window)["scores"][:, : part.shape[0], : part.shape[1]] * part
            )
            weight[rows, columns] += part
    for tile in tiled.tiles:
        expected = (total / weight)[(slice(None), *tiled.needed_scores(tile)[0])]
        assert np.allclose(found[tile.number], expected, atol=1e-4 * np.abs(total).max())


def test_an_image_of_one_window_has_its_labels(tmp_path):
    pixels = write_raster(tmp_path / "a.tif", RGB, 300, 420)
    result = label_raster(tmp_path / "a.tif", POOLED, tmp_path / "map.tif", options())
    assert not result.exact
    with Segmenter(POOLED, "cpu", 1) as segmenter, rasterio.open(tmp_path / "map.tif") as file:
        assert (file.read(1) != segmenter(pixels).labels).mean() < 1e-4


def test_the_map_is_named_approximate_in_the_file(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 90, 100)
    label_raster(tmp_path / "a.tif", POOLED, tmp_path / "map.tif", options())
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.tags()["FCN_EDGE_EXACT"].startswith("no: scores of windows that overlap by 64 pixels")


def test_the_command_names_the_map_approximate(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 90, 100)
    command = [sys.executable, "-m", "fcn_edge", "map", "a.tif", "--model", POOLED, "-o", "map.tif"]
    command += ["--approximate", "overlap=32", "--threads", "1", "--device", "cpu"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path)
    assert "map.tif: 100x90 pixels, approximate" in done.stdout
    assert "check" in done.stderr
    assert "approximate: scores of windows" in done.stderr


def test_an_overlap_of_more_than_half_a_window_is_refused(tmp_path):
    write_raster(tmp_path / "a.tif", RGB, 90, 100)
    with pytest.raises(UsageError, match="half of a window"):
        label_raster(tmp_path / "a.tif", POOLED, tmp_path / "map.tif", options(approximate=4000))


@pytest.mark.parametrize("kind", ["float", "binary", "padded", "sparse"])
def test_probabilities_have_a_band_for_each_class(tmp_path, kind):
    pixels = write_raster(tmp_path / "a.tif", RGB, 90, 100)
    path = ARTIFACTS / f"0.1.0-{kind}.onnx"
    out = tmp_path / "each.tif"
    given = options(approximate=None, probabilities=out, confidence=tmp_path / "sure.tif")
    label_raster(tmp_path / "a.tif", path, tmp_path / "map.tif", given)
    with rasterio.open(out) as file, rasterio.open(tmp_path / "sure.tif") as sure:
        each = file.read() * np.reshape(file.scales, (-1, 1, 1))
        with ModelFile.open(path) as model:
            assert file.descriptions == tuple(c.name for c in model.card.classes)
        assert np.abs(each.sum(axis=0) - 1).max() < 0.02
        assert np.abs(each.max(axis=0) - sure.read(1)).max() < 0.0021
        chosen = np.take_along_axis(each, file_labels(tmp_path)[None].astype(int), axis=0)[0]
        assert (chosen >= each.max(axis=0) - 0.0041).all()
    with Segmenter(path, "cpu", 1) as segmenter:
        assert (file_labels(tmp_path) != segmenter(pixels).labels).mean() < 1e-4


def file_labels(folder):
    with rasterio.open(folder / "map.tif") as file:
        return file.read(1)


def test_probabilities_where_there_is_no_data_are_255(tmp_path):
    pixels = write_raster(tmp_path / "a.tif", RGB, 90, 100)
    pixels[:20] = 0
    write_raster(tmp_path / "b.tif", RGB, bands=np.moveaxis(pixels, -1, 0), height=90, width=100, nodata=0)
    given = options(approximate=None, probabilities=tmp_path / "each.tif")
    label_raster(tmp_path / "b.tif", ARTIFACTS / "0.1.0-float.onnx", tmp_path / "map.tif", given)
    with rasterio.open(tmp_path / "each.tif") as file:
        assert (file.read()[:, :20] == 255).all()
        assert (file.read_masks(1)[20:] == 255).all()


class StoppedError(Exception):
    """A stop at any tile."""


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_stopped_approximate_map_goes_on_with_the_same_bytes(tmp_path, monkeypatch, after):
    write_raster(tmp_path / "a.tif", RGB, 400, 500)
    module = "fcn_edge_runtime.maps.label_raster.plan_for"
    monkeypatch.setattr(module, lambda *_: Plan((128, 256), 0))
    label_raster(tmp_path / "a.tif", POOLED, tmp_path / "whole.tif", options())
    add, left = Journal.add, [after]

    def stops(self, *given):
        add(self, *given)
        left[0] -= 1
        if not left[0]:
            raise StoppedError

    monkeypatch.setattr(Journal, "add", stops)
    with pytest.raises(StoppedError):
        label_raster(tmp_path / "a.tif", POOLED, tmp_path / "map.tif", options())
    result = label_raster(tmp_path / "a.tif", POOLED, tmp_path / "map.tif", options())
    assert result.resumed == after
    assert (tmp_path / "map.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.slow
def test_a_network_of_one_working_size_labels_windows_of_it(tmp_path):
    import fcn_edge

    net = fcn_edge.build("fcn_tiny", num_classes=3)
    card = fcn_edge.Card("road", fcn_edge.numbered_classes(3))
    given = fcn_edge.ExportOptions(working_size="96x128")
    fcn_edge.export(net, card, tmp_path / "net.onnx", options=given)
    pixels = write_raster(tmp_path / "a.tif", RGB, 230, 301)
    result = label_raster(
        tmp_path / "a.tif", tmp_path / "net.onnx", tmp_path / "map.tif", options(approximate=32)
    )
    assert not result.exact
    with rasterio.open(tmp_path / "map.tif") as file, Segmenter(tmp_path / "net.onnx", "cpu", 1) as segmenter:
        labels = file.read(1)
        first = segmenter(np.ascontiguousarray(pixels[:96, :128])).labels
        assert (labels[:56, :88] == first[:56, :88]).mean() > 0.99
    assert json.dumps(result.to_dict())
