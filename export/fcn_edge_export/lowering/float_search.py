"""The layers that stay in float for the sake of agreement: the fewest, of those that integers damage most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.calibration import FrameSet, cut
from fcn_edge_export.lowering.gate import MOST_LOST, truth_of
from fcn_edge_export.lowering.lower import Parent
from fcn_edge_export.lowering.prepared import Prepared
from fcn_edge_export.lowering.roundings import Rounding, roundings_of
from fcn_edge_export.lowering.sensitivity import (
    LayerDamage,
    damages_of,
    logits_of_frames,
    ranked_groups,
    shares_of,
)
from fcn_edge_runtime.errors import VerificationError
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of
from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.session import Session, SessionOptions, open_session

__all__ = ["RANKED_ON", "RANKED_PIXELS", "FloatSearch", "most_passes"]

Array = npt.NDArray[Any]

RANKED_ON = 4  # calibrated frames that the damage of a layer is measured on
RANKED_PIXELS = 1 << 16  # of each


@dataclass(frozen=True)
class FloatSearch:
    """Finds the layers that must be kept in float for the frames to agree.

    Attributes:
        parent: the float file.
        whole: what is quantized.
        frames: calibrated and held out.
        least: share of the held-out frames' labels that must be the parent's, 0..1.
        truth: labels of held-out frames, by name: mean IoU is kept, too.
        progress: receives how many passes of the network are done.
    """

    parent: Parent
    whole: Prepared
    frames: FrameSet
    least: float
    truth: Mapping[str, Callable[[], Array]] | None
    progress: Progress

    def kept_in_float(self) -> tuple[LayerDamage, ...]:
        """The fewest layers, in the order of their rank, with which the frames agree; often none.

        Raises:
            VerificationError: no number of them is enough.
        """
        held_out = len(self.frames.held_out)
        passes = _Passes(self.progress, 2 * held_out)
        expected = _Expected(self, passes)
        whole = expected.score(self._session(()))
        if whole.agrees(self.least):
            return ()
        roundings = roundings_of(self.whole.model, self.whole.body)
        passes.total = most_passes(held_out, len(roundings))
        groups = self._groups(roundings, passes)
        few, enough = 0, len(groups)  # agreement grows with their number, closely enough to bisect
        while enough - few > 1:
            middle = (few + enough) // 2
            kept = tuple(chain(*groups[:middle]))
            agrees = expected.score(self._session(kept)).agrees(self.least)
            few, enough = (few, middle) if agrees else (middle, enough)
        if enough == len(groups):
            raise VerificationError(
                f"gate: {100 * whole.agreement:.3f} % of the labels are the parent's with every layer in "
                f"integers, expected at least {100 * self.least:g} %, and keeping layers in float does "
                "not fix it: calibrate on more frames, or with another --method"
            )
        return tuple(chain(*groups[:enough]))

    def _session(self, kept: Sequence[LayerDamage]) -> Session:
        names = {layer.name for layer in kept}
        int8 = self.whole.in_integers(names)
        return open_session(int8.SerializeToString(), "cpu", options=SessionOptions(config=exact_integers()))

    def _groups(self, roundings: Sequence[Rounding], passes: _Passes) -> list[tuple[LayerDamage, ...]]:
        """Ranked on calibrated frames, so that the held-out ones decide only how many are kept in float."""
        model, body = self.whole.model, self.whole.body
        some = [cut(case, self.parent.card, RANKED_PIXELS) for case in self.frames.fitted[:RANKED_ON]]
        images = [case.image() for case in some]

        def logits_with(rounding: Rounding) -> list[Array]:
            found = logits_of_frames(with_logits_output(self.whole.alone(rounding)), images)
            passes.add(len(images))
            return found

        expected = logits_of_frames(with_logits_output(model), images)
        damages = damages_of(roundings, expected, logits_with)
        return ranked_groups(roundings, damages, shares_of(model, body, images[0]))


def most_passes(held_out: int, roundings: int) -> int:
    """How many passes of the network a search takes in which layers must stay in float."""
    return 2 * held_out + RANKED_ON * roundings + held_out * roundings.bit_length()


class _Passes:
    """How many passes of the network are done, of how many."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        self.done += count
        self.progress.advance(min(self.done, self.total), self.total)


@dataclass(frozen=True)
class _Score:
    """How well the held-out frames are labeled.

    Attributes:
        agreement: share of the labels that are the parent's, 0..1.
        lost: of the parent's mean IoU, where true labels are given.
    """

    agreement: float
    lost: float

    def agrees(self, least: float) -> bool:
        return self.agreement >= least and self.lost <= MOST_LOST


class _Expected:
    """The parent's labels of the held-out frames, computed once for all trials."""

    def __init__(self, search: FloatSearch, passes: _Passes) -> None:
        self._cases, self._passes = search.frames.held_out, passes
        self._truth = search.truth or {}
        self._classes = len(search.parent.card.classes)
        session = open_session(search.parent.model.SerializeToString(), "cpu")
        self._labels = list(self._labeled(session))

    def score(self, session: Session) -> _Score:
        """Compare the labels of a session with them."""
        equal = pixels = 0
        totals = np.zeros((2, self._classes, self._classes + 1), np.int64)
        for case, expected, got in zip(self._cases, self._labels, self._labeled(session), strict=True):
            equal += int((expected == got).sum())
            pixels += expected.size
            if case.name in self._truth:
                known = truth_of(self._truth[case.name], case.name, expected.shape[1:])
                totals += np.stack([confusion_matrix(known, side, self._classes) for side in (expected, got)])
        lost = 0.0
        if totals.any():
            lost = scores_of(totals[0]).mean_iou - scores_of(totals[1]).mean_iou
        return _Score(equal / pixels, lost)

    def _labeled(self, session: Session) -> Iterator[Array]:
        for case in self._cases:
            yield session.run(case.image(), [LABELS])[LABELS]
            self._passes.add(1)
