"""Counting and dividing by numbers that are sizes of the image."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from fcn_edge_export.rewrites.arguments import symbolic

__all__ = ["arange", "linspace", "whole_with_tensor", "with_tensor"]


def linspace(func: Any, args: Any, kwargs: Any) -> Any:
    """Start + i (end - start) / (steps - 1); from the end in the second half, as PyTorch does."""
    del func
    given = dict(zip(("start", "end", "steps"), args, strict=False)) | kwargs
    start, end, steps = (given.pop(name) for name in ("start", "end", "steps"))
    if not symbolic(start, end, steps):
        return NotImplemented
    options = {name: given[name] for name in ("dtype", "device") if given.get(name) is not None}
    dtype = options.pop("dtype", torch.get_default_dtype())
    index = torch.arange(steps, **options).to(dtype)
    last = torch.sym_max(steps - 1, 1)  # type: ignore[no-untyped-call]  # torch has no type for it
    step = (end - start) / last
    return torch.where(index < steps // 2, start + step * index, end - step * (steps - 1 - index))


def arange(func: Any, args: Any, kwargs: Any) -> Any:
    """Start + i step, where one of them is no whole number: ONNX counts in one type alone."""
    given = dict(zip(("start", "end", "step") if len(args) > 1 else ("end",), args, strict=False)) | kwargs
    start, end, step = given.pop("start", 0), given.pop("end"), given.pop("step", 1)
    if not symbolic(start, end, step) or all(isinstance(n, (int, torch.SymInt)) for n in (start, end, step)):
        return NotImplemented
    dtype = given.pop("dtype", None) or torch.get_default_dtype()
    whole = isinstance(start, float) and step == 1 and isinstance(end, (int, torch.SymInt))
    count = end - math.floor(start) if whole else math.ceil((end - start) / step)
    return start + func(count, **given).to(dtype) * step


def with_tensor(func: Any, args: Any, kwargs: Any) -> Any:
    """A number computed from a size, which becomes a tensor: ONNX takes some numbers as constants alone."""
    if len(args) != 2 or not isinstance(args[0], Tensor) or not symbolic(args[1]):
        return NotImplemented
    x, number = args
    dtype = torch.result_type(x, 1 if isinstance(number, torch.SymInt) else 1.0)
    return func(x, torch.full((), number, dtype=dtype, device=x.device), **kwargs)


def whole_with_tensor(func: Any, args: Any, kwargs: Any) -> Any:
    """As `with_tensor`, of whole numbers, which a fraction makes to others: ONNX has one type for both."""
    whole = len(args) == 2 and isinstance(args[0], Tensor) and not args[0].is_floating_point()
    return with_tensor(func, args, kwargs) if whole else NotImplemented
