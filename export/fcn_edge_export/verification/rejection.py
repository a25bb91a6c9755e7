"""Verification of a file that leaves pixels unlabeled: its plain file passed the verdict, its labels follow.

The plain file's labels and confidence, which the verdict compared with the reference, say what the labels of
the file must be, pixel for pixel. In the self-test, pixels that a device may reject or keep are undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import onnx

from fcn_edge_export.graph.names import CONFIDENCE, LABELS
from fcn_edge_export.graph.reject import rejected
from fcn_edge_export.graph.unlabeled_border import with_border
from fcn_edge_export.verification.cases import Case
from fcn_edge_export.verification.certify import Certified, Reference
from fcn_edge_export.verification.measure import amplitude, labels_digest
from fcn_edge_export.verification.verdict import Verdict
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.golden_vectors import Golden, GoldenCase
from fcn_edge_runtime.selftest import LEAST_DECIDED
from fcn_edge_runtime.session.session import Session, open_session

__all__ = ["certified_with_border", "certified_with_rejection"]


def certified_with_rejection(
    certified: Certified,
    plain: onnx.ModelProto,
    card: Card,
    least: float,
    cases: Sequence[Case],
    reference: Reference,
) -> Certified:
    """What a file that rejects must give, of what its plain file gave.

    Args:
        certified: of the plain file.
        plain: it, with `labels` and `confidence` among its outputs.
        card: of the file, or its draft.
        least: confidence that a label needs.
        cases: the inputs of the verdict.
        reference: of the network.

    Raises:
        UsageError: nearly everything in the self-test would be rejected, which then shows nothing.
    """
    data = plain.SerializeToString()
    sessions = [open_session(data, device) for device in certified.devices]
    verdicts = _relabeled(certified, sessions, cases, partial(_labels, card=card, least=least))
    golden = Golden(
        tuple(
            _golden(case, certified.golden.tau, sessions[0], card, least, reference)
            for case in certified.golden.cases
        ),
        certified.golden.tau,
    )
    decided = sum(int((case.labels != card.unlabeled).sum()) for case in golden.cases)
    if decided < LEAST_DECIDED * sum(case.labels.size for case in golden.cases):
        raise UsageError(
            f"got --reject {least:g}, and this network is less sure at nearly every pixel of the self-test: "
            "give a lower one, or none and `run --threshold`"
        )
    return replace(certified, verdicts=verdicts, golden=golden)


def certified_with_border(
    certified: Certified, plain: onnx.ModelProto, card: Card, crop: int, cases: Sequence[Case]
) -> Certified:
    """What a file that leaves the border unlabeled must give, of what its plain file gave.

    In the self-test the border is undecided as it is: its logits are all 0.

    Args:
        certified: of the plain file.
        plain: it.
        card: of the file, or its draft.
        crop: rows and columns of border, both sides together.
        cases: the inputs of the verdict.
    """
    data = plain.SerializeToString()
    sessions = [open_session(data, device) for device in certified.devices]

    def labels(session: Session, case: Case) -> np.ndarray:
        return with_border(session.run(case.image(), [LABELS])[LABELS], crop, card.unlabeled)

    return replace(certified, verdicts=_relabeled(certified, sessions, cases, labels))


def _relabeled(
    certified: Certified,
    sessions: Sequence[Session],
    cases: Sequence[Case],
    labels: Callable[[Session, Case], np.ndarray],
) -> tuple[Verdict, ...]:
    """The verdicts, with digests of the labels that the file must give instead of those of its plain file."""
    return tuple(
        replace(
            verdict,
            results=tuple(
                replace(result, labels_sha256=labels_digest(labels(session, case)))
                for result, case in zip(verdict.results, cases, strict=True)
            ),
        )
        for verdict, session in zip(certified.verdicts, sessions, strict=True)
    )


def _labels(session: Session, case: Case, card: Card, least: float) -> np.ndarray:
    got = session.run(case.image(), [LABELS, CONFIDENCE])
    return rejected(got[LABELS], got[CONFIDENCE], least, card.unlabeled)


def _golden(
    case: GoldenCase, tau: float, session: Session, card: Card, least: float, reference: Reference
) -> GoldenCase:
    """A case whose pixels are decided where every device keeps them: softmax is 1/2-Lipschitz."""
    image = pattern(case.batch, case.height, case.width, card.input.channels, case.seed, card.input)
    confidence = session.run(image, [CONFIDENCE])[CONFIDENCE]
    close = confidence < least + tau * amplitude(reference(image))
    return replace(case, labels=rejected(case.labels, np.where(close, 0, 1), 0.5, card.unlabeled))
