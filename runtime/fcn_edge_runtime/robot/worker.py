"""Worker: takes the newest message, segments it, publishes it, and counts. Independent of the transport.

A callback puts messages into the mailbox and returns at once; one thread runs the worker. A message that
cannot be segmented is counted, and the worker goes on; a device that fails ends the worker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.robot.mailbox import Latest
from fcn_edge_runtime.robot.messages import CompressedImage, Image
from fcn_edge_runtime.robot.pipeline import Pipeline, SegmentedFrame
from fcn_edge_runtime.robot.stats import Rate, Window

__all__ = ["WORKER", "Limits", "Worker", "WorkerStatus"]

WORKER = "fcn-edge-worker"  # threads whose names start so may hang in a library when the process ends

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Limits above which frames are dropped. 0 means no limit.

    Attributes:
        max_frame_age: the largest age of a frame, from its stamp to now, in seconds.
        max_rate: the highest rate, in frames per second.
    """

    max_frame_age: float = 0.0
    max_rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("max_frame_age", "max_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}, expected 0 (no limit) or more")


@dataclass(frozen=True)
class WorkerStatus:
    """Counters since the start, and current rates and latencies.

    Attributes:
        received: messages put into the mailbox.
        dropped: messages replaced by a newer one before they were taken.
        segmented: frames published.
        refused: messages that could not be segmented.
        stale: frames dropped because of their age.
        limited: frames dropped because of the rate limit.
        unsent: outputs that could not be sent in time because a reader blocked.
        input_hz, output_hz: events per second over the last seconds.
        latency_p50_ms, latency_p95_ms: from taking a message to the end of publishing it.
        age_p50_ms, age_p95_ms: from a frame's stamp to the end of publishing it; valid only if the clocks of
            camera and worker agree.
        last_error: why the last refused message was refused; empty if none was.
        silence: seconds since the last message arrived, or since the start.
        busy: seconds spent on the current frame so far; 0 between frames.
    """

    received: int
    dropped: int
    segmented: int
    refused: int
    stale: int
    limited: int
    unsent: int
    input_hz: float
    output_hz: float
    latency_p50_ms: float
    latency_p95_ms: float
    age_p50_ms: float
    age_p95_ms: float
    last_error: str
    silence: float
    busy: float = 0.0


class Worker(Generic[T]):
    """Between a mailbox and a publisher.

    Args:
        pipeline: the model.
        decode: from an item of the mailbox to an image message; raises InputError if it is not one.
        wanted: whether confidence, and overlays, have a reader now.
        publish: sends the messages of a frame; returns how many could not be sent.
        limits: which frames are dropped.
        now: nanoseconds of the clock that stamps frames.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        decode: Callable[[T], Image | CompressedImage],
        wanted: Callable[[], tuple[bool, bool]],
        publish: Callable[[SegmentedFrame], int],
        limits: Limits | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.mailbox: Latest[T] = Latest()
        self._pipeline, self._decode, self._wanted, self._publish = pipeline, decode, wanted, publish
        self._limits, self._now = limits or Limits(), now
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("segmented", "refused", "stale", "limited", "unsent"), 0)
        self._last_error = ""
        self._input, self._output = Rate(), Rate()
        self._latency, self._age = Window(), Window()
        self._last_input = time.monotonic()
        self._begun: float | None = None
        self._next_frame = 0.0

    def put(self, item: T) -> None:
        """Store a message. Never blocks; meant for callbacks."""
        self._last_input = time.monotonic()
        self._input.tick()
        self.mailbox.put(item)

    def run(self, stop: threading.Event) -> None:
        """Process messages until `stop` is set or the mailbox is closed.

        Raises:
            ModelError, ProviderError: the device failed.
        """
        while not stop.is_set():
            item = self.mailbox.take(timeout=0.1)
            if item is not None:
                self.step(item)
            elif self.mailbox.closed:
                return

    def step(self, item: T) -> SegmentedFrame | None:
        """Process one message; None if it was refused or dropped."""
        self._begun = begin = time.monotonic()
        try:
            return self._step(item, begin)
        finally:
            self._begun = None

    def _step(self, item: T, begin: float) -> SegmentedFrame | None:
        if self._limits.max_rate and begin < self._next_frame:
            self._count("limited")
            return None
        try:
            message = self._decode(item)
            stamp = message.header.stamp.nanoseconds
            if self._limits.max_frame_age and self._now() - stamp > self._limits.max_frame_age * 1e9:
                self._count("stale")
                return None
            confidence, overlay = self._wanted()
            frame = self._pipeline(message, confidence=confidence, overlay=overlay)
        except InputError as error:
            self._last_error = str(error)
            self._count("refused")
            return None
        if self._limits.max_rate:
            # A fixed schedule: no drift from the delay of single frames, and no catching up after a pause.
            period = 1 / self._limits.max_rate
            late = begin - self._next_frame
            self._next_frame = self._next_frame + period if late < period else begin + period
        self._count("unsent", self._publish(frame))
        self._latency.add((time.monotonic() - begin) * 1000)
        self._age.add((self._now() - stamp) / 1e6)
        self._output.tick()
        self._count("segmented")
        return frame

    @property
    def busy(self) -> float:
        """Seconds spent on the current frame so far; 0 between frames."""
        begun = self._begun
        return 0.0 if begun is None else time.monotonic() - begun

    def status(self) -> WorkerStatus:
        """Counters, rates and latencies."""
        counts = self.mailbox.counts
        with self._lock:
            own = dict(self._counts)
        latency, age = self._latency.quantiles(0.5, 0.95), self._age.quantiles(0.5, 0.95)
        return WorkerStatus(
            received=counts.put,
            dropped=counts.dropped,
            **own,
            input_hz=self._input.hz,
            output_hz=self._output.hz,
            latency_p50_ms=latency[0],
            latency_p95_ms=latency[1],
            age_p50_ms=age[0],
            age_p95_ms=age[1],
            last_error=self._last_error,
            silence=time.monotonic() - self._last_input,
            busy=self.busy,
        )

    def _count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number
