"""The search for session options that make one model faster on this machine.

One option is changed at a time, starting from a session without a profile: the device, the head, bfloat16 in
OpenVINO, on request a fixed frame size, threads with and without spinning, the optimization of the graph, the
memory arena, the memory pattern. Each change is timed against the best so far, frame by frame, interleaved.
It is taken only if it pays beyond the noise: at least 2 % by the median, and better in so many rounds that
chance explains it in less than one case in a hundred. The changes taken are timed together against the start
once more, in fresh rounds, and dropped if the gain does not hold. Another device, bfloat16 and a fixed size
may change a few labels; another head only ties. Every session that is tried must pass the self-test.

A sparse head and the precision are properties of the file, not options of a session: `fcn-edge export
--head auto` and `fcn-edge quantize` choose those.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime.benchmark import candidates
from fcn_edge_runtime.benchmark.machine import this_machine
from fcn_edge_runtime.doctor import try_provider
from fcn_edge_runtime.errors import FcnEdgeError, UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.selftest import MOST_FLIPS, require_trusted
from fcn_edge_runtime.session.devices import cores, import_onnxruntime, short_name
from fcn_edge_runtime.session.profile import Host, Profile, ProfileOptions
from fcn_edge_runtime.session.session import AUTO, MAX_THREADS, Session, SessionOptions
from fcn_edge_runtime.timing import Ratio, interleaved, ratio_of
from fcn_edge_runtime.trusted_session import open_trusted

__all__ = ["Trial", "TuneOptions", "Tuned", "search"]

Array = npt.NDArray[Any]
Times = npt.NDArray[np.float64]

FEWEST, MOST = 7, 401  # rounds of a comparison
SECONDS = 8.0  # of a comparison, at most
LEAST_GAIN = 0.02
CHANCE = 0.01
# Another head breaks ties differently: between logits that are equal up to rounding.
MOST_TIES = 1e-4
_UNTRIED = "not tried, the budget is over"
PREFERENCES = ("latency", "cpu")


@dataclass(frozen=True)
class TuneOptions:
    """Options of the search for session options.

    Attributes:
        size: (height, width) of the frames; None keeps the images' own sizes; computed frames are 480x640.
        device: "auto" tries every provider that starts; any other is used, or refused with an error.
        budget: seconds for the whole search, to within one comparison. What does not fit is listed as not
            tried.
        max_threads: the largest number of threads; None means the cores this process may use.
        prefer: what to lower: "latency", the time until the labels are done, or "cpu", the CPU time of all
            threads together, which leaves more of the machine to other programs.
        fixed_size: also try a session for frames of this size alone; a profile with it refuses other sizes.

    Raises:
        UsageError: the preference is unknown, or a number is out of range.
    """

    size: tuple[int, int] | None = None
    device: str = "auto"
    budget: float = 60.0
    max_threads: int | None = None
    prefer: str = "latency"
    fixed_size: bool = False

    def __post_init__(self) -> None:
        if self.prefer not in PREFERENCES:
            raise UsageError(f"got the preference {self.prefer!r}, expected one of {', '.join(PREFERENCES)}")
        if not self.budget > 0:
            raise UsageError(f"got the budget {self.budget!r}, expected seconds above 0")
        if self.max_threads is not None and not 1 <= self.max_threads <= MAX_THREADS:
            raise UsageError(f"got {self.max_threads!r} threads, expected 1 to {MAX_THREADS}")


@dataclass(frozen=True)
class Trial:
    """One change, tried against the best so far.

    Attributes:
        change: the change, in words.
        options: all options, with the change.
        taken: whether the change was kept.
        why: why it was taken, not taken, or not timed.
        wall: wall time per frame relative to the best so far; None if it was not timed.
        cpu: CPU time per frame, all threads together, relative to the same.
        milliseconds: wall time per frame, median.
        cpu_milliseconds: CPU time per frame, median.
    """

    change: str
    options: ProfileOptions
    taken: bool
    why: str
    wall: Ratio | None = None
    cpu: Ratio | None = None
    milliseconds: float | None = None
    cpu_milliseconds: float | None = None

    def __str__(self) -> str:
        if self.wall is None or self.cpu is None:
            return f"{self.change}: {self.why}"
        return (
            f"{self.change}: {_ratio(self.wall)} of the time, {_ratio(self.cpu)} of the CPU time: {self.why}"
        )


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
        profile: the profile, not saved yet.
        start: the options it started from: those of a session without a profile.
        trials: all trials, in order.
        total: the profile's options compared with the start, in fresh rounds; None if nothing was taken.
        milliseconds: wall time per frame at the start, median.
        cpu_milliseconds: CPU time per frame at the start, median.
        sizes: (height, width) of the frames.
        warnings: reasons to doubt the result.
    """

    profile: Profile
    start: ProfileOptions
    trials: tuple[Trial, ...]
    total: Trial | None
    milliseconds: float
    cpu_milliseconds: float
    sizes: tuple[tuple[int, int], ...]
    warnings: tuple[str, ...]

    @property
    def untried(self) -> int:
        """How many changes were not tried for lack of time."""
        return sum(trial.why == _UNTRIED for trial in self.trials)


