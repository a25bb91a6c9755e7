"""Calibration frames: looked at once before the work starts, since what is learned from bad ones is bad.

Frames are read when their turn comes and never kept, so their number costs time alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.verification.cases import Case, frame_cases
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_input import image_digest
from fcn_edge_runtime.progress import Progress, tracked

__all__ = ["FrameSet", "Frames", "look_at"]

Frames = Mapping[str, Callable[[], npt.NDArray[Any]]]

FEW = 16
JUDGED = 4  # where no frames to judge on are given, every 4th is kept from calibration


@dataclass(frozen=True)
class FrameSet:
    """Frames that can be segmented, split into those calibrated on and those judged on.

    Attributes:
        calibrated: cases to learn ranges from.
        judged: cases to hold the integers against the parent on; none of them is among the calibrated.
        digest: SHA-256 over the sorted digests of the calibrated frames: the same frames give the same.
        size: (height, width) of the first calibrated frame.
        warnings: (name, what is doubtful) of everything noticed.
    """

    calibrated: tuple[Case, ...]
    judged: tuple[Case, ...]
    digest: str
    size: tuple[int, int]
    warnings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Look:
    """What one look at a frame told."""

    case: Case
    digest: str
    size: tuple[int, int]
    flat: bool


def look_at(
    calibration: Frames,
    images: Frames | None,
    card: Card,
    progress: Progress | None = None,
) -> FrameSet:
    """Look at every frame once, and split them.

    Args:
        calibration: frames to calibrate on: name -> what reads it, (H, W, C) in the card's dtype.
        images: frames to judge on; None keeps every 4th calibration frame for that.
        card: of the model.
        progress: receives how many frames were looked at.

    Raises:
        InputError: there are none, or too few to judge on others than those calibrated on; one cannot be
            segmented; all are flat; or one to judge on is among those to calibrate on.
    """
    if not calibration:
        raise InputError("got no calibration frames, expected some dozens of what the model will see")
    cases = [*frame_cases(calibration, card), *frame_cases(images or {}, card)]
    looks = [_look(case) for case in tracked(cases, progress)]
    given, others = looks[: len(calibration)], looks[len(calibration) :]
    given = list({look.digest: look for look in given}.values())
    if all(look.flat for look in given):
        raise InputError(
            f"all {len(given)} different calibration frames are of one flat color (a covered lens?), "
            "expected pictures of what the model will see"
        )
    if images is None:
        if len(given) < 2:
            raise InputError(
                "got one calibration frame, expected at least two: one to calibrate on, and another "
                "to judge on (some dozens are better), or --images with frames to judge on"
            )
        others = given[1::JUDGED]
        given = [look for look in given if look not in others]
        if all(look.flat for look in given):
            raise InputError("all frames left to calibrate on are of one flat color: add other pictures")
    return _frame_set(given, others)


def _frame_set(given: Sequence[_Look], others: Sequence[_Look]) -> FrameSet:
    if not others:
        raise InputError("got no frames to judge on, expected some that were not calibrated on")
    known = {look.digest for look in given}
    seen = next((look for look in others if look.digest in known), None)
    if seen is not None:
        raise InputError(
            f"{seen.case.name} is to be judged on but is among the calibration frames, too: "
            "judge on frames that were not calibrated on"
        )
    digests = sorted(known)
    return FrameSet(
        calibrated=tuple(look.case for look in given),
        judged=tuple(look.case for look in others),
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        size=given[0].size,
        warnings=tuple(_doubts(given)),
    )


def _doubts(given: Sequence[_Look]) -> list[tuple[str, str]]:
    doubts = []
    if len(given) < FEW:
        doubts.append(
            ("few-frames", f"calibrated on {len(given)} frames, {FEW} or more of different scenes are better")
        )
    flat = [look.case.name for look in given if look.flat]
    if flat:
        doubts.append(("flat-frames", f"{len(flat)} frames are of one flat color, the first is {flat[0]}"))
    sizes = {look.size for look in given}
    if len(sizes) > 1:
        doubts.append(
            ("mixed-sizes", f"frames of {len(sizes)} sizes, each is calibrated on at its own: one is better")
        )
    return doubts


def _look(case: Case) -> _Look:
    image = case.image()
    height, width = image.shape[1:3]
    return _Look(case, image_digest(image), (height, width), bool(np.ptp(image, axis=(0, 1, 2)).max() == 0))
