"""Means and maxima by windows whose size, step and padding are computed from the size of a map.

Both are taken along one axis after the other: means as products with a matrix that is made at run time,
maxima of gathered rows and columns. A window over a whole axis needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Windows", "largest", "mean"]


@dataclass(frozen=True)
class Windows:
    """The windows of a pooling along one axis; all numbers may be symbolic.

    Attributes:
        side: pixels of the axis.
        kernel: pixels of a window.
        step: from one window to the next.
        padding: pixels before and behind the axis.
        ceil: whether a window may end beyond the padding, if it begins before it.
    """

    side: Any
    kernel: Any
    step: Any
    padding: Any
    ceil: bool

    @property
    def is_whole(self) -> bool:
        """Whether there is one window, the axis itself."""
        symbolic = isinstance(self.kernel, torch.SymInt) and isinstance(self.side, torch.SymInt)
        same = symbolic and self.kernel.node.expr == self.side.node.expr
        return bool(same) and _is(self.padding, 0)

    @property
    def are_pixels(self) -> bool:
        """Whether each window is one pixel, and each pixel one window."""
        return _is(self.kernel, 1) and _is(self.step, 1) and _is(self.padding, 0)

    @property
    def count(self) -> Any:
        """How many there are."""
        # One step is added before the division: most kernels are as long as it, and what is left is short.
        room = self.side + 2 * self.padding - self.kernel + self.step
        if not self.ceil:
            return room // self.step
        begin = self.side + self.padding  # a window begins before
        return _smaller((room + self.step - 1) // self.step, (begin + self.step - 1) // self.step)

    def first(self, like: Tensor) -> Tensor:
        """The first pixel of each, negative in the padding: int64 [count]."""
        index = torch.arange(self.count, device=like.device)
        pixel: Tensor = index * self.step - self.padding
        return pixel


def mean(x: Tensor, windows: Sequence[Windows], *, of_padding: bool, divisor: int | None) -> Tensor:
    """The mean of each window of the last two axes.

    Args:
        x: the map.
        windows: of rows and of columns.
        of_padding: whether its zeros are counted.
        divisor: of the sum, instead of the number of pixels.
    """
    summed = divisor is not None
    whole = [axis for axis in (-2, -1) if windows[axis].is_whole]
    if whole:
        x = x.sum(dim=whole, keepdim=True) if summed else x.mean(dim=whole, keepdim=True)
    rows, columns = (
        None if axis in whole or windows[axis].are_pixels else _weights(windows[axis], x, of_padding, summed)
        for axis in (-2, -1)
    )
    x = x if rows is None else torch.matmul(rows, x)
    x = x if columns is None else torch.matmul(x, columns.transpose(0, 1))
    return x / divisor if divisor is not None else x


def largest(x: Tensor, windows: Sequence[Windows]) -> Tensor:
    """The maximum of each window of the last two axes."""
    whole = [axis for axis in (-2, -1) if windows[axis].is_whole]
    x = x.amax(dim=whole, keepdim=True) if whole else x
    for axis in (-2, -1):
        taken = windows[axis]
        if axis in whole or taken.are_pixels:
            continue
        inside = torch.arange(taken.kernel, device=x.device)
        # A window always has the pixel at the end that it reaches beyond.
        pixels = (taken.first(x)[:, None] + inside).clamp(min=0).clamp(max=taken.side - 1)
        at = x.dim() + axis
        x = x.index_select(at, pixels.flatten())
        x = x.reshape(*x.shape[:at], taken.count, taken.kernel, *x.shape[at + 1 :]).amax(at + 1)
    return x


def _weights(windows: Windows, like: Tensor, of_padding: bool, summed: bool) -> Tensor:  # noqa: FBT001 (one call)
    """[count, side]: 1 for each pixel inside of a window, divided by how many it has."""
    first = windows.first(like)
    end = first + windows.kernel
    pixel = torch.arange(windows.side, device=like.device)
    inside: Tensor = ((pixel >= first[:, None]) & (pixel < end[:, None])).to(like.dtype)
    if summed:
        return inside
    if of_padding:
        counted = end.clamp(max=windows.side + windows.padding) - first
    else:
        counted = end.clamp(max=windows.side) - first.clamp(min=0)
    share: Tensor = inside / counted[:, None].to(like.dtype)
    return share


def _is(number: Any, value: int) -> bool:
    return isinstance(number, int) and number == value


def _smaller(one: Any, other: Any) -> Any:
    return torch.sym_min(one, other)  # type: ignore[no-untyped-call]  # torch has no type for it
