"""What another process needs to label tiles of a map: it opens the model and the raster itself.

Labels go back to the process that makes the map, which alone writes files. So a worker may be killed at any
moment, and its tiles be labeled by another: the map has the same bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError, ModelError
from fcn_edge_runtime.maps.blend import BlendedImage
from fcn_edge_runtime.maps.labeled import Labeled
from fcn_edge_runtime.maps.labeling import Labeling
from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.spans import Reach
from fcn_edge_runtime.maps.tiles import TiledImage

__all__ = ["Opened", "Sources", "TileJob"]


@dataclass(frozen=True)
class Sources:
    """A raster and a model, and how they are opened.

    Attributes:
        raster: its name.
        model: its path.
        bands: as for `Raster.open`, as are `resolution` and `stored`.
        device: as for `TileNetwork`, as are all that follow but the last two.
        cache: bytes of GDAL's cache of blocks.
        kept: as for `Labeling`.
    """

    raster: str
    model: str
    bands: tuple[int | str, ...]
    resolution: float | None
    stored: bool
    device: str
    threads: int | None
    confidence: bool
    probabilities: bool
    overlap: int | None
    cache: int
    kept: int

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[TileNetwork, Raster]]:
        """Open both.

        Raises:
            FcnEdgeError: as `TileNetwork` and `Raster.open` raise it.
        """
        rasterio = require("rasterio", "labeling rasters", InputError)
        network = TileNetwork(
            self.model, self.device, self.threads, confidence=self.confidence,
            probabilities=self.probabilities, overlap=self.overlap,
        )  # fmt: skip
        with (
            rasterio.Env(GDAL_CACHEMAX=self.cache),
            Raster.open(
                self.raster, network.card.input, bands=self.bands, resolution=self.resolution,
                stored=self.stored,
            ) as source,
        ):  # fmt: skip
            yield network, source


@dataclass(frozen=True)
class TileJob:
    """The tiles of a map, for any process.

    Attributes:
        sources: what is labeled, and by what.
        digest: of the model.
        size: (height, width) of the raster.
        reach: of the network, which may be wider than its card gives.
        core: rows and columns of a tile.
        sampled: as for `Labeling`.
    """

    sources: Sources
    digest: str
    size: tuple[int, int]
    reach: Reach
    core: tuple[int, int]
    sampled: int

    def labeling(self, network: TileNetwork, source: Raster) -> Labeling:
        """How its tiles are labeled by what was opened.

        Raises:
            ModelError: the model is not the one that the map is made with.
            InputError: the raster is not the one that the map is made of.
        """
        if network.digest != self.digest:
            raise ModelError(f"{self.sources.model} is another file here: give every machine the same")
        if (source.height, source.width) != self.size:
            raise InputError(f"{source.path} is another raster here: give every machine the same")
        network.reach = self.reach
        kind = TiledImage if network.overlap is None else BlendedImage
        return Labeling(
            source, network, kind(network, *self.size, self.core), self.sampled, self.sources.kept
        )


class Opened:
    """A job's model and raster, open in this process until it ends."""

    def __init__(self, job: TileJob) -> None:
        self._open = contextlib.ExitStack()  # what it holds is closed when it is collected
        self._labeling = job.labeling(*self._open.enter_context(job.sources.open()))

    def do(self, number: int) -> Labeled:
        """Label the tile of this number."""
        return self._labeling.one(self._labeling.tiled.tiles[number])
