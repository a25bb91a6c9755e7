"""The time per frame as percentiles: a mean hides the frame that was too late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Latency", "latency_of"]


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time per frame, in milliseconds.

    Attributes:
        p50_ms, p90_ms, p95_ms, p99_ms: percentiles, interpolated between the nearest frames.
        max_ms: the slowest frame.
        mean_ms: the average.
        frames: how many were timed; p99 of fewer than a hundred is close to the slowest of them.
    """

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    frames: int


def latency_of(seconds: npt.ArrayLike) -> Latency:
    """The percentiles of times in seconds, at least one of them."""
    times = 1000 * np.asarray(seconds, np.float64)
    p50, p90, p95, p99 = (float(v) for v in np.quantile(times, (0.5, 0.9, 0.95, 0.99)))
    return Latency(p50, p90, p95, p99, float(times.max()), float(times.mean()), times.size)
