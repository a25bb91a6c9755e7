"""What is measured along each axis. Every point is a process of its own, and so is its peak of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.scaling.curves import Axis, Curve
from benchmarks.scaling.folders import measure
from benchmarks.scaling.networks import write_network
from benchmarks.serving import megabytes, processor_seconds, served
from fcn_edge_runtime.benchmark.fresh import FreshJob, FreshRun, run_fresh
from fcn_edge_runtime.benchmark.sweep import SIZES, sweep
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress, tracked
from fcn_edge_runtime.session.devices import cores

__all__ = ["AXES", "Extent"]

_FRAME = (240, 320)
_PASSES = 3  # over the points of an axis: other work on the machine comes and goes meanwhile


@dataclass(frozen=True)
class Extent:
    """How far and how long each axis is measured.

    Attributes:
        sizes: (height, width) of frames.
        rows: of label images of 16:9.
        classes: of networks.
        images: of folders.
        batches: frames of a call.
        clients: of a server, at the same time.
        seconds: for each point at least, in each pass.
    """

    sizes: tuple[tuple[int, int], ...] = (*SIZES, (4320, 7680))
    rows: tuple[int, ...] = (270, 540, 1080, 2160, 4320)
    classes: tuple[int, ...] = (2, 8, 32, 100, 300)
    images: tuple[int, ...] = (1000, 10_000, 100_000)
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    clients: tuple[int, ...] = (1, 2, 4, 8, 16)
    seconds: float = 1.5

    @classmethod
    def quick(cls) -> Extent:
        """A minute, to look at the page."""
        return cls(
            SIZES[:2] + SIZES[3:4], (270, 540, 1080), (2, 32, 300), (100, 1000, 10_000), (1, 4), (1, 4), 0.3
        )

    @property
    def threads(self) -> tuple[int, ...]:
        """Powers of two, to one beyond the cores."""
        return tuple(2**power for power in range(cores().bit_length() + 1))


@dataclass(frozen=True)
class Setting:
    """What all axes share.

    Attributes:
        model: the file whose frames are timed.
        extent: how far and how long.
        place: an empty folder.
        progress: receives how many points of an axis are done.
    """

    model: Path
    extent: Extent
    place: Path
    progress: Progress

    @property
    def job(self) -> FreshJob:
        """A process that times frames of the model, with a thread for each core."""
        seconds = self.extent.seconds
        return FreshJob(
            str(self.model), "cpu", "CPUExecutionProvider", cores(), fewest=3, most=50, seconds=seconds
        )

    def frame(self, size: tuple[int, int], batch: int = 0) -> np.ndarray:
        """Noise of the model's kind: (H, W, C), or a batch of it."""
        with ModelFile.open(self.model) as file:
            spec = file.card.input
        shape = (*((batch,) if batch else ()), *size, spec.channels)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8).astype(spec.dtype)


def _curves(points: Sequence[tuple[float, Sequence[float]]], *names: tuple[str, str]) -> tuple[Curve, ...]:
    """Curves of (name, unit) from points (x, (y of each curve)); of fewer than two points there is none."""
    if len(points) < 2:
        return ()
    x = tuple(at for at, _ in points)
    return tuple(
        Curve(name, unit, x, tuple(values[index] for _, values in points))
        for index, (name, unit) in enumerate(names)
    )


def _in_passes(
    values: Sequence[int], setting: Setting, measured: Callable[[int], tuple[float, ...]]
) -> list[tuple[float, tuple[float, ...]]]:
    """Points (x, y of each curve), all measured one after another and again: the least of each counts."""
    found: dict[int, list[tuple[float, ...]]] = {value: [] for value in values}
    for value in tracked([*values] * _PASSES, setting.progress):
        found[value].append(measured(value))
    return [(value, tuple(map(min, zip(*costs, strict=True)))) for value, costs in found.items()]


def _timed(what: str) -> tuple[tuple[str, str], ...]:
    """The curves of `_costs`."""
    return ((what, "s"), (f"{what}, processor", "s"), ("memory", "B"))


def _costs(run: FreshRun) -> tuple[float, float, float]:
    return min(run.frames), min(run.busy), run.peak_bytes or 1