@dataclass(frozen=True)
class _Running:
    """An open session, the options it was made with, and its labels of the frames."""

    options: ProfileOptions
    session: Session
    labels: list[Array] = field(repr=False)


def search(
    model: ModelFile, frames: Sequence[Array], options: TuneOptions, progress: Progress | None = None
) -> Tuned:
    """Search for session options that make a model faster.

    Args:
        model: the model, open.
        frames: (H, W, C) each, in the model's dtype; they are run in a cycle.
        options: how to search.
        progress: receives each trial as a stage.

    Raises:
        UsageError: no such device, no frames, or a budget too small for one comparison.
        ProviderError, ModelError: the model does not run on the device.
        VerificationError: the self-test fails even without a profile.
    """
    device, max_threads, fixed_size = options.device, options.max_threads, options.fixed_size
    if not frames:
        raise UsageError("got no frames, expected at least one to time")
    sizes = tuple(dict.fromkeys((frame.shape[0], frame.shape[1]) for frame in frames))
    if fixed_size and len(sizes) > 1:
        shown = ", ".join(f"{height}x{width}" for height, width in sizes[:3])
        raise UsageError(
            f"got frames of {len(sizes)} sizes ({shown}), expected one for a fixed size: give --size"
        )
    warnings = _busy_warnings()
    trials = _Search(model, frames, options.budget, options.prefer, progress or SILENT)
    threads = cores() if max_threads is None else min(cores(), max_threads)
    default = open_trusted(model, device, threads=threads, options=SessionOptions(head=AUTO))
    chosen = default.device
    start = best = trials.opened(
        ProfileOptions(
            chosen,
            threads,
            spinning=bool(default.options.spinning) and threads > 1,
            bf16=bool(default.options.bf16),
            head="graph" if default.head is None else "numpy",
        )
    )
    trials.look(start)

    others = _other_devices(chosen) if device.strip().lower() == "auto" else ()
    knobs: tuple[Callable[[ProfileOptions], candidates.Candidates], ...] = (
        lambda now: candidates.devices(now, others),
        candidates.heads,
        candidates.bfloat16,
        lambda now: (
            ("frames of {}x{} alone".format(*size), replace(now, size=size))
            for size in (sizes if fixed_size else ())
        ),
        lambda now: candidates.threads(now, threads),
        candidates.optimizations,
        candidates.memory,
    )
    trials.planned = sum(len(list(knob(start.options))) for knob in knobs)
    for knob in knobs:
        for change, changed in list(knob(best.options)):
            best = trials.tried(change, changed, best)
    total = None
    if best is not start:
        total = trials.total(best, start)
        best = best if total.taken else start
    notes = (*map(str, trials.trials), *([] if total is None else [str(total)]))
    return Tuned(
        Profile(
            _plain(model.card.name),
            model.digest,
            Host.here(),
            best.options,
            tuple(_plain(note) for note in notes),
        ),
        start.options,
        tuple(trials.trials),
        total,
        trials.milliseconds,
        trials.cpu_milliseconds,
        sizes,
        warnings,
    )


