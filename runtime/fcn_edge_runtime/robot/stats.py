"""Rates and latencies of recent frames, cheap enough to record for every frame."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

import numpy as np

__all__ = ["Rate", "Window", "quantiles"]


def quantiles(values: Iterable[float], *shares: float) -> tuple[float, ...]:
    """Numpy's quantiles (linear interpolation) for shares from 0 to 1; all 0.0 if there are no values."""
    known = list(values)
    if not known:
        return (0.0,) * len(shares)
    return tuple(float(value) for value in np.quantile(known, shares))


class Window:
    """The last `size` numbers. Thread-safe."""

    def __init__(self, size: int = 300) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Append a number and drop the oldest beyond `size`."""
        with self._lock:
            self._values.append(value)

    def quantiles(self, *shares: float) -> tuple[float, ...]:
        """Quantiles of the numbers in the window."""
        with self._lock:
            values = list(self._values)
        return quantiles(values, *shares)


class Rate:
    """Events per second over the last seconds. Thread-safe."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._start = time.monotonic()
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Count one event at the current time."""
        with self._lock:
            now = time.monotonic()
            self._times.append(now)
            self._forget(now)

    @property
    def hz(self) -> float:
        """Events per second; a meter younger than its window is averaged over its age."""
        with self._lock:
            now = time.monotonic()
            self._forget(now)
            span = min(self._seconds, max(now - self._start, 1e-3))
            return len(self._times) / span

    def _forget(self, now: float) -> None:
        while self._times and self._times[0] < now - self._seconds:
            self._times.popleft()
