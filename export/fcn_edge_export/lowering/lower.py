"""From a verified float file to one of lower precision: the parent opened, the child judged and written.

What int8 and fp16 share. The child's reference is its parent, whose verdict PyTorch gave; the parent's
digest goes onto the child's card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from fcn_edge_export.artifact import OutputFile, assemble
from fcn_edge_export.graph.graft import with_logits_output
from fcn_edge_export.graph.names import LABELS, LOGITS
from fcn_edge_export.lowering.gate import Gate, judge, logits_of
from fcn_edge_export.verification.cases import Case, default_sizes, pattern_cases
from fcn_edge_export.verification.certify import Certified, check_draft
from fcn_edge_export.verification.golden_vectors import SEEDS, TAU, golden_vectors
from fcn_edge_export.verification.measure import measure
from fcn_edge_export.verification.report import produced_by, verification_report
from fcn_edge_export.verification.verify_file import opened
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, VerificationInfo
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_SIZES, raise_to
from fcn_edge_runtime.progress import Progress, Stage
from fcn_edge_runtime.session.session import Session, SessionOptions, exact_integers, open_session

__all__ = ["Child", "Parent", "judged", "open_parent", "write_child"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Parent:
    """A float file that PyTorch vouched for.

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
        gate: what the gate measured.
        engines: the largest difference of a score between onnxruntime's fused and its plain operators, as a
            share of the amplitude: what another engine may make of the same file.
        vouched: card, self-test and verdict.
        cases: the inputs of the verdict.
    """

    model: onnx.ModelProto
    gate: Gate
    engines: float
    vouched: Certified
    cases: tuple[Case, ...]


def open_parent(path: Path) -> Parent:
    """Open the float file, as the runtime does: sealed, by the contract, with a passed verdict.

    Raises:
        ModelError: it is not ours, or was changed.
        UsageError: it is itself of lower precision.
    """
    model, card, digest = opened(path, sealed=True)
    if card.precision != "fp32" or card.verification.reference != "pytorch":
        raise UsageError(
            f"{path} is of precision {card.precision}, verified against {card.verification.reference[:24]}: "
            "expected an fp32 model that was verified against PyTorch, as `fcn-edge export` writes it"
        )
    return Parent(model, card, digest, with_logits_output(model))


def judged(
    parent: Parent,
    model: onnx.ModelProto,
    frames: Sequence[Case],
    *,
    precision: str,
    least: float,
    notes: Mapping[str, str],
    truth: Mapping[str, Callable[[], Array]] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Child:
    """Judge a child on patterns and frames, and make the card and self-test that go into its file.

    Args:
        parent: the float file.
        model: the child's graph.
        frames: inputs on which it must agree.
        precision: for the card.
        least: share of the frames' labels that must be the parent's, 0..1.
        notes: for the card.
        truth: labels of frames, by name.
        device: where it is judged; the parent runs on the CPU.
        progress: receives how many inputs are done.

    Raises:
        VerificationError: it did not pass the gate.
    """
    card = parent.card
    reference = open_session(parent.probe, "cpu")
    probe_bytes = with_logits_output(model)
    half = precision == "fp16"
    as_the_file = SessionOptions(config=exact_integers(), tf32=half)
    probe = open_session(probe_bytes, device, options=as_the_file)
    sizes = default_sizes(card.geometry.smallest_size, card.geometry.size_multiple)
    patterns = tuple(pattern_cases(sizes, card.input))
    gate = judge(
        reference,
        probe,
        patterns,
        frames,
        least=least,
        classes=len(card.classes),
        truth=truth,
        progress=progress,
    )
    gate.require()
    plain = open_session(probe_bytes, device, options=SessionOptions(optimization="none", tf32=half))
    error, engines = _doubt(reference, probe, plain, card)
    tau = min(1.0, max(error, engines, TAU.get(precision, 0.0)))
    info = VerificationInfo(
        verdict="passed",
        reference=f"parent:{parent.digest}",
        sizes=tuple(result.size for result in gate.verdict.results),
        providers=(gate.verdict.provider,),
        tolerance=f"labels = argmax; agreement with the parent on {len(frames)} frames >= {100 * least:g} %",
        blind=gate.verdict.blind,
    )
    own = replace(
        card,
        precision=precision,
        verification=info,
        notes={**card.notes, **notes},
        produced_by={**card.produced_by, f"{precision}-by": _own_version(), **_engine_version()},
    )
    golden = golden_vectors(logits_of(reference), probe, own, tau)
    vouched = Certified(own, golden, (gate.verdict,), (device,))
    return Child(model, gate, engines, vouched, (*patterns, *frames))


def write_child(
    target: OutputFile, child: Child, stages: Sequence[Stage], measured: Mapping[str, Any]
) -> tuple[str, int]:
    """Write the file and its report, both whole or not at all.

    Args:
        target: where to.
        child: what passed.
        stages: for the report.
        measured: further findings, for the report alone.

    Returns:
        The file's SHA-256 and its size in bytes.

    Raises:
        VerificationError: the written file does not do what its probe did.
    """
    card, gate = child.vouched.card, child.gate
    with target.draft(assemble(child.model, card, child.vouched.golden)) as draft:
        digest, size = check_draft(draft.path, child.vouched, child.cases)
        report = {
            **verification_report(digest, card, child.vouched.verdicts, stages),
            "rules": {"text": card.verification.tolerance, "most_iou_lost": gate.most_lost},
            "reference": card.verification.reference,
            "agreement": gate.agreement,
            "worst_frame": list(gate.worst_frame),
            "mean_iou": {"parent": gate.parent_iou, "file": gate.iou},
            "difference_between_engines": child.engines,
            "tau": child.vouched.golden.tau,
            **measured,
        }
        target.publish(draft, report)
    return digest, size


def _doubt(reference: Session, probe: Session, plain: Session, card: Card) -> tuple[float, float]:
    """(E, difference between engines) / A, the largest over all images the self-test may choose from."""
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
    """Onnxruntime as it is here, which may be another than the one the parent was exported with."""
    return {k: v for k, v in produced_by().items() if k.startswith("onnxruntime")}
