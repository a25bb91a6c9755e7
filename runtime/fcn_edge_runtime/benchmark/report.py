"""What a benchmark is asked for, and what it reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fcn_edge_runtime.benchmark.coldstart import ColdStart
from fcn_edge_runtime.benchmark.latency import Latency
from fcn_edge_runtime.benchmark.machine import Machine
from fcn_edge_runtime.benchmark.operators import OperatorProfile
from fcn_edge_runtime.benchmark.overhead import Overhead
from fcn_edge_runtime.benchmark.pacing import Paced
from fcn_edge_runtime.benchmark.spinning import Spinning
from fcn_edge_runtime.benchmark.sweep import SweepPoint
from fcn_edge_runtime.imaging.frames import FrameSource
from fcn_edge_runtime.timing import Ratio

__all__ = ["BenchmarkOptions", "BenchmarkReport", "Comparison", "ModelReport"]


@dataclass(frozen=True)
class BenchmarkOptions:
    """What to measure on.

    Attributes:
        size: (height, width) of the frames; None means the images' own sizes, or 480x640.
        images: what to measure on: a folder, paths, arrays, a mapping or a function, see `frames_of`; None
            computes frames.
        rate: frames per second of a camera to keep up with; None times frame after frame.
        threads: on the CPU; None means all cores this process may use.
        device: as for `Segmenter`.
        profiles: paths of files that `fcn-edge tune` wrote; each is used for the model it was made for.
        seconds: for timing the frames of each model; the other phases take a share of it.
        sweep: whether to measure over image sizes, too.
    """

    size: tuple[int, int] | None = None
    images: FrameSource | None = None
    rate: float | None = None
    threads: int | None = None
    device: str = "auto"
    profiles: tuple[str, ...] = ()
    seconds: float = 10.0
    sweep: bool = False


@dataclass(frozen=True)
class ModelReport:
    """The measurements of one model.

    Attributes:
        name: what tables call it.
        path, sha256, precision: the file.
        provider: the execution provider that ran it, by onnxruntime's name.
        threads: on the CPU.
        tuned: whether a profile was used.
        size: (height, width) of the first frame.
        cold: from process start to the first mask.
        latency: of a frame, array in to labels out: frame after frame, or at the camera's rate.
        frames_per_second: masks per second: frame after frame, or at the camera's rate.
        cpu_seconds: CPU time per frame, all threads together.
        paced: how well it keeps up with the camera; None where no rate was given.
        spinning: the cost of letting idle threads spin; None on one thread, on other devices, and with a
            profile.
        overhead: the time per frame spent outside onnxruntime.
        profile: the time per operator inside it.
        sweep: time and memory over image area; empty unless requested.
    """

    name: str
    path: str
    sha256: str
    precision: str
    provider: str
    threads: int
    tuned: bool
    size: tuple[int, int]
    cold: ColdStart
    latency: Latency
    frames_per_second: float
    cpu_seconds: float
    paced: Paced | None
    spinning: Spinning | None
    overhead: Overhead
    profile: OperatorProfile
    sweep: tuple[SweepPoint, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A model compared with the first one: `ratio` is its time over the first's, below 1 is faster."""

    name: str
    against: str
    ratio: Ratio


@dataclass(frozen=True)
class BenchmarkReport:
    """The whole benchmark."""

    machine: Machine
    frames: str
    models: tuple[ModelReport, ...]
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"schema": "fcn-edge-bench/1", **asdict(self)}
