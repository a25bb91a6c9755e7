"""Ways to label a raster that is larger than a network should see at once.

tiles       side by side, each labeled by itself
overlap     overlapping by a quarter: a pixel has the label of the tile in which it lies farthest inside
average     the same tiles, whose probabilities are averaged; those of the whole raster are in memory
exact       `fcn-edge map`
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster

__all__ = ["WAYS"]

TILE = 512


def pixels_of(raster: Path) -> np.ndarray:
    """All pixels of a raster (H, W, C)."""
    import rasterio

    with rasterio.open(raster) as file:
        return np.ascontiguousarray(np.moveaxis(file.read(), 0, -1))


def windows(size: tuple[int, ...], pitch: int) -> Iterator[tuple[slice, slice]]:
    """Windows of `TILE` pixels that begin so many pixels apart; the last ones end at the image's edge."""
    height, width = size[:2]
    for top in range(0, max(1, height - TILE + pitch), pitch):
        for left in range(0, max(1, width - TILE + pitch), pitch):
            first, begin = max(0, min(top, height - TILE)), max(0, min(left, width - TILE))
            yield slice(first, min(first + TILE, height)), slice(begin, min(begin + TILE, width))


def whole(raster: Path, model: Path, out: Path) -> None:
    """The labels of the image in one piece."""
    with Segmenter(model, "cpu", 1) as segmenter:
        np.save(out, segmenter(pixels_of(raster)).labels)


def tiles(raster: Path, model: Path, out: Path) -> None:
    """Tiles side by side."""
    pixels = pixels_of(raster)
    labels = np.empty(pixels.shape[:2], np.uint8)
    with Segmenter(model, "cpu", 1) as segmenter:
        for rows, columns in windows(labels.shape, TILE):
            labels[rows, columns] = segmenter(np.ascontiguousarray(pixels[rows, columns])).labels
    np.save(out, labels)


def overlap(raster: Path, model: Path, out: Path) -> None:
    """Each pixel from the tile in which it lies farthest inside."""
    pixels = pixels_of(raster)
    labels = np.empty(pixels.shape[:2], np.uint8)
    depth = np.full(labels.shape, -1, np.int16)
    with Segmenter(model, "cpu", 1) as segmenter:
        for rows, columns in windows(labels.shape, TILE * 3 // 4):
            found = segmenter(np.ascontiguousarray(pixels[rows, columns])).labels
            inside = _inside(*found.shape)
            deeper = inside > depth[rows, columns]
            labels[rows, columns][deeper] = found[deeper]
            depth[rows, columns][deeper] = inside[deeper]
    np.save(out, labels)


def average(raster: Path, model: Path, out: Path) -> None:
    """Probabilities are added; the model computes scores, whose softmax they are."""
    from fcn_edge_runtime.maps.labeled import labeled_of
    from fcn_edge_runtime.maps.network import TileNetwork

    pixels = pixels_of(raster)
    network = TileNetwork(model, "cpu", 1, probabilities=True)
    total = np.zeros((len(network.card.classes), *pixels.shape[:2]), np.float32)
    for rows, columns in windows(pixels.shape, TILE * 3 // 4):
        window = np.ascontiguousarray(pixels[rows, columns])
        axes = [axis.axis for axis in network.axes(*window.shape[:2])]
        found = labeled_of(network.run(window)["scores"], axes[0], axes[1], network).probabilities
        assert found is not None  # noqa: S101 - they were asked for
        total[:, rows, columns] += found
    np.save(out, total.argmax(axis=0).astype(np.uint8))


def exact(raster: Path, model: Path, out: Path) -> None:
    """`fcn-edge map`."""
    import rasterio

    options = MapOptions(preview=False, device="cpu", threads=1)
    label_raster(raster, model, out.with_suffix(".tif"), options)
    with rasterio.open(out.with_suffix(".tif")) as file:
        np.save(out, file.read(1))


def _inside(height: int, width: int) -> np.ndarray:
    """How far each pixel of a tile lies from its nearest edge."""
    down, right = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
    return np.minimum(down[:, None], right).astype(np.int16)


WAYS = {"whole image": whole, "tiles": tiles, "overlap": overlap, "average": average, "fcn-edge map": exact}
