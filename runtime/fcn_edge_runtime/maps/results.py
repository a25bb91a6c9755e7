"""The files of a map: parts, to which tiles are added while others are labeled, put in place together."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fcn_edge_runtime._files import part_of, place
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.imaging.areas import Area, areas_from_counts
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.cog import (
    MapFile,
    class_names,
    confidence_file,
    labels_file,
    probabilities_file,
    qgis_style,
)
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.labeled import Labeled
from fcn_edge_runtime.maps.polygons import write_polygons
from fcn_edge_runtime.maps.preview import preview_png
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.runs import Runs
from fcn_edge_runtime.maps.tiles import Tile
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Stages

__all__ = ["MapArea", "MapFiles", "Targets", "Written"]


@dataclass(frozen=True)
class MapArea(Area):
    """What one class covers.

    Attributes:
        square_meters: on the ground; None where the raster has no CRS, or no place in it.
    """

    square_meters: float | None


@dataclass(frozen=True)
class Targets:
    """Where the files of a map go; None where one is not wanted.

    Attributes:
        labels: the map.
        confidence: the winners' probabilities.
        probabilities: those of all classes.
        polygons: of the classes.
        min_area: of a polygon, in square meters.
        simplify: as for `write_polygons`.
        preview: the picture for a screen.
    """

    labels: Path
    confidence: Path | None
    probabilities: Path | None
    polygons: Path | None
    min_area: float
    simplify: float | None
    preview: Path | None


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: the map first.
        areas: of each class, and of pixels without data.
        polygons: how many; None where none were wanted.
    """

    files: tuple[Path, ...]
    areas: tuple[MapArea, ...]
    polygons: int | None


@dataclass(frozen=True, eq=False)
class MapFiles:
    """The files of a map while tiles are added to them."""

    _targets: Targets
    _source: Raster
    _card: Card
    _counted: _Counted
    _files: dict[str, MapFile]  # by the names of `Labeled`'s arrays
    _moves: list[tuple[Path, Path]]
    _parts: contextlib.ExitStack

    @classmethod
    @contextlib.contextmanager
    def at(
        cls, targets: Targets, source: Raster, card: Card, tags: dict[str, str], core: tuple[int, int]
    ) -> Iterator[MapFiles]:
        """Begin the parts of all files, which are removed at the end of the block unless they are finished.

        Args:
            targets: where to.
            source: what is labeled.
            card: of the model.
            tags: texts to keep in the map.
            core: rows and columns of a tile.

        Raises:
            ArtifactError: one cannot be written.
        """
        with contextlib.ExitStack() as stack:
            files: dict[str, MapFile] = {}
            made = cls(targets, source, card, _Counted(Ground.of(source), card), files, [], stack)
            begin = stack.enter_context
            files["labels"] = begin(labels_file(made._part(targets.labels), source, card, tags, core))
            if targets.confidence is not None:
                files["confidence"] = begin(confidence_file(made._part(targets.confidence), source, tags))
            if targets.probabilities is not None:
                part = made._part(targets.probabilities)
                files["probabilities"] = begin(probabilities_file(part, source, card, tags))
            yield made

    def resume(self, journal: Journal, tiles: Sequence[Tile]) -> None:
        """Add tiles that an earlier run had done.

        Raises:
            ArtifactError: the disk is full or fails.
        """
        for name in self._files:
            for tile, values in journal.arrays(tiles, name):
                if name == "labels":
                    self._counted.add(tile, Runs.of(values))
                self._files[name].add(tile, values)

    def add(self, tile: Tile, labeled: Labeled) -> None:
        """Add a tile; any thread may, one at a time.

        Raises:
            ArtifactError: the disk is full or fails.
        """
        self._counted.add(tile, labeled.runs)
        for name, file in self._files.items():
            file.add(tile, getattr(labeled, name))

    def finish(self, samples: Iterable[tuple[Tile, np.ndarray]], stages: Stages, *, exact: bool) -> Written:
        """Write what is made of the whole map, and put all files in place. All tiles have been added.

        Args:
            samples: of all tiles, for the preview.
            stages: are told of each file.
            exact: whether the labels are those of the whole image.

        Raises:
            ArtifactError: one cannot be written; none is then.
        """
        try:
            return self._finished(samples, stages, exact=exact)
        except OSError as error:
            raise _unwritable(self._targets.labels, error.strerror or str(error)) from None

    def _finished(
        self, samples: Iterable[tuple[Tile, np.ndarray]], stages: Stages, *, exact: bool
    ) -> Written:
        targets, card, ground = self._targets, self._card, self._counted.ground
        labels, areas, polygons = self._moves[0][0], self._counted.areas(), None
        with stages.stage("write") as summary:
            for file in self._files.values():
                file.finish()
            names = targets.labels.with_name(targets.labels.name + ".aux.xml")
            self._part(names).write_text(class_names(card), "utf-8")
            self._part(targets.labels.with_suffix(".qml")).write_text(qgis_style(card), "utf-8")
            summary.text = f"{labels.stat().st_size / 1e6:.1f} MB"
        if targets.polygons is not None:
            with stages.stage("polygons") as summary:
                path = self._part(targets.polygons)
                path.unlink()  # GDAL makes its files anew
                polygons = write_polygons(
                    labels, targets.polygons, path, card, ground, targets.min_area, targets.simplify
                )
                summary.text = f"{polygons} polygons"
        if targets.preview is not None:
            with stages.stage("preview"):
                png = preview_png(samples, self._source, labels, card, areas, ground, exact=exact)
                self._part(targets.preview).write_bytes(png)
        place(*self._moves)
        return Written(tuple(path for _, path in self._moves), areas, polygons)

    def _part(self, path: Path) -> Path:
        found = self._parts.enter_context(
            part_of(path, ending=path.suffix, refusal=lambda reason: _unwritable(path, reason))
        )
        self._moves.append((found, path))
        return found


class _Counted:
    """Pixels and square meters of every class, of tiles in any order."""

    def __init__(self, ground: Ground | None, card: Card) -> None:
        self.ground, self._card = ground, card
        self._ids = np.array([*(entry.id for entry in card.classes), card.unlabeled])
        self._pixels = np.zeros(len(self._ids), np.int64)
        self._meters: list[np.ndarray] = []

    def add(self, tile: Tile, runs: Runs) -> None:
        """Count a tile's labels."""
        counts = runs.counted(self._ids)
        self._pixels += counts.sum(axis=0).astype(np.int64)
        if self.ground is not None:
            self._meters.append(self.ground.of_rows(*tile.core) @ counts)

    def areas(self) -> tuple[MapArea, ...]:
        """What the classes cover."""
        counts = np.zeros(self._card.unlabeled + 1, np.int64)
        counts[self._ids] = self._pixels
        # Exact sums: the order of tiles does not matter.
        meters = (
            None if self.ground is None else [math.fsum(each) for each in zip(*self._meters, strict=True)]
        )
        return tuple(
            MapArea(**asdict(area), square_meters=None if meters is None else meters[number])
            for number, area in enumerate(areas_from_counts(counts, self._card))
        )


def _unwritable(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"{path} cannot be written ({reason}): choose another place with -o")
