"""The verdict of a float file: PyTorch against the session that will run the file.

The file is probed: the same model with `logits` added as an output. For each input, with A, M and E as in
`measure` and e(k) the error of class k at a pixel:

    numbers     E <= 1e-4 A + 8 * 2^-23 M            the relative error of float32 arithmetic, with a margin
    head        labels == argmax(probe's logits)     exactly
    decisions   z_a - z_b <= e(a) + e(b)             where a label flips from a to b; at most 0.5 % of pixels
    confidence  |difference| <= E/2 + 1e-6           softmax is 1/2-Lipschitz in the largest logit error

PyTorch itself computes in float32, and where it adds up a whole map (norms, global means) it may be further
from the truth than the file. An input that breaks the rules is compared with PyTorch in float64, too.

A network that returns labels alone has no errors that could explain a flip: there the head rule holds, and at
most 0.05 % of an input's pixels flip, and as many as two. A file whose integers are those of its reference
rounds them in another order: there the head rule holds, and at most 1 % of an input's pixels flip.

An offset that all classes share costs nothing but its rounding, which M accounts for. Files with the sparse
head have a head rule of their own: see `head_rule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS, LOGITS, LOGITS_LOW
from fcn_edge_export.verification.case_result import (
    BrokenRule,
    CaseResult,
    broken_head,
    check_case,
    run_case,
)
from fcn_edge_export.verification.cases import PATTERN, Case
from fcn_edge_export.verification.head_rule import ROUNDINGS
from fcn_edge_export.verification.measure import (
    Measurement,
    Outputs,
    by_rows,
    labeled,
    labels_digest,
    margins,
    worst_pixel,
)
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import FcnEdgeError, InputError, VerificationError
from fcn_edge_runtime.session.session import Session

__all__ = ["TOLERANCES", "Kind", "Verdict", "check_shipped", "compare", "error_bound"]

Array = npt.NDArray[Any]
Logits = Callable[[Array], npt.NDArray[np.float32]]

RELATIVE = 1e-4
MOST_FLIPS = 0.005
MOST_REPEATED = 1 << 15  # pixels of a pattern on which the file itself is run, too
MOST_FLIPS_ALONE = {"labels": 0.0005, "integers": 0.01}
Kind = Literal["scores", "labels", "integers"]
TOLERANCES: dict[Kind, str] = {
    "scores": "E <= 1e-4 A + 8 * 2^-23 M; flips <= 0.5 % and within the errors at their pixel; "
    "labels = argmax",
    "labels": "flips <= 0.05 %; labels = argmax",
    "integers": "flips <= 1 %; labels = argmax",
}


@dataclass(frozen=True)
class Verdict:
    """All results on one provider, and what the file was compared with."""

    provider: str
    results: tuple[CaseResult, ...]
    reference: str = "PyTorch"

    @property
    def passed(self) -> bool:
        """True if every input passed every rule."""
        return all(not r.failure for r in self.results)

    @property
    def blind(self) -> bool:
        """True if fewer than two distinct labels were seen: agreement then proves little."""
        return len({label for r in self.results for label in r.labels_seen}) < 2

    @property
    def worst(self) -> CaseResult:
        """The failure, or else the result, whose error is the largest part of its bound.

        Where nothing could be measured (stage run, shape or finite) nothing is worse.
        """

        def badness(result: CaseResult) -> float:
            if result.bound:
                return result.error / result.bound
            return math.inf if result.failure else 0.0

        return max((r for r in self.results if r.failure or self.passed), key=badness)

    def require(self) -> None:
        """Raise unless every input passed.

        Raises:
            VerificationError: the worst input, pixel and rule in one line.
        """
        if not self.passed:
            worst, failed = self.worst, sum(bool(r.failure) for r in self.results)
            pixel = "" if worst.failure in ("run", "shape") else f", pixel {worst.pixel}"
            where = f"{worst.name} {size_text(worst.size)}{pixel}"
            raise VerificationError(
                f"verdict: {failed} of {len(self.results)} inputs differ from {self.reference} on "
                f"{self.provider}; worst at {where}, rule '{worst.failure}': {worst.detail}"
            )


def compare(
    reference: Logits,
    probe: Session,
    cases: Iterable[Case],
    *,
    outputs: Sequence[str] = (LABELS,),
    reference_name: str = "PyTorch",
    kind: Kind = "scores",
) -> Verdict:
    """Compare a probe with the reference on every case.

    Args:
        reference: images (N, H, W, C) -> logits (N, K, H, W) float32.
        probe: a session of the file with `logits` among its outputs.
        cases: the inputs.
        outputs: what the file gives besides `labels`; `confidence` and `probabilities` are verified too.
        reference_name: for messages.
        kind: what both compute: "labels" of a network that returns them, whose scores are 1 for them and 0
            elsewhere; "integers" of a file that others quantized.

    Raises:
        InputError: the reference cannot run one of the cases.
    """
    further = [name for name in outputs if name in ("confidence", "probabilities")]
    rules = _broken_rules if kind == "scores" else partial(_broken_rules_of_labels, MOST_FLIPS_ALONE[kind])
    results = []
    for case in cases:
        expected = partial(_expected, reference, reference_name, case.name)
        run = run_case(case.name, case.image(), expected, reference_name, probe, rules, further)
        broken = run.result.failure in ("numbers", "decisions")
        if broken and run.outputs is not None and (exact := _exact(reference, case)) is not None:
            second = check_case(run.result, exact, run.outputs[1], reference_name, rules)
            if not second.result.failure:
                run = replace(second, result=replace(second.result, float64=True))
        result = run.result
        if run.outputs is not None:
            margin = float(margins(run.outputs[0][LOGITS]).min())
            result = replace(result, bound=error_bound(result), margin=margin)
        results.append(result)
    return Verdict(probe.provider, tuple(results), reference_name)


def check_shipped(shipped: Session, verdict: Verdict, cases: Sequence[Case]) -> None:
    """The file itself, without the probe's extra output, gives the probe's labels bit for bit.

    The two differ in an output that the probe adds at every size, so large patterns are not run again.

    Raises:
        VerificationError: it does not; names the input.
    """
    for case, result in zip(cases, verdict.results, strict=True):
        if case.name == PATTERN and math.prod(result.size) > MOST_REPEATED:
            continue
        labels = shipped.run(case.image(), [LABELS])[LABELS]
        if labels_digest(labels) != result.labels_sha256:
            raise VerificationError(
                f"verdict: at {case.name} {size_text(result.size)} the file's labels differ from its "
                "probe's: onnxruntime computes the two graphs differently, so the file cannot be verified"
            )


def error_bound(measured: Measurement) -> float:
    """What E may be: 1e-4 A + 8 * 2^-23 M."""
    return RELATIVE * measured.amplitude + ROUNDINGS * measured.magnitude


def _expected(reference: Logits, reference_name: str, name: str, image: Array) -> Outputs:
    try:
        return labeled(reference(image))
    except FcnEdgeError:
        raise
    except Exception as error:
        size = size_text(image.shape[:3])
        raise InputError(
            f"verify: {reference_name} cannot run {name} {size}: {error}: if the network takes no images of "
            "that size, let the file resize each one to a size that it takes: --working-size HEIGHTxWIDTH"
        ) from error


def _exact(reference: Logits, case: Case) -> Outputs | None:
    """The reference's labels and logits computed in float64; None if it cannot."""
    in_float64 = getattr(reference, "in_float64", None)
    logits = in_float64(case.image()) if in_float64 is not None else None
    return None if logits is None else labeled(logits)


