"""The sizes at which a network is traced, chosen from the network.

torch.export treats sizes of 0 and 1 as special, and takes sizes that are equal while it traces to be equal
always. Deep inside a network even an ordinary image has shrunk to a few pixels, so the example is made large
enough that the smallest map inside stays above `SMALLEST` pixels, and its sides are unequal primes of the
network's multiple: coprime to each other, and to every stride, patch and window. Without a multiple they are
also one below or above a multiple of 64, so that every halving has a remainder, whether the network rounds
down or up: networks that pad odd maps do so.
Tracing computes shapes alone, so a larger example takes no longer.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fcn_edge_export.sizes import Sizes

__all__ = ["Example", "example_size"]

Example = tuple[int, int, int]  # batch, height, width

BATCH = 2
SMALLEST = 5  # pixels of the smallest map inside
LEAST = 48  # pixels of the image
ODD = 64  # a side one below a multiple of it is odd after five halvings


def example_size(net: nn.Module, channels: int, sizes: Sizes, times: int = 1) -> Example:
    """(batch, height, width) to trace at.

    Args:
        net: the network.
        channels: of the image.
        sizes: that the network accepts.
        times: how many times as large as it need be.
    """
    if sizes.fixed is not None:
        return (BATCH, *sizes.fixed)
    # A third more columns than rows: their maps differ, too.
    least = times * max(SMALLEST * _shrinkage(net, channels, sizes), LEAST, sizes.smallest)
    step, rest = (ODD, _oddest(net, channels, sizes)) if sizes.multiple == 1 else (1, 0)
    height = _prime(least / sizes.multiple, step, rest)
    width = _prime(max(least * 1.35 / sizes.multiple, height + 1), step, rest)
    return BATCH, height * sizes.multiple, width * sizes.multiple


def _prime(least: float, step: int, rest: int) -> int:
    """The smallest prime of 3 or more that is not below `least`, and `rest` above a multiple of `step`."""
    start = max(3, int(-(-least // 1)))
    return next(
        n for n in count(start) if (n - rest) % step == 0 and all(n % d for d in range(2, int(n**0.5) + 1))
    )


def _oddest(net: nn.Module, channels: int, sizes: Sizes) -> int:
    """-1 or 1: whether more maps have an odd side one below or one above a multiple of `ODD`."""
    side = ODD * max(1, -(-(sizes.smallest + 1) // ODD))

    def odd(rest: int) -> int:
        shapes = _shapes(net, channels, side + rest)
        return sum(length % 2 for shape in shapes for length in shape[1:])

    return max((-1, 1), key=odd)


class _Shapes(TorchFunctionMode):
    """Records the shapes of what is computed while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result: Any = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dim() > 2:
            self.shapes.append(tuple(result.shape))
        return result


def _shapes(net: nn.Module, channels: int, side: int) -> list[tuple[int, ...]]:
    """The shapes of what a network computes of an image of side x side; none where it does not take it."""
    with _Shapes() as recorded, torch.inference_mode():
        try:
            net(torch.zeros(1, channels, side, side))
        except Exception:  # noqa: BLE001 (a network may raise anything at a size that it does not take)
            return []
    found: list[tuple[int, ...]] = recorded.shapes
    return found


def _shrinkage(net: nn.Module, channels: int, sizes: Sizes) -> float:
    """How many times smaller than the image the smallest map inside is.

    Two images show which axes grow with the image; the smallest of these is the smallest map.
    """
    side = sizes.multiple * max(-(-sizes.smallest // sizes.multiple), -(-96 // sizes.multiple))
    before_all, behind_all = _shapes(net, channels, side), _shapes(net, channels, 2 * side)
    if not behind_all:  # it does not take images as large
        side = sizes.multiple * max(1, side // 2 // sizes.multiple)
        before_all, behind_all = _shapes(net, channels, side), before_all
    growing = [
        small
        for before, behind in zip(before_all, behind_all, strict=False)
        if len(before) == len(behind)
        for small, large in zip(before, behind, strict=True)
        if small < large
    ]
    return side / max(1, min(growing, default=side))  # a map may have no rows at all
