"""The files of a map, made of its finished tiles: parts first, which are put in place together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fcn_edge_runtime._files import part_of, place
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.imaging.areas import Area, areas_from_counts
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.cog import (
    class_names,
    qgis_style,
    write_confidence,
    write_labels,
    write_probabilities,
)
from fcn_edge_runtime.maps.journal import Journal
from fcn_edge_runtime.maps.polygons import write_polygons
from fcn_edge_runtime.maps.preview import preview_png
from fcn_edge_runtime.maps.raster import Raster
from fcn_edge_runtime.maps.tiles import Tile
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Stages

__all__ = ["MapArea", "Targets", "Written", "write_results"]


@dataclass(frozen=True)
class MapArea(Area):
    """What one class covers.

    Attributes:
        square_meters: on the ground; None where the raster has no CRS.
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
        preview: the picture for a screen.
    """

    labels: Path
    confidence: Path | None
    probabilities: Path | None
    polygons: Path | None
    min_area: float
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


def write_results(
    targets: Targets,
    journal: Journal,
    tiles: tuple[Tile, ...],
    source: Raster,
    card: Card,
    tags: dict[str, str],
    stages: Stages,
    *,
    exact: bool,
) -> Written:
    """Write all files of a map.

    Args:
        targets: where to.
        journal: the tiles that are done, which are all.
        tiles: of the map.
        source: what was labeled.
        card: of the model.
        tags: texts to keep in the map.
        stages: are told of each file.
        exact: whether the labels are those of the whole image.

    Raises:
        ArtifactError: one cannot be written; none is then.
    """
    ground, polygons = Ground.of(source), None
    counted = _Counted(ground, card)
    moves: list[tuple[Path, Path]] = []
    with contextlib.ExitStack() as stack:

        def part(path: Path) -> Path:
            found = stack.enter_context(
                part_of(path, ending=path.suffix, refusal=lambda reason: _unwritable(path, reason))
            )
            moves.append((found, path))
            return found

        with stages.stage("write") as summary:
            labels = part(targets.labels)
            core = (journal.job["core"][0], journal.job["core"][1])
            write_labels(labels, source, card, tags, counted.of(journal.arrays(tiles, "labels")), core)
            areas = counted.areas()
            names = targets.labels.with_name(targets.labels.name + ".aux.xml")
            part(names).write_text(class_names(card), "utf-8")
            part(targets.labels.with_suffix(".qml")).write_text(qgis_style(card), "utf-8")
            if targets.confidence is not None:
                sure = journal.arrays(tiles, "confidence")
                write_confidence(part(targets.confidence), source, tags, sure)
            if targets.probabilities is not None:
                each = journal.arrays(tiles, "probabilities")
                write_probabilities(part(targets.probabilities), source, card, tags, each)
            summary.text = f"{labels.stat().st_size / 1e6:.1f} MB"
        if targets.polygons is not None:
            with stages.stage("polygons") as summary:
                path = part(targets.polygons)
                path.unlink()  # GDAL makes its files anew
                polygons = write_polygons(labels, targets.polygons, path, card, ground, targets.min_area)
                summary.text = f"{polygons} polygons"
        if targets.preview is not None:
            with stages.stage("preview"):
                samples = journal.arrays(tiles, "sample")
                png = preview_png(samples, source, labels, card, areas, ground, exact=exact)
                part(targets.preview).write_bytes(png)
        try:
            place(*moves)
        except OSError as error:
            raise _unwritable(targets.labels, error.strerror or str(error)) from None
    return Written(tuple(path for _, path in moves), areas, polygons)


class _Counted:
    """Counts pixels and square meters of every class while tiles pass."""

    def __init__(self, ground: Ground | None, card: Card) -> None:
        self._ground, self._card = ground, card
        self._pixels = np.zeros(card.unlabeled + 1, np.int64)
        self._meters = np.zeros(card.unlabeled + 1)

    def of(self, tiles: Iterator[tuple[Tile, np.ndarray]]) -> Iterator[tuple[Tile, np.ndarray]]:
        """The same tiles."""
        for tile, labels in tiles:
            each = None if self._ground is None else self._ground.of_rows(*tile.core)
            counts = np.array([np.bincount(row, minlength=len(self._pixels)) for row in labels])
            self._pixels += counts.sum(axis=0)
            if each is not None:
                self._meters += each @ counts
            yield tile, labels

    def areas(self) -> tuple[MapArea, ...]:
        """What the classes cover."""
        return tuple(
            MapArea(
                **asdict(area), square_meters=None if self._ground is None else float(self._meters[area.id])
            )
            for area in areas_from_counts(self._pixels, self._card)
        )


def _unwritable(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"{path} cannot be written ({reason}): choose another place with -o")
