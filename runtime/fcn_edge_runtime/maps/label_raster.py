"""`label_raster`: a georeferenced raster in, a georeferenced map of classes out."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import part_of, place, require_writable
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.imaging.areas import Area, areas_from_counts
from fcn_edge_runtime.imaging.conversion import is_dark
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.cog import class_names, qgis_style, write_confidence, write_labels
from fcn_edge_runtime.maps.exactness import require_exact
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.network import TileNetwork, Values
from fcn_edge_runtime.maps.polygons import check_polygons, write_polygons
from fcn_edge_runtime.maps.preview import preview_png
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.sizing import cache_bytes, core_for, default_memory
from fcn_edge_runtime.maps.tiles import Labeled, Tile, TiledImage
from fcn_edge_runtime.progress import Progress, Stages

__all__ = ["MapArea", "MapOptions", "MapResult", "label_raster"]

_ROWS = 256  # whose areas are summed at once
_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class MapOptions:
    """What to make of a raster.

    Attributes:
        bands: numbers from 1, or names, in the network's order; empty chooses by names and colors.
        confidence: where to write the winners' probabilities, a GeoTIFF; None does not.
        polygons: where to write the classes as polygons: .gpkg, .geojson or .fgb; None does not.
        min_area: of a polygon, in square meters.
        resolution: resample to so many meters a pixel first.
        stored_values: take the file's numbers as they are stored, without its scale and offset.
        preview: whether to write a picture for a screen, PNG.
        memory: bytes that the process may take; None is 1 GiB, or half of what is free, and more where the
            program holds much already.
        device: as for `Segmenter`.
        threads: as for `Segmenter`.
        overwrite: replace files that are there; never the raster.
    """

    bands: Sequence[int | str] = ()
    confidence: Path | None = None
    polygons: Path | None = None
    min_area: float = 0.0
    resolution: float | None = None
    stored_values: bool = False
    preview: bool = True
    memory: int | None = None
    device: str = "auto"
    threads: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class MapArea(Area):
    """What one class covers.

    Attributes:
        square_meters: on the ground; None where the raster has no CRS.
    """

    square_meters: float | None


@dataclass(frozen=True)
class MapResult:
    """A map.

    Attributes:
        written: its files, the map first.
        size: (height, width).
        areas: of each class, and of pixels without data.
        tile: (rows, columns) of a tile.
        margin: pixels around a tile that the network sees besides.
        overhead: pixels that the network saw for each pixel of the map.
        resumed: tiles that an earlier run had done.
        polygons: how many; None where none were asked for.
        provider: that ran the network.
    """

    written: tuple[Path, ...]
    size: tuple[int, int]
    areas: tuple[MapArea, ...]
    tile: tuple[int, int]
    margin: int
    overhead: float
    resumed: int
    polygons: int | None
    provider: str

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {**asdict(self), "written": [str(path) for path in self.written]}


def label_raster(
    raster: str | os.PathLike[str],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: MapOptions | None = None,
    progress: Progress | None = None,
) -> MapResult:
    """Label a raster of any size: the labels of the whole image, in memory that does not grow with it.

    The map is a Cloud Optimized GeoTIFF with the raster's georeference. Killed at any moment, the same call
    goes on where it was; files appear only when they are whole.

    Args:
        raster: anything that GDAL reads.
        model: a file that `fcn-edge export` wrote.
        out: where the map goes, .tif.
        options: what to make; None takes the defaults.
        progress: receives the stages.

    Raises:
        UsageError: options that do not fit; a network that sees the whole image; files that are there.
        InputError: the raster cannot be read, or is not what the network takes.
        ArtifactError: the map cannot be written.
        FcnEdgeError: the model cannot be opened, as `Segmenter` raises it.
    """
    options = options or MapOptions()
    rasterio = require("rasterio", "labeling rasters", InputError)
    name, target = os.fspath(raster), Path(out)
    _check_targets(name, target, options)
    network = TileNetwork(model, options.device, options.threads, confidence=options.confidence is not None)
    memory = default_memory() if options.memory is None else options.memory
    with (
        rasterio.Env(GDAL_CACHEMAX=cache_bytes(memory)),
        Raster.open(
            name, network.card.input, bands=options.bands, resolution=options.resolution,
            stored=options.stored_values,
        ) as source,
    ):  # fmt: skip
        return _Job(source, network, target, options, memory, Stages(progress)).run()


@dataclass(frozen=True, eq=False)
class _Job:
    source: Raster
    network: TileNetwork
    target: Path
    options: MapOptions
    memory: int
    stages: Stages

    def run(self) -> MapResult:
        source = self.source
        self._check_disk()
        self._warn()
        with self.stages.stage("check") as summary:
            require_exact(self.network, source.height, source.width)
            core = core_for(self.network, source.height, source.width, self.memory)
            journal = Journal(self._beside("map"), {"identity": self._identity(), "core": list(core)})
            summary.text = "tiles are the whole image"
        with contextlib.closing(journal):
            core = (journal.job["core"][0], journal.job["core"][1])
            tiled = TiledImage(self.network, source.height, source.width, core)
            resumed = len(journal.done)
            self._label(tiled, journal)
            if self.source.fingerprint() != self._identity()["raster"]:
                raise InputError(f"{source.path} was changed while it was read: start again")
            written, areas, polygons = self._write(tiled, journal)
            journal.remove()
        session, reach = self.network.session, self.network.reach
        size = (source.height, source.width)
        return MapResult(
            written, size, areas, core, reach.margin, tiled.overhead, resumed, polygons, session.provider
        )

    def _identity(self) -> dict[str, Any]:
        """What two runs have in common that make the same tiles."""
        return {
            "format": 1,
            "model": self.network.digest,
            "raster": self.source.fingerprint(),
            "margin": self.network.reach.margin,
            "confidence": self.network.confidence,
            "provider": self.network.session.provider,
        }

    def _check_disk(self) -> None:
        each = np.dtype(self.network.card.label_dtype).itemsize + 4 * self.network.confidence
        needed = self.source.height * self.source.width * each
        free = shutil.disk_usage(self.target.parent).free
        if free < needed:
            raise ArtifactError(
                f"{self.target.parent} has {free / 1e6:.1f} MB free, expected at least {needed / 1e6:.1f} MB "
                f"for a map of {size_text((self.source.height, self.source.width))}: choose another folder"
            )

    def _warn(self) -> None:
        if not self.source.georeferenced:
            warnings.warn(f"{self.source.path} has no georeference, and neither will the map", stacklevel=2)
        for text in self.source.lost():
            warnings.warn(f"{text} are not kept by a resampled map", stacklevel=2)

    def _label(self, tiled: TiledImage, journal: Journal) -> None:
        """All tiles that are not done: the next is read and the last one written beside the network."""
        todo = [tile for tile in tiled.tiles if tile.number not in journal.done]
        total = len(tiled.tiles)
        rows, columns = journal.job["core"]
        with (
            self.stages.stage("label", total, "tiles") as summary,
            ThreadPoolExecutor(1) as reader,
            ThreadPoolExecutor(1) as writer,
        ):
            done = total - len(todo)
            self.stages.progress.advance(done, total)
            writing: Future[None] | None = None
            for tile, (pixels, valid) in _read_ahead(reader, self.source, todo):
                values = None
                if valid is None or valid[tile.inside].any():
                    self._warn_dark(pixels, first=done == 0)
                    values = self.network.run(pixels)
                if writing is not None:
                    writing.result()
                writing = writer.submit(self._finish, tiled, journal, tile, values, valid)
                done += 1
                self.stages.progress.advance(done, total)
            if writing is not None:
                writing.result()
            summary.text = (
                f"{total} tiles of {rows}x{columns}, margin {self.network.reach.margin}: "
                f"{tiled.overhead:.2f} times the pixels"
            )

    def _warn_dark(self, pixels: np.ndarray, *, first: bool) -> None:
        if first and pixels.dtype == np.uint16 and is_dark(pixels, self.source.spec):
            warnings.warn(
                f"{self.source.path} holds numbers up to {int(pixels.max())} in its first tile, the network "
                "was trained for a larger range: check that its training data had the same scale",
                stacklevel=2,
            )

    def _finish(
        self, tiled: TiledImage, journal: Journal, tile: Tile, values: Values | None, valid: np.ndarray | None
    ) -> None:
        card = self.network.card
        if values is None:
            shape = tuple(part.stop - part.start for part in tile.core)
            labels = np.full(shape, card.unlabeled, card.label_dtype)
            sure = np.full(shape, np.nan, np.float32) if self.network.confidence else None
            journal.add(tile, Labeled(labels, sure))
            return
        labeled = tiled.label(tile, values)
        if valid is not None:
            empty = ~valid[tile.inside]
            labeled.labels[empty] = card.unlabeled
            if labeled.confidence is not None:
                labeled.confidence[empty] = np.nan
        journal.add(tile, labeled)

    def _write(
        self, tiled: TiledImage, journal: Journal
    ) -> tuple[tuple[Path, ...], tuple[MapArea, ...], int | None]:
        """All files, each to a part, and then all of them to their places."""
        card, options, ground = self.network.card, self.options, Ground.of(self.source)
        tags = {
            "FCN_EDGE_MODEL": card.name,
            "FCN_EDGE_MODEL_SHA256": self.network.digest,
            "FCN_EDGE_EXACT": "yes: the labels of the whole image",
        }
        counted = _Counted(ground, card.unlabeled)
        moves: list[tuple[Path, Path]] = []
        polygons = None
        with contextlib.ExitStack() as stack:

            def part(path: Path) -> Path:
                found = stack.enter_context(
                    part_of(path, ending=path.suffix, refusal=lambda reason: _unwritable(path, reason))
                )
                moves.append((found, path))
                return found

            with self.stages.stage("write") as summary:
                labels = part(self.target)
                tiles = journal.tiles(tiled.tiles, card.label_dtype)
                write_labels(labels, self.source, card, tags, counted.of(tiles))
                areas = counted.areas(self.network)
                names = self.target.with_name(self.target.name + ".aux.xml")
                part(names).write_text(class_names(card), "utf-8")
                part(self.target.with_suffix(".qml")).write_text(qgis_style(card), "utf-8")
                if options.confidence is not None:
                    tiles = journal.tiles(tiled.tiles, card.label_dtype)
                    sure = ((tile, np.asarray(found.confidence)) for tile, found in tiles)
                    write_confidence(part(options.confidence), self.source, tags, sure)
                summary.text = f"{labels.stat().st_size / 1e6:.1f} MB"
            if options.polygons is not None:
                with self.stages.stage("polygons") as summary:
                    path = part(options.polygons)
                    path.unlink()  # GDAL makes its files anew
                    polygons = write_polygons(labels, options.polygons, path, card, ground, options.min_area)
                    summary.text = f"{polygons} polygons"
            if options.preview:
                with self.stages.stage("preview"):
                    png = preview_png(self.source, labels, card, areas, ground)
                    part(_preview_of(self.target)).write_bytes(png)
            try:
                place(*moves)
            except OSError as error:
                raise _unwritable(self.target, error.strerror or str(error)) from None
        return tuple(path for _, path in moves), areas, polygons

    def _beside(self, what: str) -> Path:
        return self.target.with_name(f".{self.target.name}.fcn-edge-{what}")


class _Counted:
    """Counts pixels and square meters of every class while tiles pass."""

    def __init__(self, ground: Ground | None, unlabeled: int) -> None:
        self._ground = ground
        self._pixels = np.zeros(unlabeled + 1, np.int64)
        self._meters = np.zeros(unlabeled + 1)

    def of(self, tiles: Iterator[tuple[Tile, Labeled]]) -> Iterator[tuple[Tile, np.ndarray]]:
        for tile, labeled in tiles:
            rows, columns = tile.core
            each = None if self._ground is None else self._ground.of_rows(rows, columns)
            for first in range(0, len(labeled.labels), _ROWS):
                some = labeled.labels[first : first + _ROWS]
                length = len(self._pixels)
                self._pixels += np.bincount(some.ravel(), minlength=length)
                if each is not None:
                    weights = np.repeat(each[first : first + _ROWS], some.shape[1])
                    self._meters += np.bincount(some.ravel(), weights, length)
            yield tile, labeled.labels

    def areas(self, network: TileNetwork) -> tuple[MapArea, ...]:
        return tuple(
            MapArea(
                **asdict(area), square_meters=None if self._ground is None else float(self._meters[area.id])
            )
            for area in areas_from_counts(self._pixels, network.card)
        )


def _read_ahead(
    reader: ThreadPoolExecutor, source: Raster, tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, tuple[np.ndarray, np.ndarray | None]]]:
    """Each tile with the pixels of its window, while the next one's are read."""
    reading = None
    for tile, following in zip(tiles, [*tiles[1:], None], strict=True):
        now = reader.submit(source.read, *tile.window) if reading is None else reading
        pixels = now.result()
        reading = None if following is None else reader.submit(source.read, *following.window)
        yield tile, pixels


def _preview_of(target: Path) -> Path:
    return target.with_name(f"{target.stem}.preview.png")


def _check_targets(raster: str, target: Path, options: MapOptions) -> None:
    """Refuse results that cannot be written, or would replace a file that is there."""
    for path in (target, options.confidence):
        if path is not None and path.suffix.lower() not in _ENDINGS:
            raise UsageError(f"got the name {path} for a GeoTIFF, expected one that ends in .tif")
    if options.polygons is not None:
        check_polygons(options.polygons)
        require("pyogrio", "writing polygons", InputError)
    targets = [target, options.confidence, options.polygons, _preview_of(target) if options.preview else None]
    found = [path for path in targets if path is not None]
    if len({os.path.realpath(path) for path in found}) < len(found):
        raise UsageError("two results have the same name: give each its own")
    for path in found:
        if os.path.realpath(path) == os.path.realpath(raster):
            raise UsageError(f"the result {path} would overwrite the raster: choose another name")
        if os.path.lexists(path) and not options.overwrite:
            raise UsageError(f"{path} is there: choose another name, or give --overwrite")
        require_writable(path.parent)


def _unwritable(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"{path} cannot be written ({reason}): choose another place with -o")