def _broken_rules(expected: Outputs, got: Outputs, measured: Measurement) -> Iterator[BrokenRule]:
    """Each broken rule, in the order of the module's docstring."""
    error, bound = measured.error, error_bound(measured)
    if error > bound:
        relative = error / measured.amplitude if measured.amplitude else math.inf
        words = f"logits differ by {error:.3g}, {relative:.1e} of their amplitude; allowed {bound:.3g}"
        yield BrokenRule("numbers", words, measured.pixel)
    yield from broken_head(got)
    rounding = ROUNDINGS * measured.magnitude if LOGITS_LOW in got else 0.0
    unjustified = _unjustified_flips(expected, got, rounding)
    if unjustified.any():
        words = f"{int(unjustified.sum())} labels flip by more than the errors there"
        yield BrokenRule("decisions", words, worst_pixel(unjustified))
    flipped = got[LABELS] != expected[LABELS]
    if measured.flips > MOST_FLIPS * flipped.size:
        share = 100 * measured.flips / flipped.size
        words = f"{share:.2f} % of the labels flip, allowed {100 * MOST_FLIPS} %"
        yield BrokenRule("decisions", words, worst_pixel(flipped))
    allowed = error / 2 + 1e-6
    for name, off in _probability_errors(expected[LOGITS], got):
        if not off.max() <= allowed:
            words = f"{name} differs by {off.max():.3g}, allowed {allowed:.3g}"
            yield BrokenRule("confidence", words, worst_pixel(off))


