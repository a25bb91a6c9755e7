"""What sizes a network takes: found by running it, since nothing else tells.

A size is taken if the network runs and its scores cover the input: the same height and width, or a whole
factor fewer that is the same at every size. A network that crashes at a size, or returns fewer pixels there,
does not take it; the file then pads such sizes up to the network's multiple.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from fcn_edge_export.reference import only_output
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["Sizes", "probe"]

# Between them these have every power of two up to 128 and the multiples 3, 7 and 14 of patch-based backbones
# among their divisors. The small ones come first because most networks take them and they are quick.
STARTS = (96, 224, 384, 512, 640, 896)


@dataclass(frozen=True)
class Sizes:
    """What a probed network takes and gives.

    Attributes:
        classes: channels of its scores.
        smallest: the smallest height and width it takes, a multiple of `multiple`.
        multiple: heights and widths it takes are multiples of this.
        reduction: its scores have 1/reduction of the input's height and width (1: full size).
    """

    classes: int
    smallest: int
    multiple: int
    reduction: int

    @property
    def smallest_image(self) -> int:
        """The smallest side of an image that is `smallest` once it is padded up to the multiple."""
        return self.smallest - self.multiple + 1


@dataclass(frozen=True)
class _Attempt:
    """One run: the shape that came out, or what the network said instead."""

    shape: tuple[int, ...] | None
    complaint: str = ""


def probe(net: nn.Module, channels: int) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) takes.

    Raises:
        ArtifactError: it takes none of the sizes tried, or only one, or its scores do not cover its input.
    """
    start, first = _first_size(net, channels)
    reduction = _reduction(start, first)
    classes = first[1]

    def takes(height: int, width: int) -> bool:
        try:
            shape = _attempt(net, channels, height, width).shape
        except ArtifactError:  # no scores at this size
            return False
        return shape is not None and shape[1] == classes and _covers(height, width, shape, reduction)

    # A size start + m is taken exactly if m is a multiple of the network's own multiple, which divides start.
    divisors = [d for d in range(1, start + 1) if start % d == 0]
    multiple = next((d for d in divisors if takes(start + d, start + 3 * d)), None)
    if multiple is None:
        raise ArtifactError(
            f"probe: the network takes an image of {start}x{start} but none of {2 * start}x{4 * start} "
            "pixels, so it is bound to one size: expected a fully convolutional network"
        )
    return Sizes(classes, _smallest(takes, multiple, start), multiple, reduction)


def _attempt(net: nn.Module, channels: int, height: int, width: int) -> _Attempt:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator)
    try:
        with torch.inference_mode():
            output = net(x)
    except Exception as error:  # noqa: BLE001 (a network may raise anything at a size it does not take)
        return _Attempt(None, f"{type(error).__name__}: {error}")
    return _Attempt(tuple(only_output(output).shape))


def _first_size(net: nn.Module, channels: int) -> tuple[int, tuple[int, ...]]:
    complaint = ""
    for size in STARTS:
        attempt = _attempt(net, channels, size, size)
        if attempt.shape is not None:
            return size, attempt.shape
        complaint = complaint or attempt.complaint
    raise ArtifactError(
        f"probe: the network took no {channels}-channel image of {', '.join(map(str, STARTS))} pixels "
        f"a side; at {STARTS[0]} it said: {complaint}"
    )


def _reduction(size: int, shape: tuple[int, ...]) -> int:
    for reduction in range(1, 65):
        if _covers(size, size, shape, reduction):
            return reduction
    raise ArtifactError(
        f"probe: the network gave scores of {shape[-2]}x{shape[-1]} for an image of {size}x{size}, expected "
        "the same height and width, or a whole factor fewer: padding must keep the spatial size"
    )


def _covers(height: int, width: int, shape: tuple[int, ...], reduction: int) -> bool:
    """Full-size scores must fit exactly; reduced ones may round up or down."""
    if reduction == 1:
        return shape[-2:] == (height, width)
    return all(
        got in (size // reduction, -(-size // reduction))
        for got, size in zip(shape[-2:], (height, width), strict=True)
    )


def _smallest(takes: Callable[[int, int], bool], multiple: int, start: int) -> int:
    """The smallest multiple taken: doubling until one is, then halving the gap."""
    if takes(multiple, multiple):
        return multiple
    low, high = 1, 2  # in units of the multiple; low is refused
    while high * multiple < start and not takes(high * multiple, high * multiple):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if takes(middle * multiple, middle * multiple) else (middle, high)
    return high * multiple
