"""Frames at a camera's rate: one every period, whether the last one is done or not.

While a frame is being segmented, the newest one waits and older ones are dropped, as in a robot's node. A
frame meets its deadline if its mask is done before the next frame arrives; a dropped frame misses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.benchmark.latency import Latency, latency_of

__all__ = ["Block", "Paced", "paced", "run_block"]


@dataclass(frozen=True)
class Block:
    """A stretch of frames from one camera.

    Attributes:
        latencies: seconds from a frame's arrival to its mask, for each segmented frame.
        busy: seconds spent on each of them.
        offered: frames that arrived.
        cpu_seconds: CPU time of the whole process, from the first frame to the end, waits included.
        seconds: wall time of the same.
    """

    latencies: tuple[float, ...]
    busy: tuple[float, ...]
    offered: int
    cpu_seconds: float
    seconds: float


@dataclass(frozen=True)
class Paced:
    """How well a model keeps up with a camera.

    Attributes:
        rate_hz: frames per second of the camera.
        offered: frames that arrived.
        dropped: frames replaced by a newer one before they were segmented.
        late: frames done after the next one had arrived.
        missed: deadlines missed: dropped and late.
        latency: from a frame's arrival to its mask.
        frames_per_second: masks per second.
        cpu_seconds: CPU time per mask, waits included.
        busy: share of the time spent on frames, 0..1.
    """

    rate_hz: float
    offered: int
    dropped: int
    late: int
    missed: int
    latency: Latency
    frames_per_second: float
    cpu_seconds: float
    busy: float


def run_block(run: Callable[[], object], rate: float, seconds: float) -> Block:
    """Offer at least two frames at `rate` per second for `seconds`, and segment those there is time for."""
    period = 1 / rate
    offered = max(2, round(seconds * rate))
    latencies: list[float] = []
    busy: list[float] = []
    cpu, begun = time.process_time(), time.perf_counter()
    index = 0
    while index < offered:
        comes = begun + index * period
        wait = comes - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        start = time.perf_counter()
        run()
        done = time.perf_counter()
        latencies.append(done - comes)
        busy.append(done - start)
        newest = min(int((done - begun) / period), offered - 1)
        index = max(index + 1, newest)
    # The last frame's period is part of the block, or a fast model's wait would not be counted.
    rest = begun + offered * period - time.perf_counter()
    if rest > 0:
        time.sleep(rest)
    return Block(
        tuple(latencies),
        tuple(busy),
        offered,
        time.process_time() - cpu,
        time.perf_counter() - begun,
    )


def paced(blocks: Sequence[Block], rate: float) -> Paced:
    """Add up the blocks of one model, at least one."""
    latencies = np.concatenate([block.latencies for block in blocks])
    offered = sum(block.offered for block in blocks)
    seconds = sum(block.seconds for block in blocks)
    late = int((latencies > 1 / rate).sum())
    dropped = offered - latencies.size
    return Paced(
        rate,
        offered,
        dropped,
        late,
        dropped + late,
        latency_of(latencies),
        latencies.size / seconds,
        sum(block.cpu_seconds for block in blocks) / latencies.size,
        sum(sum(block.busy) for block in blocks) / seconds,
    )
