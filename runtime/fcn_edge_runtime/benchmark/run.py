"""A whole benchmark: every measurement of every model, several models interleaved.

Each phase has its own module; this one runs them in order and divides the time among them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fcn_edge_runtime.benchmark.coldstart import cold_start
from fcn_edge_runtime.benchmark.frames import computed_frame, frames_for, resampled
from fcn_edge_runtime.benchmark.fresh import FreshJob
from fcn_edge_runtime.benchmark.latency import Latency, latency_of
from fcn_edge_runtime.benchmark.machine import this_machine
from fcn_edge_runtime.benchmark.operators import profile_model
from fcn_edge_runtime.benchmark.overhead import measure_overhead
from fcn_edge_runtime.benchmark.pacing import Block, Paced, paced, run_block
from fcn_edge_runtime.benchmark.report import BenchmarkOptions, BenchmarkReport, Comparison, ModelReport
from fcn_edge_runtime.benchmark.spinning import Spinning, compare_spinning
from fcn_edge_runtime.benchmark.sweep import SIZES, SweepPoint, sweep
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.segmenter import Segmenter
from fcn_edge_runtime.session.profile import Profile
from fcn_edge_runtime.timing import interleaved, ratio_of

__all__ = ["DEFAULT_SIZE", "benchmark"]

DEFAULT_SIZE = (480, 640)
OVERHEAD_SIZE = (240, 320)
MOST_ROUNDS = 100_000
BLOCK_SECONDS = 1.0  # at most; a model gets four blocks or more


@dataclass(frozen=True, eq=False)
class _Opened:
    """An open model and its frames."""

    name: str
    path: str
    segmenter: Segmenter
    frames: list[np.ndarray]
    profile: str = ""  # the path of the one in use

    def calls(self) -> Callable[[], object]:
        """A function that segments the next frame."""
        source = itertools.cycle(self.frames)
        return lambda: self.segmenter(next(source))

    def job(self) -> FreshJob:
        session = self.segmenter.session
        return FreshJob(self.path, session.device, session.provider, session.threads, self.profile)


@dataclass(frozen=True)
class _Timing:
    """The timed frames of one model, and one value per round to compare models by."""

    latency: Latency
    frames_per_second: float
    cpu_seconds: float
    paced: Paced | None
    rounds: np.ndarray


def benchmark(
    models: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    options: BenchmarkOptions | None = None,
    progress: Progress | None = None,
) -> BenchmarkReport:
    """Measure one or several models. Before anything is measured, each must have segmented a frame.

    Args:
        models: path of a file, or several.
        options: what to measure on; None means the defaults.
        progress: receives each phase as a stage, with the share of it that is done.

    Raises:
        ModelError, ProviderError, VerificationError: a model or the device, as for `Segmenter`.
        InputError: no images are given, or a frame is too small or too large.
        UsageError: no model, or an option out of range.
    """
    options = options or BenchmarkOptions()
    given = [models] if isinstance(models, (str, os.PathLike)) else models
    paths = [os.fspath(path) for path in given]
    if not paths:
        raise UsageError("got no model, expected at least one")
    machine, stages = this_machine(), Stages(progress)
    profiles = {path: Profile.load(path) for path in options.profiles}
    size = options.size or (DEFAULT_SIZE if options.images is None else None)
    with contextlib.ExitStack() as stack:
        opened = [
            _open(stack, name, path, size, options, profiles)
            for name, path in zip(_names(paths), paths, strict=True)
        ]
        _check_profiles(profiles, opened)
        timings = _frames(opened, options, stages)
        reports = tuple(
            _report(one, timing, options, stages) for one, timing in zip(opened, timings, strict=True)
        )
    comparisons = tuple(
        Comparison(one.name, opened[0].name, ratio_of(timing.rounds, timings[0].rounds))
        for one, timing in zip(opened[1:], timings[1:], strict=True)
    )
    return BenchmarkReport(machine, _described(opened[0].frames, options), reports, comparisons)


def _open(
    stack: contextlib.ExitStack,
    name: str,
    path: str,
    size: tuple[int, int] | None,
    options: BenchmarkOptions,
    profiles: Mapping[str, Profile],
) -> _Opened:
    with ModelFile.open(path) as model:
        digest = model.digest
    own = next((key for key, profile in profiles.items() if profile.model_sha256 == digest), "")
    segmenter = stack.enter_context(
        Segmenter(
            path, options.device, options.threads, outputs=("labels",), profile=profiles[own] if own else None
        )
    )
    frames = frames_for(segmenter.card, size, options.images)
    segmenter(frames[0])
    return _Opened(name, path, segmenter, frames, own if segmenter.profile else "")


def _check_profiles(profiles: Mapping[str, Profile], opened: Sequence[_Opened]) -> None:
    """Raise ProfileError if a profile belongs to none of the models."""
    digests = [one.segmenter.digest for one in opened]
    for profile in profiles.values():
        if profile.model_sha256 not in digests:
            profile.check_model(digests[0])


def _frames(opened: Sequence[_Opened], options: BenchmarkOptions, stages: Stages) -> list[_Timing]:
    seconds = options.seconds * len(opened)
    if options.rate is not None:
        blocks = _blocks(opened, options.rate, seconds, stages)
        return [_paced(own, options.rate) for own in blocks]
    with stages.stage("frames", 1.0) as did:
        timings = interleaved(
            [one.calls() for one in opened],
            seconds=seconds,
            fewest=10,
            most=MOST_ROUNDS,
            progress=stages.progress,
        )
        did.text = f"{len(timings.seconds)} per model"
    found = []
    for times, cpu in zip(timings.seconds.T, timings.cpu_seconds.T, strict=True):
        latency = latency_of(times)
        found.append(_Timing(latency, 1000 / latency.mean_ms, float(cpu.mean()), None, times))
    return found


def _blocks(opened: Sequence[_Opened], rate: float, seconds: float, stages: Stages) -> list[list[Block]]:
    """Interleaved blocks of a second or less: within a block, one model has the machine to itself."""
    blocks: list[list[Block]] = [[] for _ in opened]
    block = min(BLOCK_SECONDS, seconds / len(opened) / 4)

    def turn(run: Callable[[], object], into: list[Block]) -> Callable[[], None]:
        return lambda: into.append(run_block(run, rate, block))

    with stages.stage("camera", 1.0) as did:
        interleaved(
            [turn(one.calls(), into) for one, into in zip(opened, blocks, strict=True)],
            seconds=seconds,
            fewest=3,
            most=MOST_ROUNDS,
            progress=stages.progress,
        )
        did.text = f"{rate:g} frames per second"
    return [entries[1:] for entries in blocks]


def _paced(blocks: Sequence[Block], rate: float) -> _Timing:
    found = paced(blocks, rate)
    rounds = np.array([np.median(block.busy) for block in blocks])
    return _Timing(found.latency, found.frames_per_second, found.cpu_seconds, found, rounds)


def _report(one: _Opened, timing: _Timing, options: BenchmarkOptions, stages: Stages) -> ModelReport:
    segmenter, session = one.segmenter, one.segmenter.session
    spec, share = segmenter.card.input, options.seconds / 4

    @contextlib.contextmanager
    def phase(name: str, total: float = 1.0, unit: str = "") -> Iterator[Progress]:
        with stages.stage(name, total, unit) as did:
            did.text = one.name
            yield stages.progress

    job = one.job()
    small = session.options.size or [max(s, segmenter.card.geometry.smallest_size) for s in OVERHEAD_SIZE]
    height, width = one.frames[0].shape[:2]
    with phase("start") as progress:
        cold = cold_start(job, one.frames[0], options.seconds, progress)
    spinning = None
    if session.device == "cpu" and session.threads > 1 and not one.profile:
        with phase("spinning") as progress:
            spinning = _spinning(one, options, progress)
    with phase("overhead") as progress:
        frame = computed_frame(spec, (small[0], small[1]))
        overhead = measure_overhead(segmenter, frame, seconds=share, progress=progress)
    with phase("operators") as progress:
        profile = profile_model(
            one.path,
            session.device,
            session.threads,
            one.frames,
            options=session.options,
            seconds=share,
            progress=progress,
        )
    points: tuple[SweepPoint, ...] = ()
    if options.sweep:
        with phase("sizes", len(SIZES), "sizes") as progress:
            points = sweep(job, _sized(one, options), progress=progress)
    return ModelReport(
        name=one.name,
        path=one.path,
        sha256=segmenter.digest,
        precision=segmenter.card.precision,
        provider=session.provider,
        threads=session.threads,
        tuned=bool(one.profile),
        size=(height, width),
        cold=cold,
        latency=timing.latency,
        frames_per_second=timing.frames_per_second,
        cpu_seconds=timing.cpu_seconds,
        paced=timing.paced,
        spinning=spinning,
        overhead=overhead,
        profile=profile,
        sweep=points,
    )


def _spinning(one: _Opened, options: BenchmarkOptions, progress: Progress) -> Spinning:
    session = one.segmenter.session
    other = replace(session.options, spinning=not session.options.spinning)
    with Segmenter(one.path, "cpu", session.threads, outputs=("labels",), options=other) as opened:
        pair = (opened, one.segmenter) if session.options.spinning else (one.segmenter, opened)
        return compare_spinning(*pair, one.frames, seconds=options.seconds / 2, progress=progress)


def _sized(one: _Opened, options: BenchmarkOptions) -> Callable[[tuple[int, int]], np.ndarray]:
    if options.images is not None:
        return lambda size: resampled(one.frames[0], size)
    return lambda size: computed_frame(one.segmenter.card.input, size)


def _described(frames: Sequence[np.ndarray], options: BenchmarkOptions) -> str:
    sizes = sorted({frame.shape[:2] for frame in frames})
    shown = ", ".join(f"{height}x{width}" for height, width in sizes[:3])
    shown += ", ..." if len(sizes) > 3 else ""
    kind = ("computed " if options.images is None else "") + ("image" if len(frames) == 1 else "images")
    pace = "" if options.rate is None else f", {options.rate:g} per second"
    return f"{len(frames)} {kind} of {shown}{pace}"


def _names(paths: Sequence[str]) -> list[str]:
    """File names where they are distinct, else the paths as given, numbered where they repeat."""
    names = [Path(path).name for path in paths]
    if len(set(names)) < len(names):
        names = [os.fspath(path) for path in paths]
    return list(_numbered(names))


def _numbered(names: Sequence[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})"
