"""Tensors of truth values, and what the tracer takes for a constant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fcn_edge_export.masked_writes import filled

__all__ = ["data", "is_all_true", "masked_fill", "shape_as_tensor", "where"]


def masked_fill(func: Any, args: Any, kwargs: Any) -> Any:
    """By logic, where what is filled is true or false: onnxruntime chooses between numbers alone."""
    given = dict(zip(("input", "mask", "value"), args, strict=False)) | kwargs
    x, mask, value = (given.get(name) for name in ("input", "mask", "value"))
    if not isinstance(x, Tensor) or x.dtype != torch.bool or isinstance(value, Tensor) or mask is None:
        return NotImplemented
    found = filled(x, mask, value)
    return x.copy_(found) if func is Tensor.masked_fill_ else found


def where(func: Any, args: Any, kwargs: Any) -> Any:
    """As `masked_fill`, between two tensors."""
    del func
    if len(args) != 3 or kwargs or not all(isinstance(a, Tensor) and a.dtype == torch.bool for a in args):
        return NotImplemented
    condition, one, other = args
    return (condition & one) | (~condition & other)


def data(func: Any, args: Any, kwargs: Any) -> Any:
    """The tensor without its history: the tracer takes `x.data` for a constant."""
    del func, kwargs
    return args[0].detach()


def shape_as_tensor(func: Any, args: Any, kwargs: Any) -> Any:
    """As a tensor of the sizes, which are not those of the example."""
    del func, kwargs
    return torch.tensor(list(args[0].shape))


def is_all_true(func: Any, args: Any, kwargs: Any) -> Any:
    """What `torch._check_tensor_all` asks, by an operator that ONNX has."""
    del func, kwargs
    return args[0].all()
