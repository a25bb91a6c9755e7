"""Rates and latencies of the last frames, cheap enough to be kept for every one of them."""

from __future__ import annotations

import threading
import time
from collections import deque

__all__ = ["Rate", "Window", "percentile"]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all is no larger than (nearest rank); 0 of nothing."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * share // 1) - 1)]


class Window:
    """The last `size` numbers. Thread-safe."""

    def __init__(self, size: int = 300) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Keep one more number, and forget the oldest beyond `size`."""
        with self._lock:
            self._values.append(value)

    def p(self, *shares: float) -> tuple[float, ...]:
        """Percentiles of the numbers kept, by nearest rank."""
        with self._lock:
            values = list(self._values)
        return tuple(percentile(values, share) for share in shares)


class Rate:
    """Events a second over the last seconds. Thread-safe."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds
        self._start = time.monotonic()
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Count one event, now."""
        with self._lock:
            now = time.monotonic()
            self._times.append(now)
            self._forget(now)

    @property
    def hz(self) -> float:
        """Events a second; a meter that is younger than its window is measured over its age."""
        with self._lock:
            now = time.monotonic()
            self._forget(now)
            span = min(self._seconds, max(now - self._start, 1e-3))
            return len(self._times) / span

    def _forget(self, now: float) -> None:
        while self._times and self._times[0] < now - self._seconds:
            self._times.popleft()
