"""quantize(): a verified float file becomes an int8 one that gives the same labels, faster; or an error.

    open -> frames -> estimate -> calibrate -> round -> integers, but layers kept in float -> speed -> gate
    -> write

Importing and running it loads no torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fcn_edge_export.graph.work import integer_share, work_of
from fcn_edge_export.lowering.body import Body, body_of, typed
from fcn_edge_export.lowering.calibration import FrameSet, inspect_frames
from fcn_edge_export.lowering.estimate import estimated
from fcn_edge_export.lowering.float_search import FloatSearch
from fcn_edge_export.lowering.fold_normalization import FoldedModel, folded
from fcn_edge_export.lowering.lower import (
    Child,
    LoweringResult,
    Parent,
    checked_output,
    gate_child,
    open_parent,
    write_child,
)
from fcn_edge_export.lowering.optimized_graph import float_products
from fcn_edge_export.lowering.prepared import Prepared, prepared
from fcn_edge_export.lowering.qdq import IntegerTarget, target_named, this_target
from fcn_edge_export.lowering.sensitivity import LayerDamage
from fcn_edge_export.options import QuantizeOptions
from fcn_edge_export.speed import Speed, compare_speed
from fcn_edge_runtime.errors import UsageError, VerificationError
from fcn_edge_runtime.evaluation.labels import LabelSource, labels_of
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import CalibrationInfo, LoweringInfo
from fcn_edge_runtime.progress import Progress, Stages, tracked
from fcn_edge_runtime.session.session import open_session

__all__ = ["quantize"]

Array = npt.NDArray[Any]

LEAST_SHARE = 0.5  # of the work in integers: with less, a file is not called int8


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
            card, see `fcn_edge_runtime.imaging.frames.frames_of`. Of more than 36, some are taken.
        images: frames to verify on, of which 12 are taken; None holds out every 4th calibration frame.
        labels: the true labels of `images`: a folder, arrays, a mapping or a function, see
            `fcn_edge_runtime.evaluation.labels.labels_of`; mean IoU may fall by half a point.
        options: target, method, agreement; None means the defaults.
        progress: receives the stages as they run.

    Raises:
        VerificationError: it does not agree, is not faster, or computes most of its work in float. Nothing
            is written.
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
        did.text = f"{card.name}, {len(body.products)} products for integers, classifier in float"

    with stages.stage("frames", unit="frames") as did:
        given = None if images is None else frames_of(images, card)
        frames = inspect_frames(frames_of(calibration, card, "calibration"), given, card, stages.progress)
        truth = None
        if labels is not None and images is not None and given is not None:
            truth = labels_of(labels, images, list(given), card)
        some = f"of {frames.given} " if frames.given > frames.used else ""
        did.text = f"{len(frames.calibrated)} {some}to calibrate on, {len(frames.held_out)} others held out"

    measurable = integer_target.name == this_target()
    with stages.stage("estimate") as did:
        estimate = estimated(
            parent, entry, body, frames, integer_target, method=options.method, least=options.agreement
        )
        did.text = estimate.text(measurable=measurable)
    _require_integers(estimate.share, options, possible=True)
    stages.expect(estimate.seconds)

    whole = _fitted(stages, entry, body, frames, integer_target, options.method)
    with stages.stage("integers", unit="passes") as did:
        search = FloatSearch(parent, whole, frames, options.agreement, truth, stages.progress)
        kept = search.kept_in_float()
        names = frozenset(layer.name for layer in kept)
        int8 = whole.in_integers(names)
        wanted = set(body.products) - names
        left = float_products(int8, model, wanted) if measurable else ()
        share = integer_share(work_of(plain, frames.blank(card)), wanted - set(left))
        did.text = _integers_text(share, body, kept, left)
    _require_integers(share, options, possible=False)

    speed = None
    if measurable:
        with stages.stage("speed", 1.0) as did:
            speed = _measured_speed(int8, parent, frames, stages.progress, allow_slower=options.allow_slower)
            did.text = (
                f"{1 / speed.ratio:.2f} times as fast as the parent at {speed.size[0]}x{speed.size[1]} "
                f"({speed.parent_milliseconds:.1f} -> {speed.milliseconds:.1f} ms)"
            )

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
            integer_share=round(share, 4),
            calibration=CalibrationInfo(frames.digest, len(frames.calibrated), options.method),
            kept_in_float=tuple(layer.name for layer in kept),
        ),
        truth=truth,
    )
    measured = {
        "integer_share": share,
        "kept_in_float": [vars(layer) for layer in kept],
        "float_products": list(left),
        "speed": None if speed is None else vars(speed),
        "warnings": [list(w) for w in frames.warnings],
    }
    return replace(
        write_child(stages, place, parent, child, measured),
        target=integer_target.name,
        integer_share=share,
        kept_in_float=kept,
        float_products=left,
        speed=speed,
        warnings=(*frames.warnings, *_blind_warning(child)),
    )


def _require_integers(share: float, options: QuantizeOptions, *, possible: bool) -> None:
    """Refuse a file that would stay mostly float; `possible`: the share is the largest that is possible."""
    if share >= LEAST_SHARE or options.allow_mostly_float:
        return
    most, can = ("at most ", "can be") if possible else ("", "are")
    fix = "keep the parent" if possible else "accept a lower --agreement, keep the parent"
    raise VerificationError(
        f"gate: {most}{100 * share:.1f} % of the multiply-accumulates {can} in integers, expected at least "
        f"{100 * LEAST_SHARE:g} %: {fix}, or write it with `fcn-edge quantize --allow-mostly-float`"
    )


def _fitted(
    stages: Stages, entry: FoldedModel, body: Body, frames: FrameSet, target: IntegerTarget, method: str
) -> Prepared:
    """The stages "calibrate" and "round"."""
    few = [case.image() for case in frames.fitted]
    with stages.stage("calibrate", unit="frames") as did:
        images = (case.image() for case in tracked(frames.calibrated, stages.progress))
        whole = prepared(entry, body, target, images, few, method)
        did.text = f"{method} of {len(whole.ranges)} tensors over {len(frames.calibrated)} frames"
    with stages.stage("round", unit="layers") as did:
        whole = whole.fitted(few, stages.progress)
        did.text = f"the weights of {len(whole.rounded)} products, to fit {len(few)} frames"
    return whole


def _measured_speed(
    int8: onnx.ModelProto, parent: Parent, frames: FrameSet, progress: Progress, *, allow_slower: bool
) -> Speed:
    image = np.asarray(frames.held_out[0].image())
    speed = compare_speed(
        open_session(int8.SerializeToString(), "cpu"),
        open_session(parent.model.SerializeToString(), "cpu"),
        image,
        progress,
    )
    if speed.ratio >= 1 and not allow_slower:
        raise VerificationError(
            f"gate: int8 takes {speed.ratio:.2f} times as long as the parent here "
            f"({speed.parent_milliseconds:.1f} -> {speed.milliseconds:.1f} ms at {speed.size[0]}x"
            f"{speed.size[1]}), expected less: keep the parent, or write it with "
            "`fcn-edge quantize --allow-slower`"
        )
    return speed


def _integers_text(share: float, body: Body, kept: Sequence[LayerDamage], left: Sequence[str]) -> str:
    whole = len(body.products)
    floats = sum(layer.name in body.products for layer in kept)
    text = f"{100 * share:.1f} % of the work, {whole - floats - len(left)} of {whole} products"
    if kept:
        names = ", ".join(layer.name for layer in kept)
        text += f"; kept in float for the agreement: {names}"
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