def _broken_rules_of_labels(
    most: float, expected: Outputs, got: Outputs, measured: Measurement
) -> Iterator[BrokenRule]:
    yield from broken_head(got)
    flipped = got[LABELS] != expected[LABELS]
    if measured.flips > max(2, most * flipped.size):
        share = 100 * measured.flips / flipped.size
        words = f"{share:.2f} % of the labels flip, allowed {100 * most} %"
        yield BrokenRule("decisions", words, worst_pixel(flipped))


def _probability_errors(expected: Array, got: Outputs) -> Iterator[tuple[str, Array]]:
    """(output, |difference| at each pixel) for each output that holds probabilities."""
    if "confidence" in got:

        def off(z: Array, confidence: Array) -> Array:
            p = _softmax(z)
            both = np.concatenate([p, 1 - p], axis=1) if z.shape[1] == 1 else p
            return np.asarray(np.abs(confidence[:, 0] - both.max(axis=1)))

        yield "confidence", by_rows(off, expected, got["confidence"][:, None])
    if "probabilities" in got:
        yield (
            "probabilities",
            by_rows(lambda z, p: np.abs(p - _softmax(z)).max(axis=1), expected, got["probabilities"]),
        )


def _unjustified_flips(expected: Outputs, got: Outputs, rounding: float = 0.0) -> npt.NDArray[np.bool_]:
    """Where the label flips from a to b although the reference's z_a - z_b exceeds e(a) + e(b).

    `rounding` is what the head itself may be off: a sparse one decides by other sums than the logits'.
    """
    flipped = np.asarray(got[LABELS] != expected[LABELS])
    batch, row, column = np.nonzero(flipped)

    def at(logits: Array, classes: Array) -> Array:
        return np.asarray(logits[batch, classes, row, column], np.float64)

    z, other = expected[LOGITS], got[LOGITS]
    if z.shape[1] == 1:
        first = np.zeros(len(batch), np.int64)
        gap, errors = np.abs(at(z, first)), np.abs(at(other, first) - at(z, first))
    else:
        a, b = (side[LABELS][batch, row, column].astype(np.int64) for side in (expected, got))
        gap = at(z, a) - at(z, b)
        errors = np.abs(at(other, a) - at(z, a)) + np.abs(at(other, b) - at(z, b))
    flipped[batch, row, column] = gap > errors + rounding
    return flipped


def _softmax(logits: Array) -> npt.NDArray[np.float64]:
    """Probabilities in float64; for one class the sigmoid."""
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        return 1 / (1 + np.exp(-z))
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
