"""Frames that come as a camera sends them: one every period, whether the last one is done or not.

While a frame is in work the newest one waits and those before it are dropped, as a robot's node does. A frame
meets its deadline if its mask is there before the next frame comes; a dropped frame meets none.
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
        latencies: seconds from a frame's coming to its mask, of each that was segmented.
        busy: seconds each of them was in work.
        offered: frames that came.
        cpu_seconds: processor time of the whole process, from the first frame to the end, waits included.
        seconds: the same by the wall clock.
    """

    latencies: tuple[float, ...]
    busy: tuple[float, ...]
    offered: int
    cpu_seconds: float
    seconds: float


@dataclass(frozen=True)
class Paced:
    """How a model keeps up with a camera.

    Attributes:
        rate_hz: frames a second that came.
        offered: frames that came.
        dropped: of these, replaced by a newer one before their turn.
        late: segmented, but after the next one had come.
        missed: deadlines missed: dropped and late.
        latency: from a frame's coming to its mask.
        frames_per_second: masks a second.
        cpu_seconds: processor time a mask, waits included.
        busy: share of the time in which a frame was in work, 0..1.
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
    """Offer frames at `rate` a second for so many seconds, at least two of them, and segment what can be."""
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
    # The last frame's period belongs to the block, or a fast model's wait would not be counted.
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
