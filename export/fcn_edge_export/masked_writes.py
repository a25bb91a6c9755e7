"""Values written where a mask holds: `x[mask] = 0`, `x[torch.where(mask)] = False`.

The tracer finds the places first, and takes for granted that there is one: where an image has none, as in the
masked attention of OneFormer, the file would differ. Filling by the mask is the same, without places. What is
filled may be true or false itself, which onnxruntime does by logic alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["MaskedWrites", "filled"]

_FINDS = (torch.where, torch.nonzero, Tensor.nonzero)


class MaskedWrites:
    """Knows the masks of the places that a network found."""

    def __init__(self) -> None:
        self._found: list[
            tuple[tuple[Tensor, ...], Tensor]
        ] = []  # holds the places, so that they keep their id

    def follow(self, func: Any, args: Any, result: Any) -> None:
        """Remember the mask, if `result` are all places at which one holds."""
        if func in _FINDS and isinstance(result, tuple) and args[0].dtype == torch.bool:
            self._found.append((result, args[0]))

    def write(self, func: Any, args: Any) -> bool:
        """Fill by the mask, if this is a number written where one holds; False does nothing."""
        if func is not Tensor.__setitem__ or not isinstance(args[2], (bool, int, float)):
            return False
        x, index, value = args
        mask = next((mask for places, mask in self._found if places is index), index)
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or not 0 < mask.dim() <= x.dim():
            return False
        if isinstance(value, float) and not x.is_floating_point():
            return False  # it would be cut to a whole number
        mask = mask.reshape(*mask.shape, *(1,) * (x.dim() - mask.dim()))
        x.copy_(filled(x, mask, value))
        return True


def filled(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`x` with the value where the mask holds."""
    if x.dtype != torch.bool or isinstance(value, Tensor):
        return x.masked_fill(mask, value)
    return x | mask if value else x & ~mask
