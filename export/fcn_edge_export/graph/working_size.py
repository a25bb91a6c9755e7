"""The working size: the network looks at a smaller image than it is given, and labels the given one.

    image --normalize, antialiased resize--> working image --network--> logits --upsample--> logits

A fraction such as `0.5x` follows the image; a size such as `240x320` is the same for every image. No side of
a working image is below the smallest that the network takes. A network that ends in bilinear upsampling has
its coarse logits upsampled straight to the image's size (`coarse` on the card); the logits of any other are
upsampled as they are at the working size.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from fcn_edge_runtime._sizes import parse_size
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Geometry, WorkingSize
from fcn_edge_runtime.model.card_facts import MAX_WORKING_SIDE

if TYPE_CHECKING:
    from fcn_edge_export.graph.nodes import Nodes  # brings onnx, which options are parsed without

__all__ = ["add_working_size", "fitted", "parse_working_size", "whole_geometry"]

EXPECTED = (
    "a fraction from 0.05x to below 1x, such as 0.5x, or HEIGHTxWIDTH up to "
    f"{MAX_WORKING_SIDE}x{MAX_WORKING_SIDE}, such as 240x320"
)
LEAST = 2  # onnxruntime's antialiased resize to a width of one pixel gives wrong values
_FRACTION = re.compile(r"(0?\.[0-9]{1,4})x")


def parse_working_size(text: str) -> WorkingSize:
    """The working size that a user writes: `0.5x` or `240x320`.

    Raises:
        UsageError: anything else, a side of no pixels, more than the image has (`2x`), or too many.
    """
    wanted = text.strip().lower()
    share = _FRACTION.fullmatch(wanted)
    if share is not None and Fraction(share[1]) >= Fraction(1, 20):
        return WorkingSize(Fraction(share[1]).as_integer_ratio(), None)
    with contextlib.suppress(UsageError):
        size = parse_size(wanted)
        if max(size) <= MAX_WORKING_SIDE:
            return WorkingSize(None, size)
    raise UsageError(f"got the working size {text!r}, expected {EXPECTED}")


def fitted(working: WorkingSize, least: int) -> WorkingSize:
    """The same for a network that takes sides of at least `least`; never below two pixels.

    Raises:
        UsageError: a fixed size below that.
    """
    least = max(least, LEAST)
    if working.size is not None and min(working.size) < least:
        raise UsageError(
            f"got the working size {working}, expected sides of at least {least}: "
            "smaller ones cannot be worked at"
        )
    return replace(working, least=least)


def add_working_size(working: WorkingSize, out: Nodes, size: str) -> str:
    """Add the nodes that compute `WorkingSize.of` [height, width], and return the name of the result."""
    if working.fraction is None:
        return out.constant("working/size", np.array(working.size, np.int64))
    up, down = working.fraction
    grown = out.add(
        "Mul", [size, out.constant("working/up", np.array([2 * up], np.int64))], "fcn_edge/working/grown"
    )
    half = out.add(
        "Add", [grown, out.constant("working/half", np.array([down], np.int64))], "fcn_edge/working/half_up"
    )
    shrunk = out.add(
        "Div", [half, out.constant("working/down", np.array([2 * down], np.int64))], "fcn_edge/working/shrunk"
    )
    least = out.constant("working/least", np.array([working.least], np.int64))
    return out.add("Max", [shrunk, least], "fcn_edge/working/size")


def whole_geometry(working: WorkingSize, network: Geometry) -> Geometry:
    """What the whole file does to space, given what the network does.

    For a fraction in pixels of the image, including the two resizings, each of which reaches one working
    pixel further on either side. For a fixed size in pixels of the working image, since how large one is
    depends on the image.
    """
    inner = replace(network, smallest_size=1)
    if working.fraction is None:
        return inner
    fraction = Fraction(*working.fraction)
    return replace(
        inner,
        stride=ceil(network.stride / fraction),
        receptive_field=ceil((network.receptive_field + 3) / fraction),
    )
