"""Calibration frames, checked before the work starts: bad frames give bad ranges.

No more pixels are calibrated on than ranges need. Of many frames some are taken, evenly spaced in their
order; of a frame of more than `MOST_PIXELS` a part of that size, cut out where the frame's digest says.
A part has the pixels that the network will see, a smaller copy has others. Measured with `corridor` on
frames of 1440x1920, every layer in integers: 96.96 % of the labels were the parent's after cutting, 96.82 %
after shrinking, and 96.88 % with whole frames, which took two and a half times as long. 24 frames gave no
more than 8 did.

Each frame is read when it is needed and not kept, so that memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.verification.cases import Case, frame_cases
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.frames import Frames, evenly
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_input import image_digest
from fcn_edge_runtime.progress import Progress, tracked

__all__ = ["FITTED_PIXELS", "MOST_PIXELS", "FrameSet", "cut", "inspect_frames"]

Array = npt.NDArray[Any]

FEW = 16
HELD_OUT = 4  # where no frames to verify on are given, every 4th is held out from calibration
MOST_CALIBRATED = 36
MOST_HELD_OUT = 12
MOST_PIXELS = 1 << 20  # of a frame, as the network sees it
MOST_FITTED, FITTED_PIXELS = 8, 1 << 18  # all of these are in memory at a time
PLACES = ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))  # of a part: half the margin above it, and left of it


@dataclass(frozen=True)
class FrameSet:
    """Frames that can be segmented, split into those to calibrate on and those to verify on.

    Attributes:
        calibrated: cases to learn ranges from, of `MOST_PIXELS` at most, in the order of their digests.
        fitted: a few of them, of `FITTED_PIXELS` at most, to fit weights to and to rank layers on.
        held_out: cases to compare the int8 file with its parent on, of their own size; none of them is among
            the calibrated.
        given: how many frames there were to choose from.
        digest: SHA-256 over the sorted digests of the calibrated frames: the same frames give the same.
        size: (height, width) of the largest frame.
        warnings: (name, what is doubtful) of everything doubtful.
    """

    calibrated: tuple[Case, ...]
    fitted: tuple[Case, ...]
    held_out: tuple[Case, ...]
    given: int
    digest: str
    size: tuple[int, int]
    warnings: tuple[tuple[str, str], ...]

    @property
    def used(self) -> int:
        """How many of the frames given are used."""
        return len(self.calibrated) + len(self.held_out)

    def blank(self, card: Card) -> Array:
        """A black image (1, H, W, C) of the size of the largest frame, to count the work for."""
        return np.zeros((1, *self.size, card.input.channels), card.input.dtype)


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
    """Choose frames, read each of them once, and split them.

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
    count = len(calibration) + len(images or {})
    calibration = evenly(calibration, MOST_CALIBRATED + (MOST_HELD_OUT if images is None else 0))
    cases = [*frame_cases(calibration, card), *frame_cases(evenly(images or {}, MOST_HELD_OUT), card)]
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
    return _frame_set(given, others, count, card)


def cut(case: Case, card: Card, most: int, place: int = 0) -> Case:
    """A part of a case: the whole where the network sees at most so many pixels of it.

    Args:
        case: one image (1, H, W, C).
        card: of the model, which may work at a fraction of the image's size. At a fixed working size every
            image is as large, and a part would be seen enlarged: nothing is cut.
        most: pixels that the network may see.
        place: which of the `PLACES` in the image.
    """
    working = card.working_size
    if working is not None and working.size is not None:
        return case
    row, column = PLACES[place % len(PLACES)]

    def part() -> Array:
        image = case.image()
        height, width = image.shape[1:3]
        seen = (height, width) if working is None else working.of(height, width)
        share = sqrt(most / (seen[0] * seen[1]))
        if share >= 1:
            return image
        sides = (max(int(side * share), card.geometry.smallest_size) for side in (height, width))
        tall, wide = (min(side, whole) for side, whole in zip(sides, (height, width), strict=True))
        top, left = (height - tall) * row // 2, (width - wide) * column // 2
        return np.ascontiguousarray(image[:, top : top + tall, left : left + wide])

    return Case(case.name, part)


def _part(frame: _Inspected, card: Card, most: int) -> Case:
    return cut(frame.case, card, most, int(frame.digest[:4], 16))


def _frame_set(given: Sequence[_Inspected], others: Sequence[_Inspected], count: int, card: Card) -> FrameSet:
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
    in_order = sorted(given, key=lambda frame: frame.digest)  # so that the same frames give the same file
    return FrameSet(
        calibrated=tuple(_part(frame, card, MOST_PIXELS) for frame in in_order),
        fitted=tuple(_part(frame, card, FITTED_PIXELS) for frame in in_order[:MOST_FITTED]),
        held_out=tuple(frame.case for frame in others),
        given=count,
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        size=max(frame.size for frame in (*given, *others)),
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
