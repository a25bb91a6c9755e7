"""From a verified float file to one of lower precision: the stages that int8 and fp16 share.

    checked_output -> open_parent -> (its own stages) -> gate_child -> write_child

The reference of a lowered file, the child, is its float parent, which was verified against PyTorch. The
parent's digest goes onto the child's card.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from fcn_edge_export.artifact import OutputFile, assemble
from fcn_edge_export.final_card import finished_card
from fcn_edge_export.graph.names import LABELS, LOGITS
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.graph.reject import refuse_rejecting
from fcn_edge_export.lowering.gate import CALIBRATE, Gate, logits_of, run_gate
from fcn_edge_export.lowering.sensitivity import LayerDamage
from fcn_edge_export.speed import Speed
from fcn_edge_export.verification.cases import Case, default_sizes, pattern_cases
from fcn_edge_export.verification.certify import Certified, check_draft
from fcn_edge_export.verification.golden_vectors import SEEDS, TAU, golden_vectors
from fcn_edge_export.verification.measure import measure
from fcn_edge_export.verification.report import produced_by, verification_report
from fcn_edge_export.verification.verify_file import opened
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, LoweringInfo, VerificationInfo
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_SIZES, Golden, raise_to
from fcn_edge_runtime.progress import Stage, Stages
from fcn_edge_runtime.selftest import LEAST_DECIDED
from fcn_edge_runtime.session.config import needed_config
from fcn_edge_runtime.session.session import Session, SessionOptions, open_session

__all__ = [
    "Child",
    "LoweringResult",
    "Parent",
    "checked_output",
    "gate_child",
    "open_parent",
    "write_child",
]

Array = npt.NDArray[Any]

_ENOUGH_DECIDED = 2 * LEAST_DECIDED  # of the self-test's pixels, of which it needs half


@dataclass(frozen=True)
class LoweringResult:
    """The result of a lowering.

    Attributes:
        path: the file of lower precision.
        report: its verification report, JSON.
        digest: SHA-256 of the file.
        bytes: its size.
        parent: SHA-256 of the float file.
        card: the card in the file.
        agreement: share of the held-out frames' labels that are the parent's, 0..1.
        worst_frame: the frame with the lowest agreement, and that agreement.
        mean_iou: of (parent, file) where labels were given.
        stages: every stage with its time.
        target: int8: the machine it is for.
        integer_share: int8: share of the multiply-accumulates that are in integers, 0..1.
        kept_in_float: int8: layers kept in float for the agreement, and the damage of integers in them.
        float_products: int8: what onnxruntime computes in float besides these and the classifier; empty
            where the target is another machine.
        speed: int8: the speed on this machine; None where the target is another one.
        warnings: (name, words) of everything doubtful.
    """

    path: Path
    report: Path
    digest: str
    bytes: int
    parent: str
    card: Card
    agreement: float
    worst_frame: tuple[str, float]
    mean_iou: tuple[float, float] | None
    stages: tuple[Stage, ...] = field(repr=False)
    target: str | None = None
    integer_share: float | None = None
    kept_in_float: tuple[LayerDamage, ...] = ()
    float_products: tuple[str, ...] = ()
    speed: Speed | None = None
    warnings: tuple[tuple[str, str], ...] = ()

    def warned(self, name: str, words: str) -> LoweringResult:
        """The same with a further warning."""
        return replace(self, warnings=(*self.warnings, (name, words)))


@dataclass(frozen=True)
class Parent:
    """A float file that was verified against PyTorch.

    Attributes:
        model: its graph.
        card: its card.
        digest: SHA-256 of the file.
        probe: its bytes with `logits` among the outputs.
    """

    model: onnx.ModelProto
    card: Card
    digest: str
    probe: bytes


@dataclass(frozen=True)
class Child:
    """A file of lower precision that passed its gate, not yet written.

    Attributes:
        model: its graph.
        card: of the file.
        gate: what the gate measured.
        engines: the largest difference of a logit between onnxruntime's fused and its plain operators, as a
            share of the amplitude: how far another engine may be off with the same file.
        certified: its verdict and self-test.
        cases: the inputs of the verdict.
    """

    model: onnx.ModelProto
    card: Card
    gate: Gate
    engines: float
    certified: Certified
    cases: tuple[Case, ...]


def checked_output(
    parent: str | os.PathLike[str], output: str | os.PathLike[str], precision: str
) -> OutputFile:
    """Where the lowered file goes, checked before the work starts.

    Raises:
        UsageError: it would overwrite its parent.
        ArtifactError: nothing can be written there.
    """
    place = OutputFile.at(output)
    if place.path.exists() and place.path.samefile(parent):
        raise UsageError(f"{parent} is the parent: write the {precision} file beside it, under another name")
    return place


def open_parent(path: Path) -> Parent:
    """Open the float file, as the runtime does: sealed, by the contract, with a passed verdict.

    Raises:
        ModelError: it was not written by fcn-edge, or was changed.
        UsageError: it is itself of lower precision.
    """
    model, card, digest = opened(path, sealed=True)
    if card.precision != "fp32" or card.verification.reference == "parent":
        raise UsageError(
            f"{path} is of precision {card.precision}, verified against {card.verification.reference}: "
            "expected an fp32 model, as `fcn-edge export` or `fcn-edge adopt` writes it"
        )
    refuse_rejecting(card, path)
    return Parent(model, card, digest, with_logits_output(model))


def gate_child(
    stages: Stages,
    parent: Parent,
    model: onnx.ModelProto,
    frames: Sequence[Case],
    *,
    precision: str,
    least: float,
    lowering: LoweringInfo,
    truth: Mapping[str, Callable[[], Array]] | None = None,
    device: str = "cpu",
    fix: str = CALIBRATE,
) -> Child:
    """The stage "gate": compare a child with its parent on patterns and frames, and make card and self-test.

    Args:
        stages: where the stage is listed.
        parent: the float file.
        model: the child's graph.
        frames: inputs on which it must agree; without any, it must on the patterns.
        precision: for the card.
        least: share of the frames' labels that must be the parent's, 0..1.
        lowering: for the card.
        truth: labels of frames, by name.
        device: where the child runs; the parent runs on the CPU.
        fix: what to do where it does not agree.

    Raises:
        VerificationError: it failed the gate.
    """
    with stages.stage("gate", unit="inputs") as did:
        card = parent.card
        reference = open_session(parent.probe, "cpu")
        probe_bytes = with_logits_output(model)
        half = precision == "fp16"
        as_the_file = SessionOptions(config=needed_config(precision), tf32=half)
        probe = open_session(probe_bytes, device, options=as_the_file)
        geometry = card.geometry
        sizes = default_sizes(geometry.smallest_size, geometry.size_multiple, geometry.largest_size)
        patterns = tuple(pattern_cases(sizes, card.input))
        shown = f"{len(frames)} frames" if frames else f"{len(patterns)} patterns"
        gate = run_gate(
            reference,
            probe,
            patterns if frames else (),
            frames or patterns,
            least=least,
            classes=len(card.classes),
            truth=truth,
            progress=stages.progress,
        )
        gate.require(fix)
        plain = open_session(probe_bytes, device, options=SessionOptions(optimization="none", tf32=half))
        error, engines = _relative_errors(reference, probe, plain, card)
        tau = min(1.0, max(error, engines, TAU.get(precision, 0.0)))
        info = VerificationInfo(
            verdict="passed",
            reference="parent",
            sizes=tuple(result.size for result in gate.verdict.results),
            providers=(gate.verdict.provider,),
            tolerance=f"labels = argmax; agreement with the parent on {shown} >= {100 * least:g} %",
            blind=gate.verdict.blind,
        )
        golden = golden_vectors(logits_of(reference), probe, card, tau, smallest=card.geometry.smallest_size)
        if _decided(golden, card) < _ENOUGH_DECIDED:
            # On patterns unlike the frames the file is too far from its parent: its own scores decide.
            tau = min(1.0, max(2 * engines, TAU.get(precision, 0.0)))
            golden = golden_vectors(logits_of(probe), probe, card, tau, smallest=card.geometry.smallest_size)
        certified = Certified(info, golden, (gate.verdict,), (device,))
        did.text = gate.text
    by = {f"{precision}-by": _own_version(), **_engine_version()}
    own = finished_card(card, model, info, by, precision=precision, lowering=lowering)
    return Child(model, own, gate, engines, certified, (*patterns, *frames))


def write_child(
    stages: Stages, place: OutputFile, parent: Parent, child: Child, measured: Mapping[str, Any]
) -> LoweringResult:
    """The stage "write": the file and its report, both whole or not at all.

    Args:
        stages: for the report and the result.
        place: where to.
        parent: the float file.
        child: what passed.
        measured: further findings, for the report alone.

    Raises:
        VerificationError: the written file does not do what its probe did.
    """
    card, gate = child.card, child.gate
    with (
        stages.stage("write") as did,
        place.draft(assemble(child.model, card, child.certified.golden)) as draft,
    ):
        digest, size = check_draft(draft.path, child.certified, child.cases)
        report = {
            **verification_report(digest, card, child.certified.verdicts, stages.done),
            "rules": {"text": card.verification.tolerance, "most_iou_lost": gate.most_lost},
            "reference": f"parent:{parent.digest}",
            "agreement": gate.agreement,
            "worst_frame": list(gate.worst_frame),
            "mean_iou": {"parent": gate.parent_iou, "file": gate.iou},
            "difference_between_engines": child.engines,
            "tau": child.certified.golden.tau,
            **measured,
        }
        place.publish(draft, report)
        did.text = f"{size / 1e6:.1f} MB, sealed; the file itself passed its self-test"
    return LoweringResult(
        path=place.path,
        report=place.report,
        digest=digest,
        bytes=size,
        parent=parent.digest,
        card=card,
        agreement=gate.agreement,
        worst_frame=gate.worst_frame,
        mean_iou=gate.mean_iou,
        stages=tuple(stages.done),
    )


def _decided(golden: Golden, card: Card) -> float:
    """The share of the self-test's pixels that have a label."""
    labels = [case.labels for case in golden.cases]
    return sum(int((each != card.unlabeled).sum()) for each in labels) / sum(each.size for each in labels)


def _relative_errors(reference: Session, probe: Session, plain: Session, card: Card) -> tuple[float, float]:
    """(E, difference between engines) / A: the largest over all images the self-test may be made of."""
    error = engines = 0.0
    for size in raise_to(GOLDEN_SIZES, card.geometry.smallest_size):
        for seed in SEEDS:
            image = pattern(*size, card.input.channels, seed, card.input)
            expected, got, other = (
                session.run(image, [LABELS, LOGITS]) for session in (reference, probe, plain)
            )
            measured = measure(expected, got)
            amplitude = measured.amplitude or 1.0
            error = max(error, measured.error / amplitude)
            engines = max(engines, measure(got, other).error / amplitude)
    return error, engines


def _own_version() -> str:
    return produced_by().get("fcn-edge", "unknown")


def _engine_version() -> dict[str, str]:
    """The version of onnxruntime on this machine, which may not be the one the parent was exported with."""
    return {k: v for k, v in produced_by().items() if k.startswith("onnxruntime")}
