"""Labeling tiles: read, run, and put into labels, of which three tiles are in the works at any time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from fcn_edge_runtime.imaging.conversion import is_dark
from fcn_edge_runtime.maps.blend import BlendedImage, Windows
from fcn_edge_runtime.maps.labeled import NO_PROBABILITY, Labeled
from fcn_edge_runtime.maps.network import TileNetwork, Values
from fcn_edge_runtime.maps.preview import sample_of
from fcn_edge_runtime.maps.raster import Pixels, Raster
from fcn_edge_runtime.maps.reading import Reader, Window
from fcn_edge_runtime.maps.tiles import Tile, TiledImage

__all__ = ["Add", "Labeling"]

Add = Callable[[Tile, Labeled], None]


@dataclass(frozen=True, eq=False)
class Labeling:
    """How tiles of a raster are labeled.

    Attributes:
        source: the raster.
        network: that labels it.
        tiled: the raster's tiles.
        sampled: one of so many pixels is kept for the preview, along both axes; 0 keeps none.
        kept: bytes of pixels that are kept of windows above, so that they are read once.
    """

    source: Raster
    network: TileNetwork
    tiled: TiledImage
    sampled: int
    kept: int

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

        def finish(tile: Tile, pixels: Pixels, values: Values | None) -> None:
            add(tile, self._finished(tile, pixels, values))

        if isinstance(self.tiled, BlendedImage):
            for tile, scores in self.tiled.scores(tiles, self._run_windows):
                add(tile, self._blended(tile, scores))
            return
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as finisher:
            finishing: Future[None] | None = None
            for tile, pixels in zip(
                tiles, self._read_ahead(reader, [tile.window for tile in tiles]), strict=True
            ):
                if tile.number == 0:
                    self._warn_dark(pixels[0])
                values = self._values(tile, pixels)
                if finishing is not None:
                    finishing.result()
                finishing = finisher.submit(finish, tile, pixels, values)
            if finishing is not None:
                finishing.result()

    def _read_ahead(self, reader: ThreadPoolExecutor, windows: Sequence[Window]) -> Iterator[Pixels]:
        """The pixels of each window, while the next one's are read."""
        reading, read = None, Reader(self.source, windows, self.kept).read
        for window, following in zip_longest(windows, windows[1:]):
            now = reader.submit(read, *window) if reading is None else reading
            pixels = now.result()
            reading = None if following is None else reader.submit(read, *following)
            yield pixels

    def _run_windows(self, windows: Windows) -> Iterator[np.ndarray | None]:
        """The scores of windows; None of those without data."""
        wanted = [(slice(*down.pixels), slice(*right.pixels)) for down, right in windows]
        with ThreadPoolExecutor(1) as reader:
            for first, (pixels, valid) in enumerate(self._read_ahead(reader, wanted)):
                if not first:
                    self._warn_dark(pixels)
                if valid is not None and not valid.any():
                    yield None
                    continue
                yield self.network.run(_filled(pixels, self.network.fixed))["scores"]

    def _blended(self, tile: Tile, scores: np.ndarray | None) -> Labeled:
        pixels, valid = self.source.read(*tile.core)
        found = None if scores is None else self.tiled.label_scores(tile, scores)
        return self._masked(tile, found, valid, pixels)

    def _values(self, tile: Tile, pixels: Pixels) -> Values | None:
        """What the network gives for a window; None where the core has no data."""
        window, valid = pixels
        return self.network.run(window) if valid is None or valid[tile.inside].any() else None

    def _finished(self, tile: Tile, pixels: Pixels, values: Values | None) -> Labeled:
        window, valid = pixels
        found = None if values is None else self.tiled.label(tile, values)
        return self._masked(tile, found, None if valid is None else valid[tile.inside], window[tile.inside])

    def _masked(
        self, tile: Tile, found: Labeled | None, valid: np.ndarray | None, pixels: np.ndarray
    ) -> Labeled:
        """A tile's labels, but none where its core's pixels are not valid; with a sample of them."""
        card, network = self.network.card, self.network
        if found is None:
            shape = pixels.shape[:2]
            found = Labeled(
                np.empty(shape, card.label_dtype),
                np.empty(shape, np.float32) if network.confidence else None,
                np.empty((len(card.classes), *shape), np.uint8) if network.probabilities else None,
            )
            valid = np.zeros(shape, bool)
        if valid is not None:
            empty = ~valid
            found.labels[empty] = card.unlabeled
            if found.confidence is not None:
                found.confidence[empty] = np.nan
            if found.probabilities is not None:
                found.probabilities[:, empty] = NO_PROBABILITY
        sample = sample_of(tile, pixels, self.sampled) if self.sampled else None
        return replace(found, sample=sample)

    def warn_of_first(self, tiles: Sequence[Tile]) -> None:
        """What `all` warns of, where other processes label the tiles.

        Raises:
            InputError: the raster cannot be read.
        """
        if self.source.spec.dtype == "uint16" and tiles[0].number == 0:
            self._warn_dark(self.source.read(*tiles[0].window)[0])

    def _warn_dark(self, pixels: np.ndarray) -> None:
        if pixels.dtype == np.uint16 and is_dark(pixels, self.source.spec):
            warnings.warn(
                f"{self.source.path} holds numbers up to {int(pixels.max())} in its first tile, the network "
                "was trained for a larger range: check that its training data had the same scale",
                stacklevel=2,
            )


def _filled(pixels: np.ndarray, fixed: tuple[int, int] | None) -> np.ndarray:
    """Pixels (h, w, C) that are as many as a network takes: at the image's end, the last ones again."""
    if fixed is None or pixels.shape[:2] == fixed:
        return pixels
    down, right = (side - had for side, had in zip(fixed, pixels.shape, strict=False))
    return np.pad(pixels, ((0, down), (0, right), (0, 0)), "edge")
