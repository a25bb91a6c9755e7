"""The verdict: the reference against the session that will run the file.

The file is probed: the same model with `logits` added as an output. For each input, with
c(z) = z - mean over classes (one class: z), A = max |c(reference)|, M = max |reference|,
E = max |probe - reference| and e(k) the error of class k at a pixel:

    numbers     E <= 1e-4 A + 8 * 2^-23 M            the relative error of float32 arithmetic, with room
    head        labels == argmax(probe's logits)     exactly
    decisions   z_a - z_b <= e(a) + e(b)             where a label flips from a to b; at most 0.5 % of pixels
    confidence  |difference| <= E/2 + 1e-6           softmax is 1/2-Lipschitz in the largest logit error

c(z) takes out what softmax and argmax cannot see, so that a common offset of the scores costs nothing but its
rounding, which M accounts for. Files with the sparse head have a head rule of their own: see `head_rule`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import SCORES_LOW
from fcn_edge_export.verification.cases import Case
from fcn_edge_export.verification.head_rule import ROUNDINGS, sparse_outputs, wrong_labels
from fcn_edge_runtime.errors import FcnEdgeError, InputError, VerificationError
from fcn_edge_runtime.session.session import Session

__all__ = ["CaseResult", "Verdict", "check_shipped", "compare", "error_bound"]

Array = npt.NDArray[Any]
Logits = Callable[[Array], npt.NDArray[np.float32]]

RELATIVE = 1e-4
MOST_FLIPS = 0.005
TOLERANCE = "E <= 1e-4 A + 8 * 2^-23 M; flips <= 0.5 % and within the errors at their pixel; labels = argmax"


@dataclass(frozen=True)
class CaseResult:
    """What was measured on one input.

    Attributes:
        failure: the stage that failed (run, shape, finite, numbers, head, decisions, confidence), or "".
        detail: the failure in words.
        pixel: (batch, row, column) of the worst pixel.
        error: E, in logits. `bound` is what it may be, `amplitude` is A, `magnitude` is M.
        flips: pixels whose label differs from the reference's.
        agreement: share of pixels with the reference's label.
        margin: smallest distance of the reference's best two scores, in logits.
        labels_sha256: digest of the labels, to hold the shipped file against.
        labels_seen: which labels occurred.
    """

    name: str
    size: tuple[int, int, int]
    failure: str = ""
    detail: str = ""
    pixel: tuple[int, int, int] = (0, 0, 0)
    error: float = 0.0
    bound: float = 0.0
    amplitude: float = 0.0
    magnitude: float = 0.0
    flips: int = 0
    agreement: float = 1.0
    margin: float = 0.0
    labels_sha256: str = ""
    labels_seen: tuple[int, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """All results on one provider."""

    provider: str
    results: tuple[CaseResult, ...]

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
        """Do nothing if passed.

        Raises:
            VerificationError: the worst input, pixel and rule in one line.
        """
        if not self.passed:
            worst, failed = self.worst, sum(bool(r.failure) for r in self.results)
            pixel = "" if worst.failure in ("run", "shape") else f", pixel {worst.pixel}"
            where = f"{worst.name} {_size_text(worst.size)}{pixel}"
            raise VerificationError(
                f"verdict: {failed} of {len(self.results)} inputs differ from PyTorch on {self.provider}; "
                f"worst at {where}, rule '{worst.failure}': {worst.detail}"
            )


def compare(
    reference: Logits,
    probe: Session,
    cases: Sequence[Case],
    *,
    outputs: Sequence[str] = ("labels",),
    progress: Callable[[CaseResult], None] | None = None,
) -> Verdict:
    """Hold a probe against the reference on every case.

    Args:
        reference: images (N, H, W, C) -> logits (N, K, H, W) float32.
        probe: a session of the file with `logits` among its outputs.
        cases: the inputs.
        outputs: what the file gives besides `labels`; `confidence` and `probabilities` are judged too.
        progress: called with each result.
    """
    results = []
    for case in cases:
        result = _judge(reference, probe, case, outputs)
        results.append(result)
        if progress is not None:
            progress(result)
    return Verdict(probe.provider, tuple(results))


def check_shipped(shipped: Session, verdict: Verdict, cases: Sequence[Case]) -> None:
    """The file itself, without the probe's extra output, gives the probe's labels bit for bit.

    Raises:
        VerificationError: it does not; names the input.
    """
    for case, result in zip(cases, verdict.results, strict=True):
        labels = shipped.run(case.image(), ["labels"])["labels"]
        if _sha256(labels) != result.labels_sha256:
            raise VerificationError(
                f"verdict: at {case.name} {_size_text(result.size)} the file's labels differ from its "
                "probe's: onnxruntime computes the two graphs differently, so the file cannot be vouched for"
            )


def _judge(reference: Logits, probe: Session, case: Case, outputs: Sequence[str]) -> CaseResult:
    image = case.image()
    batch, height, width = image.shape[:3]
    size = (batch, height, width)

    def failed(rule: str, detail: str, **measured: Any) -> CaseResult:
        return CaseResult(case.name, size, rule, detail, **measured)

    try:
        expected = reference(image)
    except FcnEdgeError:
        raise
    except Exception as error:
        raise InputError(f"verify: PyTorch cannot run {case.name} {_size_text(size)}: {error}") from error
    asked = [o for o in outputs if o in ("confidence", "probabilities")]
    names = ["labels", "logits", *asked, *sparse_outputs(probe.outputs)]
    try:
        got = probe.run(image, names)
    except FcnEdgeError as error:
        return failed("run", f"onnxruntime stopped: {error}")
    labels, logits = got["labels"], got["logits"]
    if logits.shape != expected.shape or labels.shape != (*expected.shape[:1], *expected.shape[2:]):
        return failed(
            "shape",
            f"got labels {labels.shape} and logits {logits.shape}, PyTorch gives logits {expected.shape}",
        )
    for side, values in (("PyTorch", expected), ("the file", logits)):
        if not np.isfinite(values).all():
            return failed(
                "finite",
                f"{side} gives NaN or Inf",
                pixel=_pixel(np.asarray(~np.isfinite(values).all(axis=1))),
            )
    measured = _measure(expected, logits, labels)
    worst = _pixel(np.abs(logits - expected).max(axis=1))
    rule, detail, pixel = next(_broken_rules(expected, got, measured), ("", "", worst))
    return CaseResult(
        case.name,
        size,
        rule,
        detail,
        pixel=pixel,
        labels_sha256=_sha256(labels),
        labels_seen=tuple(int(v) for v in np.unique(labels)),
        **measured,
    )


def error_bound(expected: Array) -> float:
    """What E may be: 1e-4 A + 8 * 2^-23 M, for reference logits (N, K, H, W)."""
    return RELATIVE * _amplitude(expected) + ROUNDINGS * float(np.abs(expected).max())


def _amplitude(expected: Array) -> float:
    centered = expected - expected.mean(axis=1, keepdims=True) if expected.shape[1] > 1 else expected
    return float(np.abs(centered).max())


def _measure(expected: Array, logits: Array, labels: Array) -> dict[str, Any]:
    flips = int((labels != _argmax(expected)).sum())
    return {
        "error": float(np.abs(logits - expected).max()),
        "bound": error_bound(expected),
        "amplitude": _amplitude(expected),
        "magnitude": float(np.abs(expected).max()),
        "flips": flips,
        "agreement": 1 - flips / labels.size,
        "margin": _smallest_margin(expected),
    }


def _broken_rules(
    expected: Array, got: Mapping[str, Array], measured: Mapping[str, Any]
) -> Iterator[tuple[str, str, tuple[int, int, int]]]:
    """(rule, words, worst pixel) of each rule that does not hold, in the order of the module's docstring."""
    logits, labels = got["logits"], got["labels"]
    error, bound = measured["error"], measured["bound"]
    if error > bound:
        relative = error / measured["amplitude"] if measured["amplitude"] else float("inf")
        pixel = _pixel(np.abs(logits - expected).max(axis=1))
        words = f"scores differ by {error:.3g}, {relative:.1e} of their amplitude"
        yield "numbers", f"{words}; allowed {bound:.3g}", pixel
    wrong = wrong_labels(got)
    if wrong.any():
        yield "head", f"{int(wrong.sum())} labels are not the argmax of the file's own logits", _pixel(wrong)
    rounding = ROUNDINGS * measured["magnitude"] if SCORES_LOW in got else 0.0
    unjustified = _unjustified_flips(expected, logits, labels, rounding)
    if unjustified.any():
        words = f"{int(unjustified.sum())} labels flip by more than the errors there"
        yield "decisions", words, _pixel(unjustified)
    if measured["flips"] > MOST_FLIPS * labels.size:
        share = 100 * measured["flips"] / labels.size
        words = f"{share:.2f} % of the labels flip, allowed {100 * MOST_FLIPS} %"
        yield "decisions", words, _pixel(labels != _argmax(expected))
    allowed = error / 2 + 1e-6
    for name, off in _probability_errors(expected, got):
        if not off.max() <= allowed:
            yield "confidence", f"{name} differs by {off.max():.3g}, allowed {allowed:.3g}", _pixel(off)


