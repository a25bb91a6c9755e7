"""The gate of files of lower precision: held against their float parent, which PyTorch vouched for.

    run, shape, finite   on every input
    head                 labels == argmax(the file's own logits), on every input
    agreement            share of the frames' pixels that get the parent's label: at least as much as asked
    accuracy             where labels are given: mean IoU at most half a point below the parent's

Frames are what the model is for; the self-test's patterns are not, so on these agreement is only recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import SCORES
from fcn_edge_export.verification.cases import Case
from fcn_edge_export.verification.head_rule import sparse_outputs, wrong_labels
from fcn_edge_export.verification.verdict import CaseResult, Verdict
from fcn_edge_runtime.errors import FcnEdgeError, InputError, VerificationError
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of
from fcn_edge_runtime.session.session import Session

__all__ = ["MOST_LOST", "Gate", "judge", "logits_of"]

Array = npt.NDArray[Any]

MOST_LOST = 0.005  # of mean IoU


@dataclass(frozen=True)
class Gate:
    """What the gate measured.

    Attributes:
        verdict: each input's result, in the form that fp32 files have, too; the reference is the parent.
        agreement: share of all frames' pixels that get the parent's label.
        worst_frame: the frame with the lowest agreement, and that.
        parent_iou: mean IoU of the parent where labels were given.
        iou: the same of the file.
        most_lost: what of the mean IoU may be lost.
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
        """Whether the frames' labels are the parent's, as far as asked, and no accuracy is lost."""
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

    def require(self) -> None:
        """Do nothing if the file passed.

        Raises:
            VerificationError: it did not; got, expected, and the worst frame in one line.
        """
        failed = [r for r in self.verdict.results if r.failure]
        if failed:
            worst = failed[0]
            size = "x".join(map(str, worst.size))
            raise VerificationError(
                f"gate: {len(failed)} of {len(self.verdict.results)} inputs fail on {self.verdict.provider}; "
                f"the first at {worst.name} {size}, rule '{worst.failure}': {worst.detail}"
            )
        if self.agreement < self.least:
            name, share = self.worst_frame
            raise VerificationError(
                f"gate: {100 * self.agreement:.3f} % of the labels are the parent's, expected at least "
                f"{100 * self.least:g} %; worst on {name} ({100 * share:.2f} %): calibrate on more frames "
                "like those, or with another --method"
            )
        if not self.agrees:
            raise VerificationError(
                f"gate: mean IoU falls from {self.parent_iou:.4f} to {self.iou:.4f}, expected a loss of at "
                f"most {self.most_lost:g}: calibrate on more frames, or with another --method"
            )


def logits_of(session: Session) -> Callable[[Array], npt.NDArray[np.float32]]:
    """The session of a probe as a reference: images (N, H, W, C) -> logits (N, K, H, W) float32."""
    return lambda image: np.asarray(session.run(image, [SCORES])[SCORES])


def judge(
    parent: Session,
    probe: Session,
    patterns: Sequence[Case],
    frames: Sequence[Case],
    *,
    least: float,
    classes: int,
    truth: Mapping[str, Callable[[], Array]] | None = None,
    step: Callable[[], None] = lambda: None,
) -> Gate:
    """Hold a probe against its parent's probe.

    Args:
        parent: session of the float file with `logits` among its outputs.
        probe: the same of the file to judge.
        patterns: inputs at which the rules must hold, but not the agreement.
        frames: inputs at which the agreement is counted, too.
        least: share of the frames' pixels that must get the parent's label, 0..1.
        classes: how many the card names.
        truth: labels (H, W) of frames, by the frames' names.
        step: called after each input.
    """
    results = []
    weights = []
    totals = np.zeros((2, classes, classes + 1), np.int64)
    truth = truth or {}
    for case in (*patterns, *frames):
        image = case.image()
        result, labels = _judge(parent, probe, case.name, image)
        results.append(result)
        weights.append(labels[0].size if labels else 0)
        if labels and case.name in truth:
            known = _truth(truth[case.name], case.name, image)
            totals += np.stack([confusion_matrix(known, said, classes) for said in labels])
        step()
    judged = list(zip(results, weights, strict=True))[len(patterns) :]
    pixels = sum(weight for _, weight in judged)
    agreed = sum(result.agreement * weight for result, weight in judged)
    worst = min((result for result, _ in judged), key=lambda r: r.agreement)
    scored = bool(totals.any())
    return Gate(
        Verdict(probe.provider, tuple(results)),
        agreement=agreed / pixels if pixels else 0.0,
        worst_frame=(worst.name, worst.agreement),
        least=least,
        parent_iou=scores_of(totals[0]).mean_iou if scored else None,
        iou=scores_of(totals[1]).mean_iou if scored else None,
    )


def _truth(read: Callable[[], Array], name: str, image: Array) -> Array:
    known = read()
    if known.shape != image.shape[1:3]:
        got, expected = "x".join(map(str, known.shape)), "x".join(map(str, image.shape[1:3]))
        raise InputError(
            f"the labels of {name} have {got} pixels, the image has {expected}: expected equal sizes"
        )
    return known[None]


def _judge(
    parent: Session, probe: Session, name: str, image: Array
) -> tuple[CaseResult, tuple[Array, Array] | None]:
    """The result, and the labels of both sides where both gave some."""
    batch, height, width = image.shape[:3]
    size = (batch, height, width)
    wanted = ["labels", SCORES]
    expected = parent.run(image, wanted)
    try:
        got = probe.run(image, [*wanted, *sparse_outputs(probe.outputs)])
    except FcnEdgeError as error:
        return CaseResult(name, size, "run", f"onnxruntime stopped: {error}"), None
    if any(got[key].shape != expected[key].shape for key in wanted):
        shapes = f"got labels {got['labels'].shape} and logits {got[SCORES].shape}"
        return CaseResult(name, size, "shape", f"{shapes}, the parent gives {expected[SCORES].shape}"), None
    labels, logits = got["labels"], got[SCORES]
    if not np.isfinite(logits).all():
        return CaseResult(name, size, "finite", "the file gives NaN or Inf"), None
    scores = expected[SCORES]
    off = np.abs(logits - scores)
    wrong = int(wrong_labels(got).sum())
    flips = int((labels != expected["labels"]).sum())
    centered = scores - scores.mean(axis=1, keepdims=True) if scores.shape[1] > 1 else scores
    image_at, row, column = np.unravel_index(int(off.max(axis=1).argmax()), labels.shape)
    result = CaseResult(
        name,
        size,
        "head" if wrong else "",
        f"{wrong} labels are not the argmax of the file's own logits" if wrong else "",
        pixel=(int(image_at), int(row), int(column)),
        error=float(off.max()),
        amplitude=float(np.abs(centered).max()),
        magnitude=float(np.abs(scores).max()),
        flips=flips,
        agreement=1 - flips / labels.size,
        labels_sha256=hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest(),
        labels_seen=tuple(int(v) for v in np.unique(labels)),
    )
    return result, (expected["labels"], labels)
