"""The frames on which variants of a model are compared, and their labels and times on these."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.benchmark.frames import frames_for, resampled
from fcn_edge_runtime.benchmark.latency import Latency, latency_of
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.evaluation.labels import LabelSource, labels_of
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of
from fcn_edge_runtime.imaging.frames import FrameSource, Read, evenly, frames_of
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.session.session import Session
from fcn_edge_runtime.timing import interleaved

__all__ = ["Scene", "scene_of", "times_of"]

Array = npt.NDArray[Any]

MOST_FRAMES = 16  # every other one to compare labels on, the rest to calibrate on
FEWEST, MOST = 5, 200  # rounds


@dataclass(frozen=True)
class Scene:
    """What variants are compared on.

    Attributes:
        frames: (H, W, C) each.
        truth: their true labels (H, W), in the same order; empty where none are given.
        calibration: other frames, to calibrate int8 on; the same where there are no others.
        classes: how many the model has.
        warnings: reasons to doubt the comparison.
    """

    frames: Sequence[Array]
    truth: Sequence[Array]
    calibration: Sequence[Array]
    classes: int
    warnings: tuple[str, ...] = ()

    def affordable(self, session: Session, seconds: float) -> Scene:
        """The same with so few frames, two at least, that the session labels them in about this time."""
        session.run(self.frames[0][None], ["labels"])  # the first run allocates memory
        begun = time.perf_counter()
        session.run(self.frames[0][None], ["labels"])
        count = max(2, int(seconds / (time.perf_counter() - begun)))
        return replace(
            self,
            frames=self.frames[:count],
            truth=self.truth[:count],
            calibration=self.calibration[:count],
        )

    def labels(self, session: Session) -> list[Array]:
        """The labels (H, W) of each frame."""
        return [session.run(frame[None], ["labels"])["labels"][0] for frame in self.frames]

    def mean_iou(self, labels: Sequence[Array]) -> float | None:
        """Over all frames; None without true labels."""
        if not self.truth:
            return None
        pairs = zip(self.truth, labels, strict=True)
        counts = [confusion_matrix(known, got, self.classes) for known, got in pairs]
        return scores_of(np.sum(counts, axis=0)).mean_iou


def scene_of(
    card: Card, images: FrameSource, labels: LabelSource | None, size: tuple[int, int] | None
) -> Scene:
    """Read frames, evenly spaced in their order.

    Args:
        card: of the model.
        images: see `frames_of`.
        labels: see `labels_of`; None without.
        size: (height, width) that frames and labels are resampled to; None keeps their own.

    Raises:
        UsageError: a size smaller than the network takes.
        InputError: no images, one without labels, or one that cannot be segmented.
    """
    smallest = card.geometry.smallest_size
    if size is not None and min(size) < smallest:
        raise UsageError(f"got the size {size_text(size)}, expected at least {smallest} each way")
    known = frames_of(images, card)
    if not known:
        raise InputError("got no images to measure on, expected some of what the camera sees")
    truth = None if labels is None else labels_of(labels, images, list(known), card)
    some = evenly(known, MOST_FRAMES)
    shown = dict(list(some.items())[1::2]) or some
    others = {name: read for name, read in some.items() if name not in shown} or shown
    frames = frames_for(card, size, shown)
    warnings = []
    original = next(iter(shown.values()))().shape[:2]
    if size is not None and original != size:
        warnings.append(
            f"the images are {size_text(original)}, resampled to {size_text(size)}: frames of the camera's "
            "own size tell more about labels"
        )
    if len(some) < MOST_FRAMES:
        warnings.append(f"labels are compared on {len(frames)} frames: give {MOST_FRAMES} images or more")
    masks = [] if truth is None else _masks(truth, list(shown), size)
    for name, mask, frame in zip(shown, masks, frames, strict=False):
        if mask.shape != frame.shape[:2]:
            got, expected = size_text(mask.shape), size_text(frame.shape[:2])
            raise InputError(f"the labels of {name} have {got} pixels, the image has {expected}")
    return Scene(frames, masks, frames_for(card, size, others), len(card.classes), tuple(warnings))


def _masks(truth: Mapping[str, Read], names: Sequence[str], size: tuple[int, int] | None) -> list[Array]:
    """The true labels of the frames, at their size."""
    missing = [name for name in names if name not in truth]
    if missing:
        raise InputError(f"{missing[0]} has no labels, expected some for every image")
    masks = [truth[name]() for name in names]
    return masks if size is None else [resampled(mask, size) for mask in masks]


def times_of(
    sessions: Sequence[Session], frames: Sequence[Array], seconds: float, progress: Progress | None = None
) -> list[Latency]:
    """The time of a frame in each session, in rounds in which each segments the same frame."""

    def next_frame(session: Session) -> Callable[[], object]:
        source = itertools.cycle(frames)
        return lambda: session.run(next(source)[None], ["labels"])

    turns = interleaved(
        [next_frame(session) for session in sessions],
        seconds=seconds,
        fewest=FEWEST,
        most=MOST,
        progress=progress,
    )
    return [latency_of(times) for times in turns.seconds.T]
