"""Interleaved timing: several functions run in rounds, and compared by the ratios within each round.

Whatever else runs on the machine, and its temperature, slows all runs of one round equally. That distorts a
comparison of two averages, but not the median of the rounds' ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime.progress import SILENT, Progress

__all__ = ["Ratio", "Timings", "interleaved", "ratio_of"]

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """The cost of one function relative to another: below 1 is cheaper.

    Attributes:
        median: of the rounds' ratios.
        spread: their quartiles.
        rounds: how many there were.
    """

    median: float
    spread: tuple[float, float]
    rounds: int

    @property
    def clear(self) -> bool:
        """Whether at least three quarters of the rounds fell on the same side of 1."""
        return self.spread[1] < 1 or self.spread[0] > 1


@dataclass(frozen=True, eq=False)
class Timings:
    """Rounds in which each function ran once.

    Attributes:
        seconds: (rounds, functions): wall time.
        cpu_seconds: (rounds, functions): CPU time of the whole process, all threads.
    """

    seconds: Times
    cpu_seconds: Times

    def ratio(self, function: int, other: int) -> Ratio:
        """The wall time of one function relative to another's."""
        return ratio_of(self.seconds[:, function], self.seconds[:, other])


def ratio_of(own: Times, other: Times) -> Ratio:
    """Compare values measured in the same rounds: (rounds,) each, above 0."""
    ratios = own / other
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return Ratio(float(middle), (float(low), float(high)), len(ratios))


def interleaved(
    functions: Sequence[Callable[[], object]],
    *,
    seconds: float = 4.0,
    fewest: int = 7,
    most: int = 41,
    progress: Progress | None = None,
) -> Timings:
    """Run each function once a round, in an order that changes from round to round.

    Each is run once before, uncounted: a first run allocates memory that later ones reuse.

    Args:
        functions: what to run; results are discarded.
        seconds: for all rounds together; no further round starts after that.
        fewest: the least number of rounds, however long they take.
        most: the largest number of rounds.
        progress: receives after each round the share of the work that is done, 0..1.
    """
    progress = progress or SILENT
    for run in functions:
        run()
    count = len(functions)
    wall: list[list[float]] = []
    cpu: list[list[float]] = []
    share, begun = 0.0, time.perf_counter()
    while len(wall) < fewest or (len(wall) < most and time.perf_counter() - begun < seconds):
        wall.append([0.0] * count)
        cpu.append([0.0] * count)
        for index in _order(len(wall) - 1, count):
            busy, start = time.process_time(), time.perf_counter()
            functions[index]()
            wall[-1][index] = time.perf_counter() - start
            cpu[-1][index] = time.process_time() - busy
        share = max(len(wall) / most, min((time.perf_counter() - begun) / max(seconds, 1e-9), 1))
        share = min(share, len(wall) / fewest, 1.0)
        progress.advance(share, 1.0)
    if share < 1:  # the time ran out after the last report
        progress.advance(1.0, 1.0)
    return Timings(np.array(wall), np.array(cpu))


def _order(turn: int, count: int) -> list[int]:
    """AB BA AB BA; of three ABC BCA CAB, then reversed: each is equally often first, and after each."""
    start = turn % count
    order = [*range(start, count), *range(start)]
    return order[::-1] if (turn // count) % 2 and count > 2 else order
