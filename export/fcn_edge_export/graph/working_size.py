"""The working size: the network looks at a smaller image than it is given, and labels the given one.

    image --normalize, antialiased resize--> working image --network--> scores --upsample--> logits

A fraction such as `0.5x` follows the image; a size such as `240x320` is the same for every image. No side of
a working image is below the smallest that the network takes. The card's notes say what a file does:

    working_size      "0.5x" or "240x320", and "0.5x, at least 33" where the network takes no smaller side
    working_scores    "network": the network's scores at the working size are upsampled to the image;
                      "coarse": the network ends in bilinear upsampling, which goes straight to the image
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from fcn_edge_export.graph.nodes import Nodes
from fcn_edge_runtime._sizes import parse_size, size_text
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, Geometry

__all__ = ["WorkingSize", "noted", "working_size_of"]

SIZE_NOTE, SCORES_NOTE = "working_size", "working_scores"
NETWORK, COARSE = "network", "coarse"
LARGEST_SIDE = 4096
EXPECTED = "a fraction from 0.05x to below 1x, such as 0.5x, or HEIGHTxWIDTH up to 4096x4096, such as 240x320"
_FRACTION = re.compile(r"(0?\.[0-9]{1,4})x")
_NOTE = re.compile(r"([0-9.x]+)(?:, at least ([1-9][0-9]{0,4}))?")


@dataclass(frozen=True)
class WorkingSize:
    """How large an image the network looks at.

    Attributes:
        fraction: of the image's height and width; None for a size of its own.
        size: (height, width) for every image; None for a fraction.
        least: the smallest side the network takes.
        coarse: whether the network's own last upsampling goes straight to the image, see the module.
    """

    fraction: Fraction | None
    size: tuple[int, int] | None
    least: int = 1
    coarse: bool = False

    @classmethod
    def parse(cls, text: str) -> WorkingSize:
        """What a user writes: `0.5x` or `240x320`.

        Raises:
            UsageError: anything else, no pixels at all, more than the image has (`2x`), or too many.
        """
        wanted = text.strip().lower()
        share = _FRACTION.fullmatch(wanted)
        if share is not None and Fraction(share[1]) >= Fraction(1, 20):
            return cls(Fraction(share[1]), None)
        with contextlib.suppress(UsageError):
            size = parse_size(wanted)
            if max(size) <= LARGEST_SIDE:
                return cls(None, size)
        raise UsageError(f"got the working size {text!r}, expected {EXPECTED}")

    @property
    def text(self) -> str:
        """As a user writes it."""
        if self.size is not None:
            return size_text(self.size)
        return f"{float(self.fraction or 0):g}x"

    def fitted(self, least: int) -> WorkingSize:
        """The same for a network that takes sides of at least `least`.

        Raises:
            UsageError: a fixed size below that.
        """
        if self.size is not None and min(self.size) < least:
            raise UsageError(
                f"got the working size {self.text}, expected sides of at least {least}: "
                "the network takes none smaller"
            )
        return replace(self, least=least)

    def of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the working image: rounded to the nearest, halves up."""
        if self.size is not None:
            return self.size
        up, down = self._ratio
        return (
            max(self.least, (2 * height * up + down) // (2 * down)),
            max(self.least, (2 * width * up + down) // (2 * down)),
        )

    @property
    def _ratio(self) -> tuple[int, int]:
        fraction = self.fraction or Fraction(1)
        return fraction.numerator, fraction.denominator

    def add(self, out: Nodes, size: str) -> str:
        """Add what computes `of` in the graph, of [height, width], and give its name."""
        if self.size is not None:
            return out.constant("working/size", np.array(self.size, np.int64))
        up, down = self._ratio
        grown = out.add(
            "Mul", [size, out.constant("working/up", np.array([2 * up], np.int64))], "fcn_edge/working/grown"
        )
        half = out.add(
            "Add",
            [grown, out.constant("working/half", np.array([down], np.int64))],
            "fcn_edge/working/half_up",
        )
        shrunk = out.add(
            "Div",
            [half, out.constant("working/down", np.array([2 * down], np.int64))],
            "fcn_edge/working/shrunk",
        )
        least = out.constant("working/least", np.array([self.least], np.int64))
        return out.add("Max", [shrunk, least], "fcn_edge/working/size")

    def geometry(self, network: Geometry) -> Geometry:
        """What the whole file does to space, given what the network does.

        Of a fraction in pixels of the image, where the two resizings reach one working pixel each way, too.
        Of a fixed size in pixels of the working image, since how large one is depends on the image.
        """
        inner = replace(network, smallest_size=1)
        if self.fraction is None:
            return inner
        return replace(
            inner,
            stride=ceil(network.stride / self.fraction),
            receptive_field=ceil((network.receptive_field + 3) / self.fraction),
        )


def noted(card: Card, working: WorkingSize | None) -> Card:
    """The card with its notes on the working size, and none where there is none."""
    notes = {k: v for k, v in card.notes.items() if k not in (SIZE_NOTE, SCORES_NOTE)}
    if working is None:
        return replace(card, notes=notes)
    least = f", at least {working.least}" if working.least > 1 else ""
    notes |= {SIZE_NOTE: working.text + least, SCORES_NOTE: COARSE if working.coarse else NETWORK}
    return replace(card, notes=notes)


def working_size_of(card: Card) -> WorkingSize | None:
    """The working size of a file with this card; None where the network sees the image as it is.

    Raises:
        UsageError: the notes on it are not ours.
    """
    notes: Mapping[str, Any] = card.notes
    if SIZE_NOTE not in notes:
        return None
    match = _NOTE.fullmatch(notes[SIZE_NOTE])
    if match is None:
        raise UsageError(f"got the working size {notes[SIZE_NOTE]!r} on the card, expected {EXPECTED}")
    found = WorkingSize.parse(match[1])
    return replace(found, least=int(match[2] or 1), coarse=notes.get(SCORES_NOTE) == COARSE)
