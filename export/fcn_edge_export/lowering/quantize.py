"""quantize(): a verified float file becomes an int8 one that gives the same labels, faster; or an error.

    open -> frames -> calibrate -> integers, all but layers kept in float -> gate -> speed -> write

Importing and running it loads no torch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fcn_edge_export.graph.names import TRACED_INPUT
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.body import Body, body_of, typed
from fcn_edge_export.lowering.calibration import FrameSet, inspect_frames
from fcn_edge_export.lowering.fold_normalization import FoldedModel, folded
from fcn_edge_export.lowering.gate import Gate, run_gate
from fcn_edge_export.lowering.lower import (
    Child,
    LoweringResult,
    Parent,
    checked_output,
    gate_child,
    open_parent,
    write_child,
)
from fcn_edge_export.lowering.optimized_graph import float_convolutions
from fcn_edge_export.lowering.qdq import IntegerTarget, target_named, this_target, with_qdq
from fcn_edge_export.lowering.ranges import Range, activation_ranges
from fcn_edge_export.lowering.sensitivity import LayerDamage, logits_of_frames, rank_layers, shares_of
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_export.speed import Speed, compare_speed
from fcn_edge_export.verification.cases import Case
from fcn_edge_runtime.errors import UsageError, VerificationError
from fcn_edge_runtime.evaluation.labels import LabelSource, labels_of
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import CalibrationInfo, LoweringInfo
from fcn_edge_runtime.progress import Progress, Stages, tracked
from fcn_edge_runtime.session.session import SessionOptions, exact_integers, open_session

__all__ = ["quantize"]

Array = npt.NDArray[Any]

RANKED_ON = 4  # calibrated frames that the damage of a layer is measured on


def quantize(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    calibration: FrameSource,
    *,
    images: FrameSource | None = None,
    labels: LabelSource | None = None,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
) -> LoweringResult:
    """Convert a verified float file to int8, and verify that it agrees with its parent and is faster.

    Args:
        path: the float file.
        output: the int8 file to write, ending in .onnx. `NAME.verification.json` is written beside it.
        calibration: frames to calibrate on: a folder, paths, arrays, a mapping or a function that takes the
            card, see `fcn_edge_runtime.imaging.frames.frames_of`.
        images: frames to verify on; None holds out every 4th calibration frame for that.
        labels: the true labels of `images`: a folder, arrays, a mapping or a function, see
            `fcn_edge_runtime.evaluation.labels.labels_of`; mean IoU may fall by half a point.
        options: target, method, agreement; None means the defaults.
        progress: receives the stages as they run.

    Raises:
        VerificationError: it does not agree, or is not faster. Nothing is written.
        UsageError: an option out of range, or a parent that is not a verified fp32 file.
        InputError: frames that cannot be calibrated or verified on.
        ModelError: the parent was not written by fcn-edge, or was changed.
        ArtifactError: a stage failed, or the file cannot be written. Nothing is written.
    """
    options = options or QuantizeOptions()
    place = checked_output(path, output, "int8")
    if labels is not None and images is None:
        raise UsageError("labels are given without images: give the folder of the frames they belong to")
    integer_target = target_named(options.target)
    stages = Stages(progress)

    with stages.stage("open") as did:
        parent = open_parent(Path(path))
        card = parent.card
        plain = typed(parent.model)
        body = body_of(plain)
        entry = folded(plain, body, card.input, signed=integer_target.signed)
        model = entry.model
        did.text = f"{card.name}, {len(body.convolutions)} convolutions for integers, classifier in float"

    with stages.stage("frames", unit="frames") as did:
        given = None if images is None else frames_of(images, card)
        frames = inspect_frames(frames_of(calibration, card, "calibration"), given, card, stages.progress)
        truth = None
        if labels is not None and images is not None and given is not None:
            truth = labels_of(labels, images, list(given), card)
        did.text = f"{len(frames.calibrated)} to calibrate on, {len(frames.held_out)} others held out"

    with stages.stage("calibrate", unit="frames") as did:
        ranges = _ranges(entry, body, frames, options.method, stages.progress)
        did.text = f"{options.method} of {len(ranges)} tensors over {len(frames.calibrated)} frames"

    with stages.stage("integers", unit="layers") as did:
        search = _FloatSearch(
            parent, model, body, ranges, integer_target, frames, options.agreement, truth, stages.progress
        )
        kept = search.kept_in_float()
        names = frozenset(layer.name for layer in kept)
        int8 = with_qdq(model, body, ranges, integer_target, names)
        left = float_convolutions(int8, model, set(body.convolutions) - names)
        did.text = _integers_text(body, kept, left)

    measurable = integer_target.name == this_target()
    child = gate_child(
        stages,
        parent,
        int8,
        frames.held_out,
        precision="int8",
        least=options.agreement,
        lowering=LoweringInfo(
            parent_sha256=parent.digest,
            target=integer_target.name,
            speed_measured=measurable,
            calibration=CalibrationInfo(frames.digest, len(frames.calibrated), options.method),
            kept_in_float=tuple(layer.name for layer in kept),
        ),
        truth=truth,
    )

    speed = None
    if measurable:
        with stages.stage("speed", 1.0) as did:
            speed = _measured_speed(parent, child, frames, stages.progress, allow_slower=options.allow_slower)
            did.text = (
                f"{1 / speed.ratio:.2f} times as fast as the parent at {speed.size[0]}x{speed.size[1]} "
                f"({speed.parent_milliseconds:.1f} -> {speed.milliseconds:.1f} ms)"
            )

    measured = {
        "kept_in_float": [vars(layer) for layer in kept],
        "float_convolutions": list(left),
        "speed": None if speed is None else vars(speed),
        "warnings": [list(w) for w in frames.warnings],
    }
    return replace(
        write_child(stages, place, parent, child, measured),
        target=integer_target.name,
        kept_in_float=kept,
        float_convolutions=left,
        speed=speed,
        warnings=(*frames.warnings, *_blind_warning(child)),
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
class _FloatSearch:
    """Finds the layers that must be kept in float for the frames to agree."""

    parent: Parent
    model: onnx.ModelProto
    body: Body
    ranges: Mapping[str, Range]
    target: IntegerTarget
    frames: FrameSet
    least: float
    truth: Mapping[str, Callable[[], Array]] | None
    progress: Progress

    def kept_in_float(self) -> tuple[LayerDamage, ...]:
        """The fewest layers, in the order of their rank, with which the frames agree; often none.

        Raises:
            VerificationError: no number of them is enough.
        """
        if self._gate(()).agrees:
            return ()
        ranked = self._ranked()
        few, enough = 0, len(ranked)  # agreement grows with their number, closely enough to bisect
        while enough - few > 1:
            middle = (few + enough) // 2
            agrees = self._gate(ranked[:middle]).agrees
            few, enough = (few, middle) if agrees else (middle, enough)
        if enough == len(ranked):
            gate = self._gate(())
            raise VerificationError(
                f"gate: {100 * gate.agreement:.3f} % of the labels are the parent's with every layer in "
                f"integers, expected at least {100 * self.least:g} %, and keeping layers in float does "
                "not fix it: calibrate on more frames, or with another --method"
            )
        return ranked[:enough]

    def _gate(self, kept: Sequence[LayerDamage]) -> Gate:
        int8 = with_qdq(self.model, self.body, self.ranges, self.target, {layer.name for layer in kept})
        return run_gate(
            open_session(self.parent.probe, "cpu"),
            open_session(with_logits_output(int8), "cpu", options=SessionOptions(config=exact_integers())),
            (),
            self.frames.held_out,
            least=self.least,
            classes=len(self.parent.card.classes),
            truth=self.truth,
        )

    def _ranked(self) -> tuple[LayerDamage, ...]:
        """Ranked on calibrated frames, so that the held-out ones decide only how many are kept in float."""
        some: Sequence[Case] = self.frames.calibrated[:: max(1, len(self.frames.calibrated) // RANKED_ON)]
        images = [case.image() for case in some[:RANKED_ON]]

        def logits_with(name: str) -> list[Array]:
            others = {node for node in self.body.nodes if node != name}
            alone = with_qdq(self.model, self.body, self.ranges, self.target, others)
            return logits_of_frames(with_logits_output(alone), images)

        shares = shares_of(self.model, self.body, images[0])
        whole = logits_of_frames(with_logits_output(self.model), images)
        return rank_layers(self.body, shares, whole, logits_with, self.progress)


def _measured_speed(
    parent: Parent, child: Child, frames: FrameSet, progress: Progress, *, allow_slower: bool
) -> Speed:
    image = np.asarray(frames.held_out[0].image())
    speed = compare_speed(
        open_session(child.model.SerializeToString(), "cpu"),
        open_session(parent.model.SerializeToString(), "cpu"),
        image,
        progress,
    )
    if speed.ratio >= 1 and not allow_slower:
        raise VerificationError(
            f"gate: int8 takes {speed.ratio:.2f} times as long as the parent here "
            f"({speed.parent_milliseconds:.1f} -> {speed.milliseconds:.1f} ms at {speed.size[0]}x"
            f"{speed.size[1]}), expected less: keep the parent, or write it with --allow-slower"
        )
    return speed


def _integers_text(body: Body, kept: Sequence[LayerDamage], left: Sequence[str]) -> str:
    whole = len(body.convolutions)
    floats = sum(layer.name in body.convolutions for layer in kept)
    text = f"{whole - floats - len(left)} of {whole} convolutions in integers"
    if kept:
        names = ", ".join(layer.name for layer in kept)
        share = sum(layer.share for layer in kept)
        text += f"; kept in float for the agreement: {names} ({100 * share:.1f} % of the work)"
    if left:
        text += f"; kept in float by onnxruntime: {', '.join(left)}"
    return text


def _blind_warning(child: Child) -> list[tuple[str, str]]:
    unlabeled = child.card.unlabeled
    seen = {int(v) for case in child.certified.golden.cases for v in np.unique(case.labels)} - {unlabeled}
    if len(seen) >= 2:
        return []
    words = "the file's self-test sees fewer than two labels with certainty: it proves little on a device"
    return [("blind-self-test", words)]
