"""Rounds of turns, A B C A B C: in each round every contender labels some frames, then the next one does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Rounds", "take_rounds"]

TURN = 0.4  # seconds a turn is meant to take, after its untimed first frame
MOST_FRAMES = 20
FEWEST_ROUNDS, MOST_ROUNDS = 5, 60
SLOW = 2.0  # seconds a frame; what takes longer sits out after the fewest rounds


class Turn(Protocol):
    """Label this many frames, timed: seconds of each. Raises where the contender cannot go on."""

    def __call__(self, frames: int) -> list[float]: ...


@dataclass(frozen=True, eq=False)
class Rounds:
    """What was timed.

    Attributes:
        seconds: by contender, one median a round (rounds,); NaN where it sat out.
        failed: by contender, why it dropped out.
    """

    seconds: Mapping[str, npt.NDArray[np.float64]]
    failed: Mapping[str, str]


def take_rounds(
    turns: Mapping[str, Turn],
    seconds: float,
    failure: type[Exception],
    watch: Callable[[int], None] = lambda _round: None,
) -> Rounds:
    """Take turns until every contender has had about so many seconds, and five rounds at least.

    A contender that raises `failure` drops out with the reason; the others go on. Who begins changes from
    round to round, and how many frames a turn has depends on the turn before.
    """
    frames = dict.fromkeys(turns, 1)
    kept: dict[str, list[float]] = {name: [] for name in turns}
    failed: dict[str, str] = {}
    begun, done = time.monotonic(), 0
    while done < FEWEST_ROUNDS or (
        done < MOST_ROUNDS and time.monotonic() - begun < seconds * (len(turns) - len(failed))
    ):
        names = list(turns)
        start = done % len(names)
        for name in names[start:] + names[:start]:
            taken = float("nan")
            slow = done >= FEWEST_ROUNDS and np.median(kept[name][:FEWEST_ROUNDS]) > SLOW
            if name not in failed and not slow:
                try:
                    taken = float(np.median(turns[name](frames[name])))
                except failure as error:
                    failed[name] = str(error)
                else:
                    frames[name] = int(np.clip(TURN / taken, 1, MOST_FRAMES))
            kept[name].append(taken)
        done += 1
        watch(done)
        if len(failed) == len(turns):
            break
    return Rounds({name: np.array(values) for name, values in kept.items() if name not in failed}, failed)
