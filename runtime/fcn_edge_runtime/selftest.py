"""The self-test: a file's golden vectors, compared on the device, without PyTorch.

Every pixel that the reference decided must be equal. A session for frames of a fixed size cannot take the
self-test's images: then the test runs on a session for any size with otherwise equal options, and the labels
of both sessions must agree on a computed image of the fixed size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fcn_edge_runtime.errors import ModelError, UsageError, VerificationError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import image_digest, pattern
from fcn_edge_runtime.model.golden_vectors import Golden
from fcn_edge_runtime.session.session import Session, open_session

__all__ = [
    "MOST_FLIPS",
    "CaseReport",
    "SelfTestReport",
    "require_passed",
    "require_trusted",
    "run_selftest",
]

SEED = 1
# Another device, bfloat16 and kernels for known shapes round differently. The limit is that of an export's
# verdict.
MOST_FLIPS = 0.005
# A test that decides fewer pixels shows nothing: of any network some pixels are close calls, not nearly all.
LEAST_DECIDED = 0.01


class Runs(Protocol):
    """What the self-test needs of a session."""

    @property
    def provider(self) -> str:
        """The provider, by onnxruntime's name."""

    def run(self, image: np.ndarray, outputs: list[str] | None = None) -> dict[str, np.ndarray]:
        """Run a batch and return the named outputs."""


@dataclass(frozen=True)
class CaseReport:
    """The result of one case.

    Attributes:
        size: (batch, height, width).
        decided: pixels that were compared.
        wrong: pixels among them that differ.
        worst: (batch, y, x, got, expected) of the first wrong pixel; None if there is none.
    """

    size: tuple[int, int, int]
    decided: int
    wrong: int
    worst: tuple[int, int, int, int, int] | None


@dataclass(frozen=True)
class SelfTestReport:
    """The result of a self-test.

    Attributes:
        provider: onnxruntime's name of the provider that ran it.
        cases: one report for each case.
        distinct: distinct labels among the decided pixels of all cases.
    """

    provider: str
    cases: tuple[CaseReport, ...]
    distinct: int

    @property
    def passed(self) -> bool:
        """Whether every decided pixel is equal, and enough of them are decided."""
        return self.decisive and all(case.wrong == 0 for case in self.cases)

    @property
    def decisive(self) -> bool:
        """Whether the test decides at least 1 % of its pixels."""
        decided = sum(case.decided for case in self.cases)
        return decided >= LEAST_DECIDED * sum(math.prod(case.size) for case in self.cases)

    @property
    def blind(self) -> bool:
        """Whether the test sees fewer than two labels, so that many wrong models would pass it."""
        return self.distinct < 2

    @property
    def worst(self) -> CaseReport:
        """The case with the largest share of wrong pixels."""
        return max(self.cases, key=lambda case: case.wrong / max(case.decided, 1))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "passed": self.passed,
            "blind": self.blind,
            "provider": self.provider,
            "distinct_labels": self.distinct,
            "cases": [
                {
                    "size": list(case.size),
                    "decided": case.decided,
                    "wrong": case.wrong,
                    "worst": None
                    if case.worst is None
                    else dict(zip(("batch", "y", "x", "got", "expected"), case.worst, strict=True)),
                }
                for case in self.cases
            ],
        }


def run_selftest(session: Runs, card: Card, golden: Golden) -> SelfTestReport:
    """Run every case on the session and compare the decided pixels.

    Raises:
        ModelError: the test image differs from the one that was exported, or the labels have the wrong shape.
    """
    reports = []
    seen: set[int] = set()
    for case in golden.cases:
        image = pattern(case.batch, case.height, case.width, card.input.channels, case.seed, card.input)
        if image_digest(image) != case.input_sha256:
            raise ModelError(
                "the self-test's image is not the one that was exported (its SHA-256 differs): export again"
            )
        labels = session.run(image, ["labels"])["labels"]
        if labels.shape != case.labels.shape or labels.dtype != case.labels.dtype:
            raise ModelError(
                f"the model gave labels {labels.shape} {labels.dtype} in its self-test, "
                f"expected {case.labels.shape} {case.labels.dtype}: export again"
            )
        decided = case.labels != card.unlabeled
        # A label that is not a class is wrong everywhere, also where the decision was close; but a file may
        # leave such a pixel unlabeled, if it does so at all.
        foreign = labels >= len(card.classes)
        if card.unlabeled_by:
            foreign &= labels != card.unlabeled
        wrong = ((labels != case.labels) & decided) | foreign
        worst = None
        if wrong.any():
            b, y, x = (int(v) for v in np.argwhere(wrong)[0])
            worst = (b, y, x, int(labels[b, y, x]), int(case.labels[b, y, x]))
        seen.update(np.unique(case.labels[decided]).tolist())
        size = (case.batch, case.height, case.width)
        reports.append(CaseReport(size, int(decided.sum()), int(wrong.sum()), worst))
    return SelfTestReport(session.provider, tuple(reports), len(seen))


def require_passed(report: SelfTestReport) -> None:
    """Raise VerificationError, naming the worst case and its first wrong pixel, unless the test passed."""
    if report.passed:
        return
    case = report.worst
    if not report.decisive and not case.wrong:
        pixels = sum(math.prod(case.size) for case in report.cases)
        decided = sum(case.decided for case in report.cases)
        raise VerificationError(
            f"the self-test decides {decided} of {pixels} pixels, expected at least {LEAST_DECIDED:.0%} of "
            "them: it shows nothing; export again"
        )
    b, y, x, got, expected = case.worst or (0, 0, 0, 0, 0)
    batch, height, width = case.size
    raise VerificationError(
        f"the self-test failed on {report.provider}: at {batch}x{height}x{width}, {case.wrong} of "
        f"{case.decided} decided pixels differ from PyTorch, the first at image {b}, row {y}, column {x} "
        f"(label {got}, expected {expected}): do not use this device with this model"
    )


def require_trusted(session: Session, model: ModelFile) -> None:
    """Return if the session gives the labels that the model's self-test expects.

    Raises:
        VerificationError: it does not.
        UsageError: the session's fixed size is smaller than the network takes.
        ModelError, ProviderError: a session fails.
    """
    size = session.options.size
    if size is None:
        require_passed(run_selftest(session, model.card, model.golden))
        return
    smallest = model.card.geometry.smallest_size
    if min(size) < smallest:
        raise UsageError(f"size is {size}, expected at least {smallest} each way for this network")
    options = replace(session.options, size=None, profile_prefix="")
    free = open_session(model, session.device, threads=session.threads, options=options)
    require_passed(run_selftest(free, model.card, model.golden))
    image = pattern(1, *size, model.card.input.channels, SEED, model.card.input)
    labels = [each.run(image, ["labels"])["labels"] for each in (session, free)]
    differing = float(np.mean(labels[0] != labels[1]))
    if differing > MOST_FLIPS:
        raise VerificationError(
            f"on {session.provider}, {100 * differing:.2g} % of the labels change when frames are fixed to "
            f"{size[0]}x{size[1]}: leave the size out"
        )