class _Search:
    """The trials so far, and the time left for further ones."""

    def __init__(
        self, model: ModelFile, frames: Sequence[Array], budget: float, prefer: str, progress: Progress
    ) -> None:
        self.model, self.frames, self.prefer, self.progress = model, frames, prefer, progress
        self.budget, self.begun = budget, time.perf_counter()
        self.trials: list[Trial] = []
        self.planned = 1
        self.milliseconds = self.cpu_milliseconds = 0.0

    def opened(self, options: ProfileOptions) -> _Running:
        """A session that passed the self-test, and its labels of every frame, which also warms it up."""
        session = options.open(self.model)
        require_trusted(session, self.model)
        return _Running(options, session, [_labels(session, frame) for frame in self.frames])

    def look(self, start: _Running) -> None:
        """Time the start alone, to know how long a comparison will take.

        Raises:
            UsageError: one comparison takes longer than the budget.
        """
        self.progress.start("start", 1.0)
        alone = interleaved(
            [_next_frame(start, self.frames)], seconds=1.0, fewest=3, most=9, progress=self.progress
        )
        self.milliseconds = 1000 * float(np.median(alone.seconds))
        self.progress.finish(f"{self.milliseconds:.1f} ms a frame")
        self.cpu_milliseconds = 1000 * float(np.median(alone.cpu_seconds))
        if self._shortest > self.budget:
            raise UsageError(
                f"a frame takes {self.milliseconds:.0f} ms, so that a comparison needs "
                f"{self._shortest:.0f} s, and the budget is {self.budget:g} s: give more with --budget, or "
                "smaller frames"
            )

    def tried(self, change: str, options: ProfileOptions, best: _Running) -> _Running:
        """Try a change against the best so far; returns what is best now."""
        left = self.budget - (time.perf_counter() - self.begun) - self._shortest  # reserved for the last one
        trial, running = Trial(change, options, False, _UNTRIED), best
        if left >= self._shortest:
            share = left / max(self.planned - len(self.trials), 1)
            self.progress.start(change, 1.0)
            trial, running = self._timed(change, options, best, min(SECONDS, share))
            self.progress.finish(trial.why)
        self.trials.append(trial)
        return running

    def _timed(
        self, change: str, options: ProfileOptions, best: _Running, seconds: float
    ) -> tuple[Trial, _Running]:
        try:
            candidate = self.opened(options)
        except FcnEdgeError as error:
            return Trial(change, options, False, f"not taken, {error}"), best
        differing = np.mean([np.mean(a != b) for a, b in zip(candidate.labels, best.labels, strict=True)])
        if differing > _allowed(options, best.options):
            why = f"not taken, {100 * differing:.2g} % of the labels differ"
            return Trial(change, options, False, why), best
        trial = self.compared(change, candidate, best, seconds)
        return trial, candidate if trial.taken else best

    def total(self, best: _Running, start: _Running) -> Trial:
        """Time all changes that were taken against the start, in fresh rounds."""
        change = "all of these against the start"
        self.progress.start(change, 1.0)
        trial = self.compared(change, best, start, SECONDS)
        self.progress.finish(trial.why)
        return trial

    def compared(self, change: str, own: _Running, other: _Running, seconds: float) -> Trial:
        """Time one session against another, interleaved, and decide by what is preferred."""
        timings = interleaved(
            [_next_frame(own, self.frames), _next_frame(other, self.frames)],
            seconds=seconds,
            fewest=FEWEST,
            most=MOST,
            progress=self.progress,
        )
        wall, cpu = timings.seconds, timings.cpu_seconds
        preferred = wall if self.prefer == "latency" else cpu
        taken, why = _verdict(preferred[:, 0], preferred[:, 1])
        return Trial(
            change,
            own.options,
            taken,
            why,
            ratio_of(wall[:, 0], wall[:, 1]),
            ratio_of(cpu[:, 0], cpu[:, 1]),
            1000 * float(np.median(wall[:, 0])),
            1000 * float(np.median(cpu[:, 0])),
        )

    @property
    def _shortest(self) -> float:
        """Seconds of the shortest comparison: two sessions, the fewest rounds and one to warm up."""
        return 2 * (FEWEST + 1) * self.milliseconds / 1000


def _allowed(own: ProfileOptions, other: ProfileOptions) -> float:
    """The share of labels that may differ between two sets of options."""
    if (own.device, own.bf16, own.size) != (other.device, other.bf16, other.size):
        return MOST_FLIPS
    return 0.0 if own.head == other.head else MOST_TIES


def _verdict(own: Times, other: Times) -> tuple[bool, str]:
    """Whether a change pays: by at least `LEAST_GAIN`, and not by chance (a one-sided sign test)."""
    ratio = float(np.median(own / other))
    rounds, wins = len(own), int((own < other).sum())
    chance = sum(math.comb(rounds, k) for k in range(wins, rounds + 1)) / 2**rounds
    if ratio > 1 - LEAST_GAIN:
        return False, "not taken, it does not pay"
    if chance >= CHANCE:
        return False, f"not taken, within the noise (better in {wins} of {rounds} rounds)"
    return True, "taken"


def _other_devices(device: str) -> tuple[str, ...]:
    """Devices of the installed onnxruntime that start; each is tried in a process of its own."""
    # Azure's provider only calls remote services; every ordinary wheel contains it.
    return tuple(
        name
        for provider in import_onnxruntime().get_available_providers()
        if (name := short_name(provider)) not in (device, "azure") and try_provider(provider).starts
    )


def _labels(session: Session, frame: Array) -> Array:
    return session.run(frame[None], ["labels"])["labels"]


def _next_frame(running: _Running, frames: Sequence[Array]) -> Callable[[], object]:
    """A function that segments the next frame at each call: in a round both sessions get the same frame."""
    source = itertools.cycle(frames)
    return lambda: _labels(running.session, next(source))


def _busy_warnings() -> tuple[str, ...]:
    machine = this_machine()
    if not machine.busy:
        return ()
    busy = f"other programs keep this machine busy (load {machine.load:.1f} on {machine.cores} cores)"
    return (f"{busy}: what is faster now may not be faster on an idle machine",)


def _ratio(ratio: Ratio) -> str:
    low, high = ratio.spread
    return f"{ratio.median:.2f} ({low:.2f}-{high:.2f})"


def _plain(text: str) -> str:
    """Text with the characters and the length that a profile may hold."""
    return "".join(c if c.isprintable() else "?" for c in text)[:300]
