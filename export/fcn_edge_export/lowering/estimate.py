"""What a quantization will bring and how long it will take, measured on two frames before the long part.

The body goes into integers with the ranges of one calibrated frame, and is compared with its parent on one
held-out frame. That tells how much of the work integers can take over at most, how much faster the file can
become, whether layers will have to stay in float, and how long a pass of each kind takes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.work import integer_share, work_of
from fcn_edge_export.lowering.body import Body, typed
from fcn_edge_export.lowering.calibration import FITTED_PIXELS, FrameSet
from fcn_edge_export.lowering.float_search import RANKED_ON, RANKED_PIXELS
from fcn_edge_export.lowering.fold_normalization import FoldedModel
from fcn_edge_export.lowering.lower import Parent
from fcn_edge_export.lowering.optimized_graph import float_products
from fcn_edge_export.lowering.qdq import IntegerTarget, this_target, with_qdq
from fcn_edge_export.lowering.ranges import Range, activation_ranges
from fcn_edge_export.lowering.rounding import rounding_work
from fcn_edge_export.lowering.roundings import roundings_of
from fcn_edge_runtime.progress import time_text
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.session import SessionOptions, open_session
from fcn_edge_runtime.timing import interleaved

__all__ = ["Estimate", "estimated"]

Array = npt.NDArray[Any]

REGAINED = 0.5  # of the labels that differ, by calibrating on all frames and rounding weights to fit them
ALGEBRA = 3.0  # time of a multiplication when weights are rounded, relative to those of the network
ONE_ROUNDING = 0.2  # time of opening a session with one rounding, relative to quantizing the whole body
SPEED_SECONDS, SPEED_ROUNDS = 4.0, (8, 42)  # of the stage "speed"
PATTERN_PIXELS = 1 << 20  # that gate and self-test are computed on besides the frames, about


@dataclass(frozen=True)
class Estimate:
    """What is known before the long part.

    Attributes:
        share: of the multiply-accumulates in integers, 0..1, with every layer in integers that can be.
        ratio: time of such a file relative to its parent's, below 1 is faster.
        agreement: share of one held-out frame's labels that are the parent's.
        seconds: that the stages to come will take, by their names, where no layer must stay in float.
        search: seconds more where layers must stay in float.
        probable: whether that is probable.
    """

    share: float
    ratio: float
    agreement: float
    seconds: dict[str, float]
    search: float
    probable: bool

    def text(self, *, measurable: bool) -> str:
        """The estimate in a line. `measurable`: whether the file is for this machine."""
        line = f"at most {100 * self.share:.1f} % of the work in integers"
        if measurable:
            line += f", then {1 / self.ratio:.2f} times as fast"
        whole = sum(self.seconds.values())
        if self.probable:
            return f"{line}; about {time_text(whole)} to go, as layers probably have to stay in float"
        most = time_text(whole + self.search)
        return f"{line}; about {time_text(whole)} to go, {most} if layers have to stay in float"


def estimated(
    parent: Parent,
    entry: FoldedModel,
    body: Body,
    frames: FrameSet,
    target: IntegerTarget,
    *,
    method: str,
    least: float,
) -> Estimate:
    """Measure one pass of each kind.

    Args:
        parent: the float file.
        entry: the model that is quantized.
        body: of this model.
        frames: calibrated and held out.
        target: the machine it is for.
        method: how ranges will be chosen.
        least: share of the labels that will have to be the parent's.

    Raises:
        InputError: a frame cannot be segmented.
    """
    here = target.name == this_target()
    watch = _Watch()
    image = frames.calibrated[0].image()
    reading = watch.lap()
    ranges, ranging = _first_ranges(entry, body, image, method)
    watch.lap()
    int8 = with_qdq(entry.model, body, ranges, target, frozenset())
    options = SessionOptions(config=exact_integers())
    small = open_session(int8.SerializeToString(), "cpu", options=options)
    making = watch.lap()
    whole = open_session(parent.model.SerializeToString(), "cpu")

    shown = frames.held_out[0].image()
    turns = interleaved(
        [lambda: small.run(shown, ["labels"]), lambda: whole.run(shown, ["labels"])],
        seconds=0.5,
        fewest=1,
        most=9,
    )
    own, other = (float(v) for v in np.median(turns.seconds, axis=0))
    labels = [session.run(shown, ["labels"])["labels"] for session in (small, whole)]
    agreement = float((labels[0] == labels[1]).mean())

    integers = set(body.products)
    if here:
        integers -= set(float_products(int8, entry.model, integers))
    share = integer_share(work_of(typed(parent.model), frames.blank(parent.card)), integers)
    passes = _Passes(reading, ranging, making, own, other, prod(shown.shape[1:3]))
    algebra = rounding_work(entry.model, body, len(frames.fitted)) / sum(work_of(entry.model, shown).values())
    probable = REGAINED * (1 - agreement) > 1 - least
    seconds = passes.stages(frames, algebra)
    count = len(roundings_of(entry.model, body))
    search = passes.search(count, len(frames.held_out)) + count.bit_length() * seconds["round"]
    seconds["integers"] += search if probable else 0.0
    if not here:
        del seconds["speed"]
    return Estimate(share, own / other, agreement, seconds, search, probable)


@dataclass(frozen=True)
class _Passes:
    """Seconds that each step takes for one frame.

    Attributes:
        reading: the frame from its file.
        ranging: a pass that finds ranges.
        making: quantizing the body and opening a session of it.
        own: a pass of the int8 graph.
        other: a pass of its parent.
        pixels: of the frame of these two.
    """

    reading: float
    ranging: float
    making: float
    own: float
    other: float
    pixels: int

    def stages(self, frames: FrameSet, algebra: float) -> dict[str, float]:
        """Of each stage, where no layer must stay in float.

        Args:
            frames: calibrated and held out.
            algebra: multiplications of rounding, in passes of the parent.
        """
        held_out = len(frames.held_out)
        both, patterns = self.own + self.other, PATTERN_PIXELS / self.pixels
        comparing = held_out * (both + 2 * self.reading)
        fewest, most = (count * both for count in SPEED_ROUNDS)
        fitting = len(frames.fitted) * both * min(1.0, FITTED_PIXELS / self.pixels)
        return {
            "calibrate": len(frames.calibrated) * (self.reading + self.ranging),
            "round": self.making + fitting + ALGEBRA * algebra * self.other,
            "integers": self.making + comparing,
            "speed": min(max(SPEED_SECONDS, fewest), most),
            "gate": comparing + both * patterns,
            "write": self.own * (held_out + patterns),
        }

    def search(self, roundings: int, held_out: int) -> float:
        """The seconds of a search for layers that must stay in float."""
        share = min(1.0, RANKED_PIXELS / self.pixels)
        ranking = roundings * (ONE_ROUNDING * self.making + RANKED_ON * self.other * share)
        return ranking + roundings.bit_length() * (self.making + held_out * (self.own + self.reading))


def _first_ranges(
    entry: FoldedModel, body: Body, image: Array, method: str
) -> tuple[dict[str, Range], float]:
    """The ranges over one frame, and the seconds of a pass that finds them."""
    laps: list[float] = []

    def twice() -> Iterator[Array]:
        for _ in range(2):  # the first pass allocates memory
            start = time.perf_counter()
            yield image
            laps.append(time.perf_counter() - start)

    ranges = activation_ranges(entry.model, body.tensors, twice(), method, entry.known)
    return ranges, laps[-1]


class _Watch:
    """The time since the last look at it."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        self._last, passed = now, now - self._last
        return passed
