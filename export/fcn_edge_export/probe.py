"""The sizes that a network accepts, found by running it: they are not declared anywhere.

A size is accepted if the network runs and its logits cover the input: they have the same height and width, or
are smaller by a whole factor that is the same at every size. A size at which the network crashes or returns
fewer pixels is not accepted; the file pads such sizes up to the network's multiple.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from fcn_edge_export.reference import only_output
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["Sizes", "probe"]

# Their divisors include every power of two up to 128, and the multiples 3, 7 and 14 of patch-based backbones.
# The small ones come first because most networks accept them and they are fast.
STARTS = (96, 224, 384, 512, 640, 896)


@dataclass(frozen=True)
class Sizes:
    """The input sizes and the output of a probed network.

    Attributes:
        classes: channels of its logits.
        smallest: the smallest height and width it accepts, a multiple of `multiple`.
        multiple: heights and widths it accepts are multiples of this.
        reduction: its logits have 1/reduction of the input's height and width (1: full size).
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
    """One run: the shape of the output, or the network's error."""

    shape: tuple[int, ...] | None
    error: str = ""


def probe(net: nn.Module, channels: int) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) accepts.

    Raises:
        ArtifactError: it accepts none of the sizes tried, or only one, or its logits do not cover its input.
    """
    start, first = _first_size(net, channels)
    reduction = _reduction(start, first)
    classes = first[1]

    def accepts(height: int, width: int) -> bool:
        try:
            shape = _attempt(net, channels, height, width).shape
        except ArtifactError:  # no logits at this size
            return False
        return shape is not None and shape[1] == classes and _covers(height, width, shape, reduction)

    # start + m is accepted exactly if m is a multiple of the network's own multiple, which divides start.
    divisors = [d for d in range(1, start + 1) if start % d == 0]
    multiple = next((d for d in divisors if accepts(start + d, start + 3 * d)), None)
    if multiple is None:
        raise ArtifactError(
            f"probe: the network accepts an image of {start}x{start} but none of {2 * start}x{4 * start} "
            "pixels, so it is bound to one size: expected a fully convolutional network"
        )
    return Sizes(classes, _smallest(accepts, multiple, start), multiple, reduction)


def _attempt(net: nn.Module, channels: int, height: int, width: int) -> _Attempt:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator)
    try:
        with torch.inference_mode():
            output = net(x)
    except Exception as error:  # noqa: BLE001 (a network may raise anything at a size it does not accept)
        return _Attempt(None, f"{type(error).__name__}: {error}")
    return _Attempt(tuple(only_output(output).shape))


def _first_size(net: nn.Module, channels: int) -> tuple[int, tuple[int, ...]]:
    error = ""
    for size in STARTS:
        attempt = _attempt(net, channels, size, size)
        if attempt.shape is not None:
            return size, attempt.shape
        error = error or attempt.error
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
