"""The gate of files of lower precision: compared with their float parent, itself verified against PyTorch.

    run, shape, finite   on every input
    head                 labels == argmax(the file's own logits), on every input
    agreement            share of the frames' pixels that get the parent's label: at least `least`
    accuracy             where labels are given: mean IoU at most half a point below the parent's

Agreement is required on frames, which are what the model is for; on the self-test's patterns it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS, LOGITS
from fcn_edge_export.verification.case_result import BrokenRule, broken_head, run_case
from fcn_edge_export.verification.cases import Case
from fcn_edge_export.verification.measure import Measurement, Outputs
from fcn_edge_export.verification.verdict import Verdict
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import InputError, VerificationError
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of
from fcn_edge_runtime.progress import Progress, tracked
from fcn_edge_runtime.session.session import Session

__all__ = ["CALIBRATE", "MOST_LOST", "Gate", "logits_of", "run_gate", "truth_of"]

Array = npt.NDArray[Any]

MOST_LOST = 0.005  # of mean IoU
CALIBRATE = "calibrate on more frames like those, or with another --method"


@dataclass(frozen=True)
class Gate:
    """What the gate measured.

    Attributes:
        verdict: each input's result, as for fp32 files; the reference is the parent.
        agreement: share of all frames' pixels that get the parent's label.
        worst_frame: the frame with the lowest agreement, and that agreement.
        parent_iou: mean IoU of the parent where labels were given.
        iou: the same of the file.
        most_lost: how much of the mean IoU may be lost.
        least: what the agreement must be.
    """

    verdict: Verdict
    agreement: float
    worst_frame: tuple[str, float]
    least: float
    parent_iou: float | None = None
    iou: float | None = None
    most_lost: float = MOST_LOST

    @property
    def agrees(self) -> bool:
        """Whether enough of the frames' labels are the parent's, and the accuracy is kept."""
        lost = 0.0 if self.iou is None or self.parent_iou is None else self.parent_iou - self.iou
        return self.agreement >= self.least and lost <= self.most_lost

    @property
    def mean_iou(self) -> tuple[float, float] | None:
        """Of (parent, file), where labels were given."""
        return None if self.parent_iou is None or self.iou is None else (self.parent_iou, self.iou)

    @property
    def text(self) -> str:
        """What was measured, in a line."""
        name, share = self.worst_frame
        line = f"{100 * self.agreement:.3f} % of the labels are the parent's, "
        line += f"worst {100 * share:.2f} % on {name}"
        if self.mean_iou is not None:
            line += f"; mean IoU {self.mean_iou[0]:.4f} -> {self.mean_iou[1]:.4f}"
        return line

    def require(self, fix: str = CALIBRATE) -> None:
        """Raise unless the file passed; `fix` is what to do where it does not agree.

        Raises:
            VerificationError: it failed; got, expected, and the worst frame in one line.
        """
        failed = [r for r in self.verdict.results if r.failure]
        if failed:
            worst = failed[0]
            size = size_text(worst.size)
            raise VerificationError(
                f"gate: {len(failed)} of {len(self.verdict.results)} inputs fail on {self.verdict.provider}; "
                f"the first at {worst.name} {size}, rule '{worst.failure}': {worst.detail}"
            )
        if self.agreement < self.least:
            name, share = self.worst_frame
            raise VerificationError(
                f"gate: {100 * self.agreement:.3f} % of the labels are the parent's, expected at least "
                f"{100 * self.least:g} %; worst on {name} ({100 * share:.2f} %): {fix}"
            )
        if not self.agrees:
            raise VerificationError(
                f"gate: mean IoU falls from {self.parent_iou:.4f} to {self.iou:.4f}, expected a loss of at "
                f"most {self.most_lost:g}: {fix}"
            )


def logits_of(session: Session) -> Callable[[Array], npt.NDArray[np.float32]]:
    """The session of a probe as a reference: images (N, H, W, C) -> logits (N, K, H, W) float32."""
    return lambda image: np.asarray(session.run(image, [LOGITS])[LOGITS])


def run_gate(
    parent: Session,
    probe: Session,
    patterns: Sequence[Case],
    frames: Sequence[Case],
    *,
    least: float,
    classes: int,
    truth: Mapping[str, Callable[[], Array]] | None = None,
    progress: Progress | None = None,
) -> Gate:
    """Compare a probe with its parent's probe.

    Args:
        parent: session of the float file with `logits` among its outputs.
        probe: the same of the file to verify.
        patterns: inputs at which the rules must hold, but not the agreement.
        frames: inputs at which the agreement is counted, too.
        least: share of the frames' pixels that must get the parent's label, 0..1.
        classes: how many the card names.
        truth: labels (H, W) of frames, by the frames' names.
        progress: receives how many inputs are done.
    """
    results = []
    weights = []
    totals = np.zeros((2, classes, classes + 1), np.int64)
    truth = truth or {}

    def outputs_of_parent(image: Array) -> Outputs:
        return parent.run(image, [LABELS, LOGITS])

    for case in tracked((*patterns, *frames), progress):
        image = case.image()
        run = run_case(case.name, image, outputs_of_parent, "the parent", probe, _broken_rules)
        results.append(run.result)
        labels = [] if run.outputs is None else [side[LABELS] for side in run.outputs]
        weights.append(labels[0].size if labels else 0)
        if labels and case.name in truth:
            known = truth_of(truth[case.name], case.name, image.shape[1:3])
            totals += np.stack([confusion_matrix(known, side, classes) for side in labels])
    counted = list(zip(results, weights, strict=True))[len(patterns) :]
    pixels = sum(weight for _, weight in counted)
    agreed = sum(result.agreement * weight for result, weight in counted)
    worst = min((result for result, _ in counted), key=lambda r: r.agreement)
    scored = bool(totals.any())
    return Gate(
        Verdict(probe.provider, tuple(results)),
        agreement=agreed / pixels if pixels else 0.0,
        worst_frame=(worst.name, worst.agreement),
        least=least,
        parent_iou=scores_of(totals[0]).mean_iou if scored else None,
        iou=scores_of(totals[1]).mean_iou if scored else None,
    )


def truth_of(read: Callable[[], Array], name: str, size: tuple[int, ...]) -> Array:
    """The true labels (1, H, W) of a frame.

    Raises:
        InputError: they are not of the frame's size (height, width).
    """
    known = read()
    if known.shape != size:
        got, expected = size_text(known.shape), size_text(size)
        raise InputError(
            f"the labels of {name} have {got} pixels, the image has {expected}: expected equal sizes"
        )
    return known[None]


def _broken_rules(_: Outputs, got: Outputs, __: Measurement) -> Iterator[BrokenRule]:
    """A lowered file may differ from its parent at any pixel; its own labels must follow its own logits."""
    yield from broken_head(got)
