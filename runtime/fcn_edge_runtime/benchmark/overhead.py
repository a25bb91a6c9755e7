"""The overhead of a call: the time per frame around onnxruntime's `run`, for checks, layout and result."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.timing import interleaved

__all__ = ["Overhead", "measure_overhead"]


@dataclass(frozen=True)
class Overhead:
    """The part of a Segmenter call that is not spent in onnxruntime.

    Attributes:
        ms: median of (the call) - (the run inside it, by its own clock): free of the network's noise.
        spread_ms: quartiles of the same.
        paired_ms: median of (a call) - (a bare run of the same session in the same round): the full cost of
            a call, as far as the machine is idle.
        paired_spread_ms: quartiles of the same.
        size: (height, width) of the frame.
        rounds: how many of each were run.
    """

    ms: float
    spread_ms: tuple[float, float]
    paired_ms: float
    paired_spread_ms: tuple[float, float]
    size: tuple[int, int]
    rounds: int


def measure_overhead(
    segmenter: Segmenter,
    frame: np.ndarray,
    *,
    seconds: float,
    progress: Progress | None = None,
) -> Overhead:
    """Run one frame (H, W, C) through the segmenter and through its bare session, interleaved."""
    session, names = segmenter.session, list(segmenter.outputs)
    outside: list[float] = []

    def call() -> None:
        start = time.perf_counter()
        result = segmenter(frame)
        outside.append(1000 * (time.perf_counter() - start) - result.milliseconds)

    def bare() -> None:
        if session.head is None:
            session.raw.run(names, {"image": frame[None]})
        else:  # the head in numpy computes the labels: work, not overhead
            session.run(frame[None], names)

    timings = interleaved(
        [call, bare],
        seconds=seconds,
        fewest=11,
        most=500,
        progress=progress,
    )
    paired = 1000 * (timings.seconds[:, 0] - timings.seconds[:, 1])
    low, middle, high = (float(v) for v in np.quantile(outside[1:], (0.25, 0.5, 0.75)))
    paired_low, paired_middle, paired_high = (float(v) for v in np.quantile(paired, (0.25, 0.5, 0.75)))
    height, width = frame.shape[:2]
    return Overhead(
        middle, (low, high), paired_middle, (paired_low, paired_high), (height, width), len(paired)
    )
