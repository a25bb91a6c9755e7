"""Calibration frames, checked before the work starts: bad frames give bad ranges.

Each frame is read when it is needed and not kept, so that memory does not grow with their number.
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

__all__ = ["FrameSet", "Frames", "inspect_frames"]

Frames = Mapping[str, Callable[[], npt.NDArray[Any]]]

FEW = 16
HELD_OUT = 4  # where no frames to verify on are given, every 4th is held out from calibration


@dataclass(frozen=True)
class FrameSet:
    """Frames that can be segmented, split into those to calibrate on and those to verify on.

    Attributes:
        calibrated: cases to learn ranges from.
        held_out: cases to compare the int8 file with its parent on; none of them is among the calibrated.
        digest: SHA-256 over the sorted digests of the calibrated frames: the same frames give the same.
        size: (height, width) of the first calibrated frame.
        warnings: (name, what is doubtful) of everything doubtful.
    """

    calibrated: tuple[Case, ...]
    held_out: tuple[Case, ...]
    digest: str
    size: tuple[int, int]
    warnings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Inspected:
    """What is known of a frame that was read once."""

    case: Case
    digest: str
    size: tuple[int, int]
    flat: bool


def inspect_frames(
    calibration: Frames,
    images: Frames | None,
    card: Card,
    progress: Progress | None = None,
) -> FrameSet:
    """Read every frame once, and split them.

    Args:
        calibration: frames to calibrate on: name -> what reads it, (H, W, C) in the card's dtype.
        images: frames to verify on; None holds out every 4th calibration frame for that.
        card: of the model.
        progress: receives how many frames were read.

    Raises:
        InputError: there are too few to calibrate on some and verify on others; one cannot be segmented;
            all are flat; or one to verify on is among those to calibrate on.
    """
    if not calibration:
        raise InputError("got no calibration frames, expected a few dozen of what the model will see")
    cases = [*frame_cases(calibration, card), *frame_cases(images or {}, card)]
    inspected = [_inspect(case) for case in tracked(cases, progress)]
    given, others = inspected[: len(calibration)], inspected[len(calibration) :]
    given = list({frame.digest: frame for frame in given}.values())
    if all(frame.flat for frame in given):
        raise InputError(
            f"all {len(given)} different calibration frames are of one flat color (a covered lens?), "
            "expected images of what the model will see"
        )
    if images is None:
        if len(given) < 2:
            raise InputError(
                "got one calibration frame, expected at least two: one to calibrate on, and another "
                "to verify on (a few dozen are better), or --images with frames to verify on"
            )
        others = given[1::HELD_OUT]
        given = [frame for frame in given if frame not in others]
        if all(frame.flat for frame in given):
            raise InputError("all frames left to calibrate on are of one flat color: add other images")
    return _frame_set(given, others)


def _frame_set(given: Sequence[_Inspected], others: Sequence[_Inspected]) -> FrameSet:
    if not others:
        raise InputError("got no frames to verify on, expected some that were not calibrated on")
    known = {frame.digest for frame in given}
    seen = next((frame for frame in others if frame.digest in known), None)
    if seen is not None:
        raise InputError(
            f"{seen.case.name} is to be verified on but is among the calibration frames, too: "
            "verify on frames that were not calibrated on"
        )
    digests = sorted(known)
    return FrameSet(
        calibrated=tuple(frame.case for frame in given),
        held_out=tuple(frame.case for frame in others),
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        size=given[0].size,
        warnings=tuple(_warnings(given)),
    )


def _warnings(given: Sequence[_Inspected]) -> list[tuple[str, str]]:
    found = []
    if len(given) < FEW:
        found.append(
            ("few-frames", f"calibrated on {len(given)} frames, {FEW} or more of different scenes are better")
        )
    flat = [frame.case.name for frame in given if frame.flat]
    if flat:
        found.append(("flat-frames", f"{len(flat)} frames are of one flat color, the first is {flat[0]}"))
    sizes = {frame.size for frame in given}
    if len(sizes) > 1:
        found.append(
            ("mixed-sizes", f"frames of {len(sizes)} sizes, each is calibrated on at its own: one is better")
        )
    return found


def _inspect(case: Case) -> _Inspected:
    image = case.image()
    height, width = image.shape[1:3]
    return _Inspected(
        case, image_digest(image), (height, width), bool(np.ptp(image, axis=(0, 1, 2)).max() == 0)
    )
