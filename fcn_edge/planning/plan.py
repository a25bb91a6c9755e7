"""plan(): which working size, precision and session options keep up with a camera, and the cost in labels.

    open -> tune -> a stage for each variant: made, its labels compared -> time, all interleaved -> choose

Nothing is written. A variant is measured as a graph; the commands of the plan make it a verified file.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge.planning.commands import Typed, commands_for, described
from fcn_edge.planning.scene import Scene, scene_of, times_of
from fcn_edge.planning.variants import SIZES, Variant, Variants, int8_sibling
from fcn_edge_runtime._extras import EXTRAS, install_command
from fcn_edge_runtime._files import write_whole
from fcn_edge_runtime.benchmark.latency import Latency
from fcn_edge_runtime.benchmark.machine import Machine, this_machine
from fcn_edge_runtime.benchmark.search import TuneOptions, search
from fcn_edge_runtime.errors import FcnEdgeError, UsageError
from fcn_edge_runtime.evaluation.labels import LabelSource
from fcn_edge_runtime.imaging.frames import FrameSource
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress, Stages
from fcn_edge_runtime.session.profile import ProfileOptions
from fcn_edge_runtime.session.session import Session, open_session

__all__ = ["Option", "Plan", "PlanOptions", "best_of", "plan"]

Array = npt.NDArray[Any]

TUNING, TIMING = 0.25, 0.3  # shares of the time
EQUAL_LABELS, EQUAL_IOU = 0.001, 0.005  # differences that count as none
LABELING = 0.03  # the same, for the labels of the model as it is


@dataclass(frozen=True)
class PlanOptions:
    """What a plan is for.

    Attributes:
        rate: frames a second that must be segmented.
        size: (height, width) of the frames; None keeps the images' own.
        seconds: for everything, to within one variant. What does not fit is listed as not measured.
        weights: what the model was exported or adopted from, for the commands; None leaves a blank for it
            where no recipe is known to have it.
        folder: where the commands put their files; None is beside the model.

    Raises:
        UsageError: a number out of range.
    """

    rate: float
    size: tuple[int, int] | None = None
    seconds: float = 180.0
    weights: str | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise UsageError(f"got the rate {self.rate!r}, expected frames a second above 0, at most 1000")
        if not self.seconds > 0:
            raise UsageError(f"got {self.seconds!r} seconds, expected a number above 0")


@dataclass(frozen=True)
class Option:
    """One way to run the model, measured.

    Attributes:
        variant: what it is.
        name: the same in words.
        latency: of a frame; None where it was not measured.
        frames_per_second: one after another, by the median.
        agreement: share of the labels that are the given model's at the frames' own size, 0..1.
        kept_by_int8: share of the labels that are the float variant's of the same working size, 0..1.
        mean_iou: with true labels.
        meets_rate: whether 95 % of the frames are done before the next one comes.
        why: why it was not measured, in a line; empty if it was.
    """

    variant: Variant
    name: str
    latency: Latency | None = None
    frames_per_second: float = 0.0
    agreement: float = 0.0
    kept_by_int8: float = 1.0
    mean_iou: float | None = None
    meets_rate: bool = False
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """What was measured, and what to do.

    Attributes:
        model: its path.
        sha256: of the file.
        card: of the model.
        machine: what it was measured on.
        rate: frames a second that must be segmented.
        size: (height, width) of the frames.
        frames: how many labels were compared on.
        session: the options that `tune` found; None where nothing is faster than the defaults.
        options: all of them, the model as it is first.
        chosen: of those that meet the rate, the one with the highest mean IoU, without true labels the one
            that changes fewest; None where none does.
        commands: that make it, in order.
        warnings: reasons to doubt it.
    """

    model: str
    sha256: str
    card: Card
    machine: Machine
    rate: float
    size: tuple[int, int]
    frames: int
    session: ProfileOptions | None
    options: tuple[Option, ...]
    chosen: Option | None
    commands: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def fastest(self) -> Option:
        """The option that is soonest done with 95 % of the frames."""
        return min(self.options, key=_p95)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the card as plain JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "card"}

    def save(self, folder: Path) -> None:
        """Write plan.json, and the card file that the commands name where they need one.

        Raises:
            ArtifactError: they cannot be written.
        """
        write_whole(folder / "plan.json", (json.dumps(self.to_dict(), indent=2) + "\n").encode())
        if any(" --card " in command for command in self.commands):
            write_whole(folder / f"{Path(self.model).stem}.card.json", described(self.card).encode())


def plan(
    model: str | os.PathLike[str],
    images: FrameSource,
    options: PlanOptions,
    *,
    labels: LabelSource | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Find out how a model keeps up with a camera on this machine.

    The model itself, the session options that `tune` finds, its body in int8, and smaller working sizes are
    measured on the same frames, interleaved, and their labels are compared with the model's own.

    Args:
        model: a file.
        images: frames as the camera sees them: a folder, paths, arrays, a mapping or a function, see
            `frames_of`. Sixteen are used, evenly spaced: half of them to calibrate int8 on.
        options: rate, size, time.
        labels: true labels of the images; mean IoU then decides what costs least.
        progress: receives the stages as they run, and the time left.

    Raises:
        UsageError: an option out of range, or a size smaller than the network takes.
        InputError: no images, or one that cannot be segmented.
        ModelError, ProviderError, VerificationError: the model does not run here.
    """
    clock, stages, machine = _Clock(options.seconds), Stages(progress), this_machine()
    path = os.fspath(model)
    with contextlib.ExitStack() as stack:
        with stages.stage("open") as did:
            file = stack.enter_context(ModelFile.open(path))
            given = open_session(file)
            scene = scene_of(file.card, images, labels, options.size)
            scene = scene.affordable(given, LABELING * options.seconds)
            expected = scene.labels(given)
            sibling = int8_sibling(path, file.digest)
            did.text = f"{file.card.name}, {len(scene.frames)} frames of {_sizes(scene.frames)}"
        stages.expect(
            {
                "tune": TUNING * options.seconds,
                "variants": (1 - TUNING - TIMING) * options.seconds,
                "time": TIMING * options.seconds,
            }
        )
        with stages.stage("tune", 1.0) as did:
            tuned, did.text = _tuned(file, scene.frames, clock, stages.progress)
        opened = ModelFile.open(sibling) if sibling else None
        variants = Variants(
            file, stack.enter_context(opened) if opened is not None else None, scene.calibration, tuned
        )
        sessions: dict[Variant, Session] = {Variant(): given}
        labels_of_floats = {"": expected}
        found = {
            Variant(): Option(Variant(), str(Variant()), agreement=1.0, mean_iou=scene.mean_iou(expected))
        }
        tried = list(_tried(file.card, sibling=bool(sibling), tuned=tuned is not None))
        with stages.stage("variants", len(tried), "variants") as did:
            for done, variant in enumerate(tried, 1):
                found[variant] = _compared(variant, variants, scene, labels_of_floats, sessions, clock)
                stages.progress.advance(done, len(tried))
            did.text = f"{len(sessions) - 1} of {len(tried)} compared with the model's labels"
        with stages.stage("time", 1.0) as did:
            latencies = times_of(
                list(sessions.values()), scene.frames, clock.left(at_most=TIMING), stages.progress
            )
            did.text = f"{latencies[0].frames} rounds of {len(sessions)} sessions"
        for variant, latency in zip(sessions, latencies, strict=True):
            found[variant] = _timed(found[variant], latency, options.rate)
        outputs = tuple(output.name for output in file.summary.outputs)
        card, digest = file.card, file.digest
    chosen = best_of(list(found.values()))
    typed = Typed(
        path, _listed(images), options.size, options.rate, options.weights, options.folder, sibling, outputs
    )
    return Plan(
        path,
        digest,
        card,
        machine,
        options.rate,
        (scene.frames[0].shape[0], scene.frames[0].shape[1]),
        len(scene.frames),
        tuned,
        tuple(found.values()),
        chosen,
        () if chosen is None else commands_for(chosen.variant, chosen.kept_by_int8, typed, card),
        (*scene.warnings, *_warnings(card, machine)),
    )


