"""A network is exported in float32, so what it rounds to half precision on its way stays unrounded.

Where a value lies between two of float16 or bfloat16, the last bit of float32 decides which it becomes; file
and PyTorch would differ there by a thousandth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fcn_edge_export.stand_ins import real_function

__all__ = ["FullPrecision"]

_HALVES = (torch.float16, torch.bfloat16)
_CASTS = (Tensor.half, Tensor.bfloat16)
_CASTS_TO = (Tensor.to, Tensor.type)


class FullPrecision(TorchFunctionMode):
    """While it is active, float32 is not cast to half precision."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        func, kwargs = real_function(func), kwargs or {}
        if func in _CASTS and args[0].dtype == torch.float32:
            return args[0]
        if func in _CASTS_TO and args[0].dtype == torch.float32:
            args = tuple(torch.float32 if _is_half(value) else value for value in args)
            kwargs = {key: torch.float32 if _is_half(value) else value for key, value in kwargs.items()}
        return func(*args, **kwargs)


def _is_half(value: Any) -> bool:
    return isinstance(value, torch.dtype) and value in _HALVES
