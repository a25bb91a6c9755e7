"""The sizes that a network accepts, found by running it: they are not declared anywhere.

A size is accepted if the network runs and its logits cover the input: they have the same height and width, or
are smaller by a whole factor that is the same at every size. A size at which the network crashes or returns
fewer pixels is not accepted; the file pads such sizes up to the network's multiple.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fcn_edge_export.outputs import choose_output, pick_output
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["Sizes", "probe"]

# Their divisors include every power of two up to 128, and the multiples 3, 7 and 14 of patch-based backbones.
# The small ones come first because most networks accept them and they are fast.
STARTS = (96, 224, 384, 512, 640, 896)
# Multiples beyond the start at which a step is tried. A network that rounds its map down to a coarser grid,
# such as H // 16 * 4, has the right size just above a multiple of it, and a wrong one just below the next.
STEPS = ((1, 3), (7, 5), (15, 11), (27, 31))


@dataclass(frozen=True)
class Sizes:
    """The input sizes and the output of a probed network.

    Attributes:
        classes: channels of its logits.
        smallest: the smallest height and width it accepts, a multiple of `multiple`.
        multiple: heights and widths it accepts are multiples of this.
        reduction: its logits have 1/reduction of the input's height and width (1: full size).
        output: which of its outputs holds the logits; empty where there is only one.
    """

    classes: int
    smallest: int
    multiple: int
    reduction: int
    output: str = ""

    @property
    def smallest_image(self) -> int:
        """The smallest side of an image that is `smallest` once it is padded up to the multiple."""
        return self.smallest - self.multiple + 1


def probe(net: nn.Module, channels: int, *, output: str | None = None, classes: int | None = None) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) accepts.

    Args:
        net: the network.
        channels: of the image.
        output: which of its outputs to take, see `outputs.choose_output`.
        classes: how many the card names; None if that is open.

    Raises:
        UsageError: it returns several maps, and nothing says which holds the logits.
        ArtifactError: it accepts none of the sizes tried, or only one, or its logits do not cover its input.
    """
    start, name, first = _first_size(net, channels, output, classes)
    reduction = _reduction(start, first)

    def accepts(height: int, width: int) -> bool:
        try:
            run = _run(net, channels, height, width)
            shape = None if run.error else tuple(pick_output(run.output, name).shape)
        except ArtifactError:  # no logits at this size
            return False
        return shape is not None and shape[1] == first[1] and _covers(height, width, shape, reduction)

    # start + m is accepted exactly if m is a multiple of the network's own multiple, which divides start.
    divisors = [d for d in range(1, start + 1) if start % d == 0]
    multiple = next(
        (d for d in divisors if all(accepts(start + d * h, start + d * w) for h, w in STEPS)), None
    )
    if multiple is None:
        raise ArtifactError(
            f"probe: the network accepts an image of {start}x{start} but none of {2 * start}x{4 * start} "
            "pixels, so it is bound to one size: expected a fully convolutional network"
        )
    return Sizes(first[1], _smallest(accepts, multiple, start), multiple, reduction, name)


@dataclass(frozen=True)
class _Run:
    """What the network returned for an image of one size, or its error."""

    output: Any
    error: str = ""


def _run(net: nn.Module, channels: int, height: int, width: int) -> _Run:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator)
    try:
        with torch.inference_mode():
            return _Run(net(x))
    except Exception as error:  # noqa: BLE001 (a network may raise anything at a size it does not accept)
        return _Run(None, f"{type(error).__name__}: {error}")


def _first_size(
    net: nn.Module, channels: int, output: str | None, classes: int | None
) -> tuple[int, str, tuple[int, ...]]:
    """The first size that the network accepts, the name of the logits in its output, and their shape."""
    error = ""
    for size in STARTS:
        run = _run(net, channels, size, size)
        if not run.error:
            name = choose_output(run.output, output, classes)
            return size, name, tuple(pick_output(run.output, name).shape)
        error = error or run.error
    raise ArtifactError(
        f"probe: the network accepted no {channels}-channel image of {', '.join(map(str, STARTS))} pixels "
        f"a side; the error at {STARTS[0]} was: {error}"
    )


def _reduction(size: int, shape: tuple[int, ...]) -> int:
    for reduction in range(1, 65):
        if _covers(size, size, shape, reduction):
            return reduction
    raise ArtifactError(
        f"probe: the network gave logits of {shape[-2]}x{shape[-1]} for an image of {size}x{size}, expected "
        "the same height and width, or a whole factor fewer: padding must keep the spatial size"
    )


def _covers(height: int, width: int, shape: tuple[int, ...], reduction: int) -> bool:
    """Full-size logits must fit exactly; the size of reduced ones may be rounded up or down."""
    if reduction == 1:
        return shape[-2:] == (height, width)
    return all(
        got in (size // reduction, -(-size // reduction))
        for got, size in zip(shape[-2:], (height, width), strict=True)
    )


def _smallest(accepts: Callable[[int, int], bool], multiple: int, start: int) -> int:
    """The smallest multiple that is accepted: doubling, then bisection."""
    if accepts(multiple, multiple):
        return multiple
    low, high = 1, 2  # in units of the multiple; low is refused
    while high * multiple < start and not accepts(high * multiple, high * multiple):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepts(middle * multiple, middle * multiple) else (middle, high)
    return high * multiple