class _Clock:
    """The time that a plan has."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._begun = seconds, time.perf_counter()

    def left(self, *, at_most: float = 1.0, reserved: float = 0.0) -> float:
        """Seconds left, `at_most` a share of all, with a share `reserved` for what comes after."""
        left = self.seconds * (1 - reserved) - (time.perf_counter() - self._begun)
        return max(0.0, min(left, at_most * self.seconds))


class _Within:
    """Receives the stages of an inner job as the share of time that has passed of the stage around it."""

    def __init__(self, progress: Progress, seconds: float) -> None:
        self._progress, self._seconds, self._begun = progress, seconds, time.perf_counter()

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """An inner stage starts."""

    def advance(self, done: float, total: float | None = None) -> None:  # noqa: ARG002 - Progress's
        """Part of an inner stage is done."""
        passed = (time.perf_counter() - self._begun) / self._seconds
        self._progress.advance(min(passed, 1.0), 1.0)

    def finish(self, summary: str = "") -> None:
        """An inner stage is done."""

    def expect(self, seconds: float, after: float = 0.0) -> None:
        """An inner job expects to take so long."""


def _warnings(card: Card, machine: Machine) -> Iterator[str]:
    if card.precision != "fp32":
        yield f"the model is of precision {card.precision}: plan its float parent for more options"
    elif card.working_size is not None:
        yield f"the model works at {card.working_size} already: plan one at the images' size"
    if not _has_onnx():
        yield f"int8 and working sizes need onnx, which is not installed: {install_command('quantize')}"
    if machine.busy:
        yield f"other programs keep this machine busy (load {machine.load:.1f}): times are too long"


def _tuned(
    file: ModelFile, frames: Sequence[Array], clock: _Clock, progress: Progress
) -> tuple[ProfileOptions | None, str]:
    """The session options that are faster than the defaults; None where none are. And the same in words."""
    budget = clock.left(at_most=TUNING)
    try:
        found = search(file, frames, TuneOptions(budget=budget), _Within(progress, budget))
    except UsageError:  # one comparison takes longer than that
        return None, "no time for it: give more --seconds"
    if found.total is None or not found.total.taken or found.total.wall is None:
        return None, "nothing is faster than the defaults"
    return found.profile.options, f"{found.total.wall.median:.2f} of the time: {found.profile.options}"


def _tried(card: Card, *, sibling: bool, tuned: bool) -> Iterator[Variant]:
    """Every variant but the model as it is, in the order in which they are tried."""
    if tuned:
        yield Variant(tuned=True)
    lowers = card.precision == "fp32" and _has_onnx()
    if sibling or lowers:
        yield Variant(int8=True, tuned=tuned)
    if lowers and card.working_size is None:
        for size in filter(None, SIZES):
            yield Variant(size, tuned=tuned)
            yield Variant(size, int8=True, tuned=tuned)


def _has_onnx() -> bool:
    from importlib.util import find_spec

    return all(find_spec(module) is not None for module in EXTRAS["quantize"])


def _compared(
    variant: Variant,
    variants: Variants,
    scene: Scene,
    floats: dict[str, list[Array]],
    sessions: dict[Variant, Session],
    clock: _Clock,
) -> Option:
    """Open a variant, which joins `sessions`, and compare its labels; or why it was not measured.

    `floats` are the labels of float variants by their working size.
    """
    option = Option(variant, str(variant))
    if not clock.left(reserved=TIMING):
        return replace(option, why="not measured, the time is over: give more --seconds")
    try:
        session = variants.session(variant)
        labels = scene.labels(session)
    except FcnEdgeError as error:
        return replace(option, why=f"not measured, {error}")
    sessions[variant] = session
    parents = floats.get(variant.working_size, labels) if variant.int8 else labels
    floats.setdefault(variant.working_size, labels)
    return replace(
        option,
        agreement=_agreement(labels, floats[""]),
        kept_by_int8=_agreement(labels, parents),
        mean_iou=scene.mean_iou(labels),
    )


def _agreement(labels: Sequence[Array], others: Sequence[Array]) -> float:
    return float(np.mean([np.mean(a == b) for a, b in zip(labels, others, strict=True)]))


def _timed(option: Option, latency: Latency, rate: float) -> Option:
    meets = latency.p95_ms <= 1000 / rate
    return replace(option, latency=latency, frames_per_second=1000 / latency.p50_ms, meets_rate=meets)


def best_of(options: Sequence[Option]) -> Option | None:
    """Of those that meet the rate, the best by its labels; of equals the simplest, then the fastest.

    Half a point of mean IoU is chance on a few frames, and counts as equal. A smaller working size may well
    have a higher one: a network sees things best in the size in which it was trained on them.
    """

    def cost(option: Option) -> tuple[float, int, float]:
        quality = option.agreement / EQUAL_LABELS
        if option.mean_iou is not None:
            quality = option.mean_iou / EQUAL_IOU
        return -round(quality), option.variant.steps, _p95(option)

    return min((option for option in options if option.meets_rate), key=cost, default=None)


def _p95(option: Option) -> float:
    return option.latency.p95_ms if option.latency is not None else float("inf")


def _sizes(frames: Sequence[Array]) -> str:
    sizes = sorted({frame.shape[:2] for frame in frames})
    return ", ".join(f"{height}x{width}" for height, width in sizes[:3])


def _listed(images: FrameSource) -> tuple[str, ...]:
    """The images as they are typed; a word in place of frames that are no files."""
    if isinstance(images, (str, os.PathLike)):
        return (os.fspath(images),)
    if isinstance(images, Sequence) and all(isinstance(entry, (str, os.PathLike)) for entry in images):
        return tuple(os.fspath(entry) for entry in images if isinstance(entry, (str, os.PathLike)))
    return ("FRAMES",)
