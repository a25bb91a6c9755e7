"""Time and peak memory over image area: one size after another, each in a fresh process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fcn_edge_runtime._memory import available_bytes
from fcn_edge_runtime.benchmark.fresh import FreshJob, FreshRun, run_fresh
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.progress import Progress, tracked

__all__ = ["SIZES", "SweepPoint", "sweep"]

# From 320x240 to 3840x2160, as (height, width).
SIZES = ((240, 320), (480, 640), (720, 1280), (1080, 1920), (1440, 2560), (2160, 3840))

_SECONDS = 3.0
_SPARE = 0.9  # share of the memory left that is used: the estimate is a line through two points


@dataclass(frozen=True)
class SweepPoint:
    """One size.

    Attributes:
        height, width: of the frame.
        frame_ms: median time of a frame after the first.
        first_ms: the first frame, which allocates the memory.
        peak_bytes: peak memory of the process, onnxruntime itself included.
        frames: how many were timed.
        skipped: why it was not measured, in one line; empty if it was.
        processor_ms: the least processor time of a frame, all threads, which other programs hardly change.
    """

    height: int
    width: int
    frame_ms: float | None = None
    first_ms: float | None = None
    peak_bytes: int | None = None
    frames: int = 0
    skipped: str = ""
    processor_ms: float | None = None

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width


def sweep(
    job: FreshJob,
    frame_of: Callable[[tuple[int, int]], np.ndarray],
    sizes: tuple[tuple[int, int], ...] = SIZES,
    progress: Progress | None = None,
    seconds: float = _SECONDS,
) -> tuple[SweepPoint, ...]:
    """Measure sizes in order, the smallest first; those that would not fit into memory are skipped.

    A size that fails is reported in its point, and larger ones are not tried.

    Args:
        job: model, device, threads.
        frame_of: makes a frame (H, W, C) of a size (height, width).
        sizes: (height, width) each.
        progress: receives how many sizes are done.
        seconds: for the frames of each size; two are timed at least.
    """
    points: list[SweepPoint] = []
    for height, width in tracked(sizes, progress):
        skipped = next((f"after {p.height}x{p.width}: {p.skipped}" for p in points if p.skipped), "")
        skipped = skipped or _no_memory(points, height * width)
        if skipped:
            points.append(SweepPoint(height, width, skipped=skipped))
            continue
        try:
            run = run_fresh(replace(job, fewest=2, most=50, seconds=seconds), frame_of((height, width)))
        except FcnEdgeError as error:
            points.append(SweepPoint(height, width, skipped=str(error)))
        else:
            points.append(_point(height, width, run))
    return tuple(points)


def _point(height: int, width: int, run: FreshRun) -> SweepPoint:
    frame = 1000 * float(np.median(run.frames))
    return SweepPoint(
        height,
        width,
        frame,
        1000 * run.first,
        run.peak_bytes,
        len(run.frames),
        processor_ms=1000 * min(run.busy),
    )


def _no_memory(points: list[SweepPoint], pixels: int) -> str:
    """Why a size is not tried: a line through the last two peaks exceeds the memory left. Else empty."""
    known = [(p.pixels, p.peak_bytes) for p in points if p.peak_bytes is not None][-2:]
    left = available_bytes()
    if len(known) < 2 or left is None:
        return ""
    (small, low), (large, high) = known
    needed = high + (high - low) / (large - small) * (pixels - large)
    if needed <= _SPARE * left:
        return ""
    return f"would take about {needed / 1e9:.1f} GB, {left / 1e9:.1f} GB are left"
