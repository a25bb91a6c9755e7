"""Interleaved rounds, A B C A B C: in each round, each contender labels some frames in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Rounds", "take_rounds"]

TURN = 0.4  # target seconds of a turn, after its untimed first frame
MOST_FRAMES = 20
FEWEST_ROUNDS, MOST_ROUNDS = 5, 60
SLOW = 2.0  # seconds per frame; slower ones are left out after the fewest rounds


class Turn(Protocol):
    """Label this many frames and return the seconds of each. Raises if the contender cannot go on."""

    def __call__(self, frames: int) -> list[float]: ...


@dataclass(frozen=True, eq=False)
class Rounds:
    """The times.

    Attributes:
        seconds: by contender, one median per round (rounds,); NaN where it was left out.
        failed: by contender, the reason why it dropped out.
    """

    seconds: Mapping[str, npt.NDArray[np.float64]]
    failed: Mapping[str, str]


def take_rounds(
    turns: Mapping[str, Turn],
    seconds: float,
    failure: type[Exception],
    watch: Callable[[int], None] = lambda _round: None,
) -> Rounds:
    """Alternate until every contender has run for about `seconds`, and for at least five rounds.

    A contender that raises `failure` drops out with the reason; the others go on. The first one changes from
    round to round, and the number of frames in a turn depends on the previous turn.
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