def _pixels(setting: Setting) -> Axis:
    extent = setting.extent
    found = sweep(setting.job, setting.frame, extent.sizes, setting.progress, seconds=extent.seconds)
    frames = [
        (p.pixels, (p.frame_ms / 1000, p.processor_ms / 1000, p.peak_bytes or 1))
        for p in found
        if p.frame_ms is not None and p.processor_ms is not None
    ]
    pictures = [
        (rows * rows * 16 // 9, measure("labels", rows, setting.model, setting.place)) for rows in extent.rows
    ]
    return Axis(
        "pixels",
        "one frame; label images as PNG",
        _curves(frames, *_timed("a frame"))
        + _curves(
            [(pixels, (cost.seconds, cost.file_bytes)) for pixels, cost in pictures],
            ("labels to PNG", "s"),
            ("labels as PNG", "B"),
        ),
        tuple(f"{p.height}x{p.width}: {p.skipped}" for p in found if p.skipped),
    )


def _classes(setting: Setting) -> Axis:
    frame = np.random.default_rng(0).integers(0, 256, (*_FRAME, 3), np.uint8)
    paths = {n: write_network(setting.place / f"{n}.onnx", n) for n in setting.extent.classes}

    def measured(classes: int) -> tuple[float, ...]:
        run = run_fresh(replace(setting.job, model=str(paths[classes])), frame)
        return (*_costs(run), paths[classes].stat().st_size)

    return Axis(
        "classes",
        "a network of three convolutions, one frame of 240x320",
        _curves(
            _in_passes(setting.extent.classes, setting, measured), *_timed("a frame"), ("model file", "B")
        ),
    )


def _images(setting: Setting) -> Axis:
    names = {"find": "names and checks", "shard": "shard, without network", "resume": "resume, all done"}
    curves: list[Curve] = []
    for kind, name in tracked(names.items(), setting.progress, total=len(names)):
        points = []
        for count in setting.extent.images:
            cost = measure(kind, count, setting.model, setting.place)
            points.append((count, (cost.seconds, cost.peak_bytes, cost.file_bytes)))
        found = _curves(points, (name, "s"), (f"{name}: memory", "B"), ("manifest", "B"))
        curves += found if kind == "shard" else found[:2]
    return Axis("images", "a folder of links to small files", tuple(curves))


def _batch(setting: Setting) -> Axis:
    def measured(batch: int) -> tuple[float, ...]:
        return _costs(run_fresh(setting.job, setting.frame(_FRAME, batch)))

    points = _in_passes(setting.extent.batches, setting, measured)
    return Axis("batch", "one call, frames of 240x320", _curves(points, *_timed("a call")))


def _threads(setting: Setting) -> Axis:
    frame = setting.frame(_FRAME)

    def measured(threads: int) -> tuple[float, ...]:
        return _costs(run_fresh(replace(setting.job, threads=threads), frame))

    points = _in_passes(setting.extent.threads, setting, measured)
    return Axis("threads", f"one frame of 240x320, {cores()} cores", _curves(points, *_timed("a frame")))


def _clients(setting: Setting) -> Axis:
    refused = 0

    def measured(clients: int) -> tuple[float, ...]:
        nonlocal refused
        with served(str(setting.model), setting.frame(_FRAME)) as (process, load):
            load.run(clients, count=2)
            load.seconds.clear()
            before = processor_seconds(process)
            load.run(clients, time.perf_counter() + setting.extent.seconds)
            used = (processor_seconds(process) - before) / len(load.seconds)
            refused += load.failed
            # All clients' requests are in work at the same time, so that each waits for all.
            return float(np.median(load.seconds)), clients * used, 1e6 * megabytes(process, "VmHWM")

    names = (
        ("a request", "s"),
        ("a request of each, processor of the server", "s"),
        ("memory of the server", "B"),
    )
    return Axis(
        "clients",
        "serve, each waits for its answer, frames of 240x320",
        _curves(_in_passes(setting.extent.clients, setting, measured), *names),
        (f"{refused} requests were not answered",) if refused else (),
    )


AXES: dict[str, Callable[[Setting], Axis]] = {
    "pixels": _pixels,
    "classes": _classes,
    "images": _images,
    "batch": _batch,
    "threads": _threads,
    "clients": _clients,
}
