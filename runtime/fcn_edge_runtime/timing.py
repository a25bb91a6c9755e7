"""Several things timed by turns, and compared as ratios of runs side by side.

What else runs on the machine, and how warm it is, slows the runs of one round alike. No comparison of two
averages survives that; the median of the rounds' ratios does.
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
    """What one thing costs in units of another: below 1 is cheaper.

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
        """Whether three rounds of four, or more, fell on the same side of 1."""
        return self.spread[1] < 1 or self.spread[0] > 1


@dataclass(frozen=True, eq=False)
class Timings:
    """Rounds in which each thing ran once.

    Attributes:
        seconds: (rounds, things): wall time.
        cpu_seconds: (rounds, things): processor time of the whole process, all its threads.
    """

    seconds: Times
    cpu_seconds: Times

    def ratio(self, thing: int, other: int) -> Ratio:
        """The wall time of one thing in units of another's."""
        return ratio_of(self.seconds[:, thing], self.seconds[:, other])


def ratio_of(own: Times, other: Times) -> Ratio:
    """Compare values that were measured side by side, round by round: (rounds,) each, above 0."""
    ratios = own / other
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return Ratio(float(middle), (float(low), float(high)), len(ratios))


def interleaved(
    things: Sequence[Callable[[], object]],
    *,
    seconds: float = 4.0,
    fewest: int = 7,
    most: int = 41,
    progress: Progress | None = None,
) -> Timings:
    """Run each thing once a round, in an order that changes from round to round.

    Everything is run once before, uncounted: first runs take memory that later ones have.

    Args:
        things: what to run; what they return is let go.
        seconds: for all rounds together; no further round starts once they are over.
        fewest: rounds that are run whatever they take.
        most: rounds.
        progress: receives after each round the share of the work that is done, 0..1.
    """
    progress = progress or SILENT
    for run in things:
        run()
    count = len(things)
    wall: list[list[float]] = []
    cpu: list[list[float]] = []
    share, begun = 0.0, time.perf_counter()
    while len(wall) < fewest or (len(wall) < most and time.perf_counter() - begun < seconds):
        wall.append([0.0] * count)
        cpu.append([0.0] * count)
        for index in _order(len(wall) - 1, count):
            busy, start = time.process_time(), time.perf_counter()
            things[index]()
            wall[-1][index] = time.perf_counter() - start
            cpu[-1][index] = time.process_time() - busy
        share = max(len(wall) / most, min((time.perf_counter() - begun) / max(seconds, 1e-9), 1))
        share = min(share, len(wall) / fewest, 1.0)
        progress.advance(share, 1.0)
    if share < 1:  # its time ended since
        progress.advance(1.0, 1.0)
    return Timings(np.array(wall), np.array(cpu))


def _order(turn: int, count: int) -> list[int]:
    """AB BA AB BA; of three ABC BCA CAB, then the same backwards: each is as often first, and after each."""
    start = turn % count
    order = [*range(start, count), *range(start)]
    return order[::-1] if (turn // count) % 2 and count > 2 else order
