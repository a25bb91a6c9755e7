"""quantize(): a verified float file becomes an int8 one that decides alike and is faster, or an error.

    open -> frames -> calibrate -> integers -> (layers back to float) -> gate -> speed -> write

Importing and running it loads no torch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.graph.graft import with_logits_output
from fcn_edge_export.graph.names import TRACED_INPUT
from fcn_edge_export.lowering.body import Body, body_of, typed
from fcn_edge_export.lowering.calibration import Frames, FrameSet, look_at
from fcn_edge_export.lowering.fold_normalization import FoldedModel, folded
from fcn_edge_export.lowering.gate import Gate, judge
from fcn_edge_export.lowering.lower import Child, Parent, judged, open_parent, write_child
from fcn_edge_export.lowering.optimized_graph import float_convolutions
from fcn_edge_export.lowering.qdq import IntegerTarget, target_named, this_target, with_qdq
from fcn_edge_export.lowering.ranges import Range, activation_ranges
from fcn_edge_export.lowering.sensitivity import LayerDamage, rank_layers, scores_of_frames, shares_of
from fcn_edge_export.speed import Speed, compare_speed
from fcn_edge_export.verification.cases import Case
from fcn_edge_runtime.errors import UsageError, VerificationError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Progress, Stage, Stages, tracked
from fcn_edge_runtime.session.session import SessionOptions, exact_integers, open_session

__all__ = ["QuantizeResult", "quantize"]

Array = npt.NDArray[Any]

AGREEMENT = 0.99
RANKED_ON = 4  # calibrated frames that the damage of a layer is measured on


@dataclass(frozen=True)
class QuantizeResult:
    """What quantizing made.

    Attributes:
        path: the int8 file.
        report: its verification report, JSON.
        digest: SHA-256 of the file.
        bytes: its size.
        parent: SHA-256 of the float file.
        card: the card in the file.
        target: the machine it is for.
        agreement: share of the judged frames' labels that are the parent's.
        worst_frame: the frame with the lowest agreement, and that.
        mean_iou: of (parent, file) where labels were given.
        given_back: layers given back to float, and what integers did to them.
        float_convolutions: what onnxruntime computes in float besides these and the classifier.
        pace: the speed here; None where the target is another machine.
        warnings: (name, words) of everything doubtful.
        stages: every stage with its time.
    """

    path: Path
    report: Path
    digest: str
    bytes: int
    parent: str
    card: Card
    target: str
    agreement: float
    worst_frame: tuple[str, float]
    mean_iou: tuple[float, float] | None
    given_back: tuple[LayerDamage, ...]
    float_convolutions: tuple[str, ...]
    pace: Speed | None
    warnings: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...] = field(repr=False)


def quantize(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    calibration: Callable[[Card], Frames],
    *,
    target: str | None = None,
    method: str = "entropy",
    agreement: float = AGREEMENT,
    images: Callable[[Card], Frames] | None = None,
    labels: Callable[[Card], Mapping[str, Callable[[], Array]]] | None = None,
    allow_slower: bool = False,
    progress: Progress | None = None,
) -> QuantizeResult:
    """Turn a verified float file into an int8 one that earns its place, or into an error.

    Args:
        path: the float file.
        output: the int8 file to write, ending in .onnx. `NAME.verification.json` is written beside it.
        calibration: given the file's card, the frames to calibrate on: name -> what reads it, (H, W, C) in
            the card's dtype.
        target: x86-vnni, x86, arm64 or gpu; None is this machine. Speed is judged on this machine alone.
        method: how ranges are chosen: minmax, percentile or entropy.
        agreement: share of the judged frames' labels that must be the parent's, above 0 to 1.
        images: frames to judge on; None keeps every 4th calibration frame from calibration for that.
        labels: their true labels (H, W) by the frames' names; mean IoU may fall by half a point.
        allow_slower: write the file even if it is not faster here.
        progress: receives the stages as they run.

    Raises:
        VerificationError: it does not agree, or is not faster. Nothing is written.
        UsageError: an option out of range, or a parent that is not a verified fp32 file.
        InputError: frames that cannot be calibrated or judged on.
        ModelError: the file is not ours, or was changed.
        ArtifactError: a stage failed, or the file cannot be written. Nothing is written.
    """
    if not 0 < agreement <= 1:
        raise UsageError(f"got the agreement {agreement}, expected a share above 0 to 1")
    if labels is not None and images is None:
        raise UsageError("labels are given without images: give the folder of the frames they belong to")
    machine = target_named(target)
    place = OutputFile.at(output)
    if place.path.exists() and place.path.samefile(path):
        raise UsageError(f"{path} is the parent: write the int8 file beside it, under another name")
    stages = Stages(progress)

    with stages.stage("open") as did:
        parent = open_parent(Path(path))
        card = parent.card
        plain = typed(parent.model)
        body = body_of(plain)
        entry = folded(plain, body, card.input, signed=machine.signed)
        model = entry.model
        did.text = f"{card.name}, {len(body.convolutions)} convolutions for integers, classifier in float"

    with stages.stage("frames", unit="frames") as did:
        frames = look_at(calibration(card), None if images is None else images(card), card, stages.progress)
        truth = labels(card) if labels is not None else None
        did.text = f"{len(frames.calibrated)} to calibrate on, {len(frames.judged)} others to judge on"

    with stages.stage("calibrate", unit="frames") as did:
        ranges = _ranges(entry, body, frames, method, stages.progress)
        did.text = f"{method} of {len(ranges)} tensors over {len(frames.calibrated)} frames"

    with stages.stage("integers", unit="layers") as did:
        work = _Work(parent, model, body, ranges, machine, frames, agreement, truth, stages.progress)
        given_back = work.given_back()
        kept = frozenset(layer.name for layer in given_back)
        int8 = with_qdq(model, body, ranges, machine, kept)
        left = _left_in_float(int8, model, body, kept)
        did.text = _integers_text(body, given_back, left)

    with stages.stage("gate", unit="inputs") as did:
        child = judged(
            parent,
            int8,
            frames.judged,
            precision="int8",
            least=agreement,
            notes={
                "calibration": frames.digest,
                "calibration_frames": str(len(frames.calibrated)),
                "calibration_method": method,
                "target": machine.name,
                "speed": "judged" if machine.name == this_target() else "unmeasured",
            },
            truth=truth,
            progress=stages.progress,
        )
        did.text = child.gate.text

    pace = None
    if machine.name == this_target():
        with stages.stage("speed", 1.0) as did:
            pace = _paced(parent, child, frames, stages.progress, allow_slower=allow_slower)
            did.text = (
                f"{1 / pace.ratio:.2f} times as fast as the parent at {pace.size[0]}x{pace.size[1]} "
                f"({pace.parent_milliseconds:.1f} -> {pace.milliseconds:.1f} ms)"
            )

    with stages.stage("write") as did:
        measured = {
            "given_back": [vars(layer) for layer in given_back],
            "float_convolutions": list(left),
            "pace": None if pace is None else vars(pace),
            "warnings": [list(w) for w in frames.warnings],
        }
        digest, size = write_child(place, child, stages.done, measured)
        did.text = f"{size / 1e6:.1f} MB, sealed; the file itself passed its self-test"
    gate = child.gate
    return QuantizeResult(
        path=place.path,
        report=place.report,
        digest=digest,
        bytes=size,
        parent=parent.digest,
        card=child.vouched.card,
        target=machine.name,
        agreement=gate.agreement,
        worst_frame=gate.worst_frame,
        mean_iou=gate.mean_iou,
        given_back=given_back,
        float_convolutions=left,
        pace=pace,
        warnings=(*frames.warnings, *_doubts(child)),
        stages=tuple(stages.done),
    )


def _ranges(
    entry: FoldedModel, body: Body, frames: FrameSet, method: str, progress: Progress
) -> dict[str, Range]:
    count, passes = len(frames.calibrated), itertools.count()
    total = count * (1 if method == "minmax" else 2)

    def images() -> Iterator[Array]:
        for case in tracked(frames.calibrated, progress, before=next(passes) * count, total=total):
            yield case.image()

    ranges = activation_ranges(entry.model, body.tensors, images, method)
    if entry.input_range is not None and TRACED_INPUT in ranges:
        ranges[TRACED_INPUT] = entry.input_range  # no frame can leave it, so none is clipped
    return ranges


@dataclass(frozen=True)
class _Work:
    """What is needed to try which layers must be given back."""

    parent: Parent
    model: onnx.ModelProto
    body: Body
    ranges: Mapping[str, Range]
    machine: IntegerTarget
    frames: FrameSet
    least: float
    truth: Mapping[str, Callable[[], Array]] | None
    progress: Progress

    def given_back(self) -> tuple[LayerDamage, ...]:
        """The fewest layers, in the order of their rank, with which the frames agree: none, if they do so.

        Raises:
            VerificationError: they do not agree with all layers in float, either.
        """
        if self._gate(()).agrees:
            return ()
        ranked = self._ranked()
        few, enough = 0, len(ranked)  # agreement grows with their number, near enough to halve the gap
        while enough - few > 1:
            middle = (few + enough) // 2
            agrees = self._gate(ranked[:middle]).agrees
            few, enough = (few, middle) if agrees else (middle, enough)
        if enough == len(ranked):
            gate = self._gate(())
            raise VerificationError(
                f"gate: {100 * gate.agreement:.3f} % of the labels are the parent's with every layer in "
                f"integers, expected at least {100 * self.least:g} %, and giving back layer by layer does "
                "not mend it: calibrate on more frames, or with another --method"
            )
        return ranked[:enough]

    def _gate(self, floats: Sequence[LayerDamage]) -> Gate:
        int8 = with_qdq(self.model, self.body, self.ranges, self.machine, {layer.name for layer in floats})
        return judge(
            open_session(self.parent.probe, "cpu"),
            open_session(with_logits_output(int8), "cpu", options=SessionOptions(config=exact_integers())),
            (),
            self.frames.judged,
            least=self.least,
            classes=len(self.parent.card.classes),
            truth=self.truth,
        )

    def _ranked(self) -> tuple[LayerDamage, ...]:
        """Ranked on calibrated frames, so that the judged ones decide only how many are given back."""
        some: Sequence[Case] = self.frames.calibrated[:: max(1, len(self.frames.calibrated) // RANKED_ON)]
        images = [case.image() for case in some[:RANKED_ON]]

        def scores_with(name: str) -> list[Array]:
            others = {node for node in self.body.nodes if node != name}
            alone = with_qdq(self.model, self.body, self.ranges, self.machine, others)
            return scores_of_frames(with_logits_output(alone), images)

        shares = shares_of(self.model, self.body, images[0])
        whole = scores_of_frames(with_logits_output(self.model), images)
        return rank_layers(self.body, shares, whole, scores_with, self.progress)


def _left_in_float(
    int8: onnx.ModelProto, model: onnx.ModelProto, body: Body, kept: frozenset[str]
) -> tuple[str, ...]:
    """Convolutions of the body that onnxruntime computes in float though they were to be integers."""
    return float_convolutions(int8, model, set(body.convolutions) - kept)


def _paced(
    parent: Parent, child: Child, frames: FrameSet, progress: Progress, *, allow_slower: bool
) -> Speed:
    image = np.asarray(frames.judged[0].image())
    pace = compare_speed(
        open_session(child.model.SerializeToString(), "cpu"),
        open_session(parent.model.SerializeToString(), "cpu"),
        image,
        progress,
    )
    if pace.ratio >= 1 and not allow_slower:
        raise VerificationError(
            f"gate: int8 takes {pace.ratio:.2f} times as long as the parent here "
            f"({pace.parent_milliseconds:.1f} -> {pace.milliseconds:.1f} ms at {pace.size[0]}x"
            f"{pace.size[1]}), expected less: keep the parent, or write it with --allow-slower"
        )
    return pace


def _integers_text(body: Body, given_back: Sequence[LayerDamage], left: Sequence[str]) -> str:
    whole = len(body.convolutions)
    back = sum(layer.name in body.convolutions for layer in given_back)
    text = f"{whole - back - len(left)} of {whole} convolutions in integers"
    if given_back:
        names = ", ".join(layer.name for layer in given_back)
        share = sum(layer.share for layer in given_back)
        text += f"; given back to float for the agreement: {names} ({100 * share:.1f} % of the work)"
    if left:
        text += f"; left in float by onnxruntime: {', '.join(left)}"
    return text


def _doubts(child: Child) -> list[tuple[str, str]]:
    unlabeled = child.vouched.card.unlabeled
    seen = {int(v) for case in child.vouched.golden.cases for v in np.unique(case.labels)} - {unlabeled}
    if len(seen) >= 2:
        return []
    words = "the file's self-test sees fewer than two labels with certainty: it proves little on a device"
    return [("blind-self-test", words)]
