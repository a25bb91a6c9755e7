"""How fast maps are made here, beside the network alone on the windows of the same tiles.

The network alone is everything between the pixels of a tile's window and the labels of its core, both in
memory. A map and the network alone take turns, each in a process of its own: so memory is that of one map,
and what else runs on the machine slows both.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fcn_edge_runtime._memory import peak_bytes
from fcn_edge_runtime.maps.label_raster import MapOptions, MapResult, label_raster, sources_of
from fcn_edge_runtime.maps.tiles import TiledImage
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.timing import Ratio, ratio_of

__all__ = ["MapSpeed", "measure_map"]

_ROUNDS, _ENOUGH = 3, 60.0  # seconds, after which there is no other round
Found = TypeVar("Found")


@dataclass(frozen=True)
class MapSpeed:
    """The time and memory of a map.

    Attributes:
        raster: its name.
        model: its path.
        size: (height, width).
        tile: (rows, columns) of a tile.
        overhead: pixels that the network saw for each pixel of the map.
        seconds: of the fastest map, with reading, writing and the start of the process.
        network_seconds: of the network alone on the same windows, the fastest.
        efficiency: the network's time relative to the map's; 1 is a map that costs nothing besides.
        processor_efficiency: the same of the time of all cores: reading and writing beside the network
            hides from the other one.
        peak: memory of the process in bytes, the largest; None where the system does not report it.
    """

    raster: str
    model: str
    size: tuple[int, int]
    tile: tuple[int, int]
    overhead: float
    seconds: float
    network_seconds: float
    efficiency: Ratio
    processor_efficiency: Ratio
    peak: int | None

    @property
    def pixels_a_second(self) -> float:
        """Of the map."""
        return self.size[0] * self.size[1] / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """The measurement as plain JSON values."""
        return {**asdict(self), "pixels_a_second": self.pixels_a_second}


def measure_map(
    raster: str | os.PathLike[str],
    model: str | os.PathLike[str],
    options: MapOptions | None = None,
    progress: Progress | None = None,
) -> MapSpeed:
    """Make maps of a raster in a temporary folder, and run the network alone, in turns.

    Args:
        raster: as for `label_raster`, as are the model and the options.
        model: see above.
        options: without places for files.
        progress: receives the rounds.

    Raises:
        FcnEdgeError: as `label_raster` raises it.
    """
    name, path = os.fspath(raster), os.fspath(model)
    given = replace(options or MapOptions(), overwrite=True)
    maps: list[tuple[MapResult, _Time, int | None]] = []
    alone: list[_Time] = []
    stages, begun = Stages(progress), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, stages.stage("measure", _ROUNDS, "rounds") as summary:
        while len(maps) < _ROUNDS and (not maps or time.perf_counter() - begun < _ENOUGH):
            maps.append(_in_a_process(_map, name, path, Path(folder) / "map.tif", given))
            result = maps[-1][0]
            alone.append(_in_a_process(_network_alone, name, path, given, result.tile))
            stages.progress.advance(len(maps), _ROUNDS)
        summary.text = f"{len(maps)} maps, and the network alone"
    taken = [entry[1] for entry in maps]
    wall, processor = (
        [np.array([getattr(time, name) for time in times]) for times in (alone, taken)]
        for name in ("wall", "processor")
    )
    peaks = [entry[2] for entry in maps if entry[2] is not None]
    return MapSpeed(
        name, path, result.size, result.tile, result.overhead, float(wall[1].min()), float(wall[0].min()),
        ratio_of(*wall), ratio_of(*processor), max(peaks, default=None),
    )  # fmt: skip


@dataclass(frozen=True)
class _Time:
    """Seconds that something took, and those of all cores in it."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> _Time:
        return cls(time.perf_counter(), time.process_time())

    def since(self, begun: _Time) -> _Time:
        return _Time(self.wall - begun.wall, self.processor - begun.processor)

    def plus(self, other: _Time) -> _Time:
        return _Time(self.wall + other.wall, self.processor + other.processor)


def _in_a_process(run: Callable[..., Found], *args: Any) -> Found:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run, *args).result()


def _map(raster: str, model: str, out: Path, options: MapOptions) -> tuple[MapResult, _Time, int | None]:
    begun = _Time.now()
    result = label_raster(raster, model, out, options)
    return result, _Time.now().since(begun), peak_bytes()


def _network_alone(raster: str, model: str, options: MapOptions, core: tuple[int, int]) -> _Time:
    """What the network takes for all windows, which are read in between."""
    total = _Time(0.0, 0.0)
    with sources_of(raster, model, options).open() as (network, source):
        tiled = TiledImage(network, source.height, source.width, core)
        for tile in tiled.tiles:
            pixels, _ = source.read(*tile.window)
            begun = _Time.now()
            tiled.label(tile, network.run(pixels))
            total = total.plus(_Time.now().since(begun))
    return total
