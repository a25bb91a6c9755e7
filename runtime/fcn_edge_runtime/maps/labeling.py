"""Labeling tiles: read, run, and put into labels, of which three tiles are in the works at any time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.imaging.conversion import is_dark
from fcn_edge_runtime.maps.network import TileNetwork, Values
from fcn_edge_runtime.maps.preview import sample_of
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.tiles import Labeled, Tile, TiledImage

__all__ = ["Add", "Labeling"]

Add = Callable[[Tile, Labeled], None]
_Pixels = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Labeling:
    """How tiles of a raster are labeled.

    Attributes:
        source: the raster.
        network: that labels it.
        tiled: the raster's tiles.
        sampled: one of so many pixels is kept for the preview, along both axes; 0 keeps none.
    """

    source: Raster
    network: TileNetwork
    tiled: TiledImage
    sampled: int

    def one(self, tile: Tile) -> Labeled:
        """Label a tile.

        Raises:
            InputError: the raster cannot be read.
            ModelError: the network failed.
        """
        pixels = self.source.read(*tile.window)
        return self._finished(tile, pixels, self._values(tile, pixels))

    def all(self, tiles: Sequence[Tile], add: Add) -> None:
        """Label tiles: the next is read, and the last one finished and added, beside the network.

        Args:
            tiles: to label, in their order.
            add: is called with each, by one thread at a time.

        Raises:
            InputError: the raster cannot be read.
            ModelError: the network failed.
        """

        def finish(tile: Tile, pixels: _Pixels, values: Values | None) -> None:
            add(tile, self._finished(tile, pixels, values))

        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as finisher:
            finishing: Future[None] | None = None
            for tile, pixels in self._read_ahead(reader, tiles):
                if tile.number == 0:
                    self._warn_dark(pixels[0])
                values = self._values(tile, pixels)
                if finishing is not None:
                    finishing.result()
                finishing = finisher.submit(finish, tile, pixels, values)
            if finishing is not None:
                finishing.result()

    def _read_ahead(
        self, reader: ThreadPoolExecutor, tiles: Sequence[Tile]
    ) -> Iterator[tuple[Tile, _Pixels]]:
        """Each tile with the pixels of its window, while the next one's are read."""
        reading = None
        for tile, following in zip(tiles, [*tiles[1:], None], strict=True):
            now = reader.submit(self.source.read, *tile.window) if reading is None else reading
            pixels = now.result()
            reading = None if following is None else reader.submit(self.source.read, *following.window)
            yield tile, pixels

    def _values(self, tile: Tile, pixels: _Pixels) -> Values | None:
        """What the network gives for a window; None where the core has no data."""
        window, valid = pixels
        return self.network.run(window) if valid is None or valid[tile.inside].any() else None

    def _finished(self, tile: Tile, pixels: _Pixels, values: Values | None) -> Labeled:
        window, valid = pixels
        card = self.network.card
        sample = sample_of(tile, window, self.sampled) if self.sampled else None
        if values is None:
            shape = tuple(part.stop - part.start for part in tile.core)
            labels = np.full(shape, card.unlabeled, card.label_dtype)
            sure = np.full(shape, np.nan, np.float32) if self.network.confidence else None
            return Labeled(labels, sure, sample=sample)
        found = self.tiled.label(tile, values)
        if valid is not None:
            empty = ~valid[tile.inside]
            found.labels[empty] = card.unlabeled
            if found.confidence is not None:
                found.confidence[empty] = np.nan
        return Labeled(found.labels, found.confidence, sample=sample)

    def _warn_dark(self, pixels: np.ndarray) -> None:
        if pixels.dtype == np.uint16 and is_dark(pixels, self.source.spec):
            warnings.warn(
                f"{self.source.path} holds numbers up to {int(pixels.max())} in its first tile, the network "
                "was trained for a larger range: check that its training data had the same scale",
                stacklevel=2,
            )
