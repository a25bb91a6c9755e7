"""The cost of letting idle threads spin: they start the next operator at once, and use a core until then.

onnxruntime spins by default, even for a while after a frame. Sessions of this package do so only on
request, and then only within a frame. The same frames run interleaved in a session of each kind, each
followed by a pause as between two frames of a camera.
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
    """A session whose idle threads spin, compared with one whose threads sleep.

    Attributes:
        time: wall time of a frame, spinning over sleeping: below 1 where spinning is faster.
        cpu: the same for CPU time, the pause after the frame included.
        cpu_ms: CPU time of a frame without spinning.
        waste_ms: CPU time that spinning adds to it.
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
    """Run the same frames through both for about `seconds`."""
    times: tuple[list[float], list[float]] = ([], [])

    def turn(run: Callable[[np.ndarray], object], into: list[float]) -> Callable[[], None]:
        source = itertools.cycle(frames)

        def once() -> None:
            frame, start = next(source), time.perf_counter()
            run(frame)
            into.append(time.perf_counter() - start)
            time.sleep(REST)

        return once

    timings = interleaved(
        [turn(sleeping, times[0]), turn(spinning, times[1])],
        seconds=seconds,
        fewest=7,
        most=200,
        progress=progress,
    )
    still, spun = (np.array(entries[1:]) for entries in times)
    cpu = timings.cpu_seconds
    return Spinning(
        ratio_of(spun, still),
        ratio_of(cpu[:, 1], cpu[:, 0]),
        1000 * float(np.median(cpu[:, 0])),
        1000 * float(np.median(cpu[:, 1] - cpu[:, 0])),
    )
