"""What it costs to let idle threads spin: they start on the next operator at once, and burn a core till then.

onnxruntime lets them by default, also for a while after a frame; here it is off unless asked for, and then
ends with the frame. The same frames run by turns in a session of each kind, each followed by a rest as
between two frames of a camera.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.timing import Ratio, interleaved, ratio_of

__all__ = ["Spinning", "compare_spinning"]

REST = 0.02


@dataclass(frozen=True)
class Spinning:
    """A session whose idle threads spin against one whose threads sleep.

    Attributes:
        time: wall time of a frame, spinning over sleeping: below 1 where spinning is faster.
        cpu: the same of processor time, the rest after the frame included.
        cpu_ms: processor time of a frame without spinning.
        waste_ms: what spinning adds to it.
    """

    time: Ratio
    cpu: Ratio
    cpu_ms: float
    waste_ms: float


def compare_spinning(
    sleeping: Callable[[np.ndarray], object],
    spinning: Callable[[np.ndarray], object],
    frames: Sequence[np.ndarray],
    *,
    seconds: float,
    progress: Progress | None = None,
) -> Spinning:
    """Run the same frames through both for about so many seconds."""
    times: tuple[list[float], list[float]] = ([], [])

    def turn(run: Callable[[np.ndarray], object], into: list[float]) -> Callable[[], None]:
        source = itertools.cycle(frames)

        def once() -> None:
            frame, start = next(source), time.perf_counter()
            run(frame)
            into.append(time.perf_counter() - start)
            time.sleep(REST)

        return once

    turns = interleaved(
        [turn(sleeping, times[0]), turn(spinning, times[1])],
        seconds=seconds,
        fewest=7,
        most=200,
        progress=progress,
    )
    still, spun = (np.array(entries[1:]) for entries in times)
    cpu = turns.cpu_seconds
    return Spinning(
        ratio_of(spun, still),
        ratio_of(cpu[:, 1], cpu[:, 0]),
        1000 * float(np.median(cpu[:, 0])),
        1000 * float(np.median(cpu[:, 1] - cpu[:, 0])),
    )