def _probability_errors(expected: Array, got: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """(output, |difference| at each pixel) for each output that holds probabilities."""
    if not {"confidence", "probabilities"} & set(got):
        return
    probabilities = _softmax(expected)
    if "confidence" in got:
        binary = expected.shape[1] == 1
        both = np.concatenate([probabilities, 1 - probabilities], axis=1) if binary else probabilities
        yield "confidence", np.abs(got["confidence"] - both.max(axis=1))
    if "probabilities" in got:
        yield "probabilities", np.abs(got["probabilities"] - probabilities).max(axis=1)


def _argmax(logits: Array) -> Array:
    """Labels by the contract: the first of the largest scores; for one class 1 where the score is above 0."""
    return logits.argmax(axis=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(np.int64)


def _unjustified_flips(
    expected: Array, logits: Array, labels: Array, rounding: float = 0.0
) -> npt.NDArray[np.bool_]:
    """Where the label flips from a to b although the reference's z_a - z_b exceeds e(a) + e(b).

    `rounding` is what the head itself may be off: a sparse one decides by other sums than the logits'.
    """
    error = np.abs(logits.astype(np.float64) - expected)
    if expected.shape[1] == 1:
        flipped = labels != _argmax(expected)
        return np.asarray(flipped & (np.abs(expected[:, 0]) > error[:, 0] + rounding))
    a, b = _argmax(expected)[:, None], labels.astype(np.int64)[:, None]

    def at(values: Array, index: Array) -> Array:
        return np.take_along_axis(values, index, axis=1)[:, 0]

    gap = at(expected, a).astype(np.float64) - at(expected, b)
    return np.asarray((a != b)[:, 0] & (gap > at(error, a) + at(error, b) + rounding))


def _softmax(logits: Array) -> npt.NDArray[np.float64]:
    """Probabilities in float64; for one class the sigmoid."""
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        return 1 / (1 + np.exp(-z))
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _smallest_margin(expected: Array) -> float:
    if expected.shape[1] == 1:
        return float(np.abs(expected).min())
    best_two = np.partition(expected, -2, axis=1)[:, -2:]
    return float((best_two[:, 1] - best_two[:, 0]).min())


def _pixel(values: Array) -> tuple[int, int, int]:
    """(batch, row, column) of the largest value of a (N, H, W) array."""
    batch, row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(batch), int(row), int(column)


def _sha256(labels: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest()


def _size_text(size: tuple[int, int, int]) -> str:
    return "x".join(map(str, size))
