"""How fast maps are made here, beside the network alone on the windows of the same tiles.

A map and the network alone take turns, each in a process of its own: so memory is that of one map, and what
else runs on the machine slows both.
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

_ROUNDS = 3
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
    maps: list[tuple[MapResult, float, int | None]] = []
    alone: list[float] = []
    stages = Stages(progress)
    with tempfile.TemporaryDirectory() as folder, stages.stage("measure", _ROUNDS, "rounds") as summary:
        for number in range(_ROUNDS):
            maps.append(_in_a_process(_map, name, path, Path(folder) / "map.tif", given))
            result = maps[-1][0]
            alone.append(_in_a_process(_network_alone, name, path, given, result.tile))
            stages.progress.advance(number + 1, _ROUNDS)
        summary.text = f"{_ROUNDS} maps, and the network alone"
    seconds = [entry[1] for entry in maps]
    peaks = [entry[2] for entry in maps if entry[2] is not None]
    return MapSpeed(
        name, path, result.size, result.tile, result.overhead, min(seconds), min(alone),
        ratio_of(np.array(alone), np.array(seconds)), max(peaks, default=None),
    )  # fmt: skip


def _in_a_process(run: Callable[..., Found], *args: Any) -> Found:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(run, *args).result()


def _map(raster: str, model: str, out: Path, options: MapOptions) -> tuple[MapResult, float, int | None]:
    begun = time.perf_counter()
    result = label_raster(raster, model, out, options)
    return result, time.perf_counter() - begun, peak_bytes()


def _network_alone(raster: str, model: str, options: MapOptions, core: tuple[int, int]) -> float:
    """Seconds that the network takes for all windows, which are read in between."""
    total = 0.0
    with sources_of(raster, model, options).open() as (network, source):
        for tile in TiledImage(network, source.height, source.width, core).tiles:
            pixels, _ = source.read(*tile.window)
            begun = time.perf_counter()
            network.run(pixels)
            total += time.perf_counter() - begun
    return total
