"""`label_raster`: a georeferenced raster in, a georeferenced map of classes out."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._cluster import MOST_WORKERS
from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import require_writable
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ArtifactError, InputError, UsageError
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.cluster import label_on_cluster
from fcn_edge_runtime.maps.exactness import require_exact
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.labeled import Labeled
from fcn_edge_runtime.maps.labeling import Labeling
from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.maps.polygons import check_polygons
from fcn_edge_runtime.maps.preview import step_for
from fcn_edge_runtime.maps.raster import Raster, reproject_advice
from fcn_edge_runtime.maps.results import MapArea, MapFiles, Targets
from fcn_edge_runtime.maps.sharing import Sources, TileJob
from fcn_edge_runtime.maps.simplify import require_simplification
from fcn_edge_runtime.maps.sizing import cache_bytes, default_memory, kept_bytes, plan_for
from fcn_edge_runtime.maps.tiles import Tile
from fcn_edge_runtime.maps.workers import label_in_processes
from fcn_edge_runtime.progress import Progress, Stages

__all__ = ["MapArea", "MapOptions", "MapResult", "label_raster", "sources_of"]

_FAR = 1.5  # times the resolution that a network was trained with
_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class MapOptions:
    """What to make of a raster.

    Attributes:
        bands: numbers from 1, or names, in the network's order; empty chooses by names and colors.
        confidence: where to write the winners' probabilities, a GeoTIFF; None does not.
        probabilities: where to write those of all classes, a GeoTIFF with a band for each; None does not.
        approximate: take labels that are not those of the whole image: windows that overlap by so many
            pixels, whose scores are blended. None refuses networks whose labels need the whole image.
        polygons: where to write the classes as polygons: .gpkg, .geojson, .fgb or .parquet; None does not.
        min_area: of a polygon, in square meters.
        simplify: of polygons: take corners away whose triangles are smaller than the square of so many
            meters. Neighbors keep a common border; all polygons are in memory then.
        resolution: resample to so many meters a pixel first.
        stored_values: take the file's numbers as they are stored, without its scale and offset.
        preview: whether to write a picture for a screen, PNG.
        memory: bytes that a process may take; None is 1 GiB, or half of what is free for all of them, and
            more where the program holds much already.
        device: as for `Segmenter`.
        threads: as for `Segmenter`; of each worker, 1 by default.
        workers: processes that label tiles; None labels them in this one.
        ray: address of a Ray cluster that labels tiles, with so many workers, or one for each of its cores;
            `local` starts one here.
        overwrite: replace files that are there; never the raster.
    """

    bands: Sequence[int | str] = ()
    confidence: Path | None = None
    probabilities: Path | None = None
    approximate: int | None = None
    polygons: Path | None = None
    min_area: float = 0.0
    simplify: float | None = None
    resolution: float | None = None
    stored_values: bool = False
    preview: bool = True
    memory: int | None = None
    device: str = "auto"
    threads: int | None = None
    workers: int | None = None
    ray: str | None = None
    overwrite: bool = False


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
        exact: whether these are the labels of the whole image in one piece.
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
    exact: bool

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
        raster: GeoTIFF, VRT, JPEG 2000, PNG or JPEG; or a URL of a GeoTIFF.
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
    require("rasterio", "labeling rasters", InputError)
    name, target = os.fspath(raster), Path(out)
    _check_targets(name, target, options)
    _check_sharing(options)
    sources = sources_of(name, os.fspath(model), options)
    with sources.open() as (network, source):
        return _Job(sources, source, network, target, options, Stages(progress)).run()


def sources_of(raster: str, model: str, options: MapOptions) -> Sources:
    """What is opened for a map."""
    memory = _memory(options)
    return Sources(
        raster, model, tuple(options.bands), options.resolution, options.stored_values, options.device,
        options.threads, options.confidence is not None, options.probabilities is not None,
        options.approximate, cache_bytes(memory), kept_bytes(memory),
    )  # fmt: skip


def _memory(options: MapOptions) -> int:
    return default_memory(options.workers or 1) if options.memory is None else options.memory


@dataclass(frozen=True, eq=False)
class _Job:
    sources: Sources
    source: Raster
    network: TileNetwork
    target: Path
    options: MapOptions
    stages: Stages

    @cached_property
    def ground(self) -> Ground | None:
        return Ground.of(self.source)

    def run(self) -> MapResult:
        source, options = self.source, self.options
        self._check_disk()
        if self.ground is None:
            for name, given in (("--simplify", options.simplify), ("--min-area", options.min_area)):
                if given:
                    raise UsageError(
                        f"{name} is in meters, and {source.path} has no {source.lacks or 'CRS'}: leave it out"
                    )
        self._warn()
        exact = options.approximate is None
        with self.stages.stage("check") as summary:
            if exact:
                require_exact(self.network, source.height, source.width)
            plan = plan_for(self.network, source.height, source.width, _memory(options))
            journal = Journal(self._beside("map"), {"identity": self._identity(), "core": list(plan.core)})
            summary.text = "tiles are the whole image" if exact else f"approximate: {self._how()}"
        with contextlib.closing(journal):
            core = (journal.job["core"][0], journal.job["core"][1])
            source.keep_strips(core[0] + self.network.around, self.sources.cache + plan.spare)
            size = (source.height, source.width)
            sampled = step_for(*size) if options.preview else 0
            reach, digest = self.network.reach, self.network.digest
            job = TileJob(self.sources, digest, size, reach, core, sampled)
            labeling = job.labeling(self.network, source)
            tiled = labeling.tiled
            resumed = len(journal.done)
            targets = Targets(
                self.target, options.confidence, options.probabilities, options.polygons, options.min_area,
                options.simplify, _preview_of(self.target) if options.preview else None,
            )  # fmt: skip
            tags = {
                "FCN_EDGE_MODEL": self.network.card.name,
                "FCN_EDGE_MODEL_SHA256": self.network.digest,
                "FCN_EDGE_EXACT": "yes: the labels of the whole image" if exact else f"no: {self._how()}",
            }
            with MapFiles.at(targets, source, self.network.card, tags, core) as files:
                self._label(job, labeling, journal, files)
                if source.fingerprint() != journal.job["identity"]["raster"]:
                    raise InputError(f"{source.path} was changed while it was read: start again")
                samples = journal.arrays(tiled.tiles, "sample")
                written = files.finish(samples, self.stages, exact=exact)
            journal.remove()
        session = self.network.session
        return MapResult(
            written.files,
            size,
            written.areas,
            core,
            reach.margin,
            tiled.overhead,
            resumed,
            written.polygons,
            session.provider,
            exact,
        )

    def _how(self) -> str:
        """How labels that are not exact are made."""
        return (
            f"scores of windows that overlap by {self.options.approximate} pixels, blended by linear weights"
        )

    def _identity(self) -> dict[str, Any]:
        """What two runs have in common that make the same tiles."""
        return {
            "format": 3,
            "model": self.network.digest,
            "raster": self.source.fingerprint(),
            "margin": self.network.reach.margin,
            "confidence": self.network.confidence,
            "probabilities": self.network.probabilities,
            "approximate": self.network.overlap,
            "provider": self.network.session.provider,
            "preview": self.options.preview,
        }

    def _check_disk(self) -> None:
        card = self.network.card
        each = np.dtype(card.label_dtype).itemsize + 4 * self.network.confidence
        each += len(card.classes) * self.network.probabilities
        needed = self.source.height * self.source.width * each
        free = shutil.disk_usage(self.target.parent).free
        if free < needed:
            raise ArtifactError(
                f"{self.target.parent} has {free / 1e6:.1f} MB free, expected at least {needed / 1e6:.1f} MB "
                f"for a map of {size_text((self.source.height, self.source.width))}: choose another folder"
            )

    def _warn(self) -> None:
        if self.source.lacks is not None:
            warnings.warn(
                f"{self.source.path} has no {self.source.lacks}, and neither will the map", stacklevel=2
            )
        elif self.source.transform.is_identity and self.options.polygons is not None:
            means = "ground control points" if self.source.gcps[0] else "RPCs"
            warnings.warn(
                f"{self.source.path} has no CRS but {means}: its polygons are in pixels", stacklevel=2
            )
        for text in self.source.lost():
            warnings.warn(f"{text} are not kept by a resampled map", stacklevel=2)
        self._warn_resolution()

    def _warn_resolution(self) -> None:
        trained, ground = self.source.spec.resolution, self.ground
        if trained is None or ground is None:
            return
        found = ground.side
        if not 1 / _FAR <= found / trained <= _FAR:
            first = "" if self.source.crs.is_projected else f"{reproject_advice(ground.center)}, then "
            warnings.warn(
                f"{self.source.path} has pixels of {found:.3g} m, and the network was trained with "
                f"{trained:g} m: {first}give --resolution {trained:g}",
                stacklevel=2,
            )

    def _label(self, job: TileJob, labeling: Labeling, journal: Journal, files: MapFiles) -> None:
        """All tiles; those that are done are read."""
        tiled, options, (rows, columns) = labeling.tiled, self.options, job.core
        total = len(tiled.tiles)
        todo = [tile for tile in tiled.tiles if tile.number not in journal.done]

        def add(tile: Tile, labeled: Labeled) -> None:
            journal.add(tile, labeled)
            files.add(tile, labeled)
            self.stages.progress.advance(len(journal.done), total)

        with self.stages.stage("label", total, "tiles") as summary:
            self.stages.progress.advance(total - len(todo), total)
            files.resume(journal, [tile for tile in tiled.tiles if tile.number in journal.done])
            if todo and (options.ray is not None or options.workers is not None):
                labeling.warn_of_first(todo)
            if options.ray is not None and todo:
                label_on_cluster(_elsewhere(job), todo, add, options.ray, options.workers)
            elif options.workers is not None and todo:
                label_in_processes(_elsewhere(job), todo, add, min(options.workers, len(todo)))
            else:
                labeling.all(todo, add)
            around = f"margin {self.network.reach.margin}"
            if self.network.overlap is not None:
                around = f"overlap {self.network.overlap}"
            summary.text = (
                f"{total} tiles of {rows}x{columns}, {around}: {tiled.overhead:.2f} times the pixels"
            )

    def _beside(self, what: str) -> Path:
        return self.target.with_name(f".{self.target.name}.fcn-edge-{what}")


def _elsewhere(job: TileJob) -> TileJob:
    """The same for other processes, which have one thread unless more are asked for."""
    sources = job.sources
    raster = os.path.realpath(sources.raster) if os.path.lexists(sources.raster) else sources.raster
    threads = 1 if sources.threads is None else sources.threads
    model = os.path.realpath(sources.model)
    return replace(job, sources=replace(sources, raster=raster, model=model, threads=threads))


def _check_sharing(options: MapOptions) -> None:
    """Refuse numbers of workers that do not fit."""
    if options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
        raise UsageError(f"got {options.workers} workers, expected 1 to {MOST_WORKERS}")
    if options.approximate is not None and (options.workers is not None or options.ray is not None):
        raise UsageError(
            "an approximate map is made by one process, since its windows overlap: leave out --workers "
            "and --ray"
        )


def _preview_of(target: Path) -> Path:
    return target.with_name(f"{target.stem}.preview.png")


def _check_targets(raster: str, target: Path, options: MapOptions) -> None:
    """Refuse results that cannot be written, or would replace a file that is there."""
    for path in (target, options.confidence, options.probabilities):
        if path is not None and path.suffix.lower() not in _ENDINGS:
            raise UsageError(f"got the name {path} for a GeoTIFF, expected one that ends in .tif")
    if options.polygons is not None:
        check_polygons(options.polygons)
    if options.simplify is not None:
        if options.polygons is None:
            raise UsageError("got --simplify without --polygons, which it simplifies: name both")
        require_simplification()
    targets = [
        target, options.confidence, options.probabilities, options.polygons,
        _preview_of(target) if options.preview else None,
    ]  # fmt: skip
    found = [path for path in targets if path is not None]
    if len({os.path.realpath(path) for path in found}) < len(found):
        raise UsageError("two results have the same name: give each its own")
    for path in found:
        if os.path.realpath(path) == os.path.realpath(raster):
            raise UsageError(f"the result {path} would overwrite the raster: choose another name")
        if os.path.lexists(path) and not options.overwrite:
            raise UsageError(f"{path} is there: choose another name, or give --overwrite")
        require_writable(path.parent)
