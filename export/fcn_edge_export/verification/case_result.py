"""One input run through a reference and a file, measured, and checked.

    run, shape, finite   on every input, before anything is measured
    further rules        the caller's, in its order; the first that is broken is the failure

The verdict of a float file and the gate of a lowered one differ only in these further rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS, LOGITS
from fcn_edge_export.verification.head_rule import sparse_outputs, wrong_labels
from fcn_edge_export.verification.measure import Measurement, Outputs, by_rows, measure, worst_pixel
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.session.session import Session

__all__ = ["BrokenRule", "CaseResult", "CaseRun", "Rules", "broken_head", "check_case", "run_case"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class CaseResult(Measurement):
    """What was measured on one input, and the first rule it breaks.

    Attributes:
        name: of the input.
        size: (batch, height, width).
        failure: the broken rule (run, shape, finite, numbers, head, decisions, confidence), or "".
        detail: the failure in words.
        bound: what E may be, in logits; 0 where the rules do not limit it.
        margin: smallest distance of the reference's best two logits; 0 where it was not measured.
        float64: whether it was compared with the reference in float64, as that in float32 was further off.
    """

    name: str
    size: tuple[int, int, int]
    failure: str = ""
    detail: str = ""
    bound: float = 0.0
    margin: float = 0.0
    float64: bool = False


@dataclass(frozen=True)
class BrokenRule:
    """A rule that is broken: its name, the finding in words, and the worst (batch, row, column)."""

    rule: str
    detail: str
    pixel: tuple[int, int, int]


@dataclass(frozen=True)
class CaseRun:
    """A case's result, with both sides' outputs where they could be compared."""

    result: CaseResult
    outputs: tuple[Outputs, Outputs] | None


Rules = Callable[[Outputs, Outputs, Measurement], Iterator[BrokenRule]]


def run_case(
    name: str,
    image: Array,
    reference: Callable[[Array], Outputs],
    reference_name: str,
    probe: Session,
    rules: Rules,
    outputs: Sequence[str] = (),
) -> CaseRun:
    """Run one input through both sides, measure, and apply the rules.

    Args:
        name: of the input.
        image: (N, H, W, C) in the card's dtype.
        reference: images -> labels and logits.
        reference_name: for messages, such as "PyTorch".
        probe: a session of the file with `logits` among its outputs.
        rules: what must hold besides run, shape and finite.
        outputs: further outputs of the probe that the rules need.
    """
    batch, height, width = image.shape[:3]
    result = CaseResult(name=name, size=(batch, height, width))
    expected = reference(image)
    try:
        got = probe.run(image, [LABELS, LOGITS, *outputs, *sparse_outputs(probe.outputs)])
    except FcnEdgeError as error:
        return CaseRun(replace(result, failure="run", detail=f"onnxruntime stopped: {error}"), None)
    return check_case(result, expected, got, reference_name, rules)


def check_case(
    case: CaseResult, expected: Outputs, got: Outputs, reference_name: str, rules: Rules
) -> CaseRun:
    """Measure what both sides gave for one input, and apply the rules.

    Args:
        case: its name and size.
        expected: the reference's outputs.
        got: the file's.
        reference_name: for messages.
        rules: what must hold besides shape and finite.
    """
    result = CaseResult(name=case.name, size=case.size)
    if any(got[key].shape != expected[key].shape for key in (LABELS, LOGITS)):
        words = f"got labels {got[LABELS].shape} and logits {got[LOGITS].shape}, {reference_name} gives "
        words += f"logits {expected[LOGITS].shape}"
        return CaseRun(replace(result, failure="shape", detail=words), None)
    for side, values in ((reference_name, expected[LOGITS]), ("the file", got[LOGITS])):
        finite = by_rows(lambda z: np.isfinite(z).all(axis=1), values)
        if not finite.all():
            pixel = worst_pixel(~finite)
            words = f"{side} gives NaN or Inf"
            return CaseRun(replace(result, failure="finite", detail=words, pixel=pixel), None)
    measured = measure(expected, got)
    result = replace(result, **vars(measured))
    broken = next(rules(expected, got, measured), None)
    if broken is not None:
        result = replace(result, failure=broken.rule, detail=broken.detail, pixel=broken.pixel)
    return CaseRun(result, (expected, got))


def broken_head(got: Outputs) -> Iterator[BrokenRule]:
    """The head rule, which holds for every file: labels are the argmax of the file's own logits."""
    wrong = wrong_labels(got)
    if wrong.any():
        words = f"{int(wrong.sum())} labels are not the argmax of the file's own logits"
        yield BrokenRule("head", words, worst_pixel(wrong))
