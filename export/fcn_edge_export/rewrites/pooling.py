"""Pooling over the whole map, or to a grid of cells."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from fcn_edge_export.resampling import adaptive_avg_pool2d, adaptive_max_pool2d
from fcn_edge_export.rewrites.arguments import pair, symbolic

__all__ = ["adaptive_avg", "adaptive_max", "avg_pool2d", "extreme", "max_pool2d"]

_NAMES = {
    F.avg_pool2d: (
        *("input", "kernel_size", "stride", "padding"),
        *("ceil_mode", "count_include_pad", "divisor_override"),
    ),
    F.max_pool2d: ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
}
_PLAIN: dict[str, tuple[Any, ...]] = {
    "padding": (0, (0, 0)),
    "dilation": (1, (1, 1)),
    "return_indices": (False,),
    "divisor_override": (None,),
}


def avg_pool2d(func: Any, args: Any, kwargs: Any) -> Any:
    """A mean, where the kernel is as high or as wide as the map."""
    x, axes = _whole_axes(func, args, kwargs)
    return NotImplemented if axes is None else x.mean(dim=axes, keepdim=True)


def max_pool2d(func: Any, args: Any, kwargs: Any) -> Any:
    """A maximum, where the kernel is as high or as wide as the map."""
    x, axes = _whole_axes(func, args, kwargs)
    return NotImplemented if axes is None else x.amax(dim=axes, keepdim=True)


def _whole_axes(func: Any, args: Any, kwargs: Any) -> tuple[Tensor, tuple[int, ...] | None]:
    """The map, and the axes along which the kernel is whole; None if it is neither that nor one pixel."""
    given = dict(zip(_NAMES[func], args, strict=False)) | kwargs
    x, kernel, stride = given.pop("input"), pair(given.pop("kernel_size")), given.pop("stride", None)
    step = kernel if stride is None or stride == () else pair(stride)
    if not symbolic(kernel) or any(given.get(name, kept[0]) not in kept for name, kept in _PLAIN.items()):
        return x, None
    found = tuple(axis for axis in (-2, -1) if bool(kernel[axis] == x.shape[axis]))
    others = {-2, -1} - set(found)
    points = all(isinstance(kernel[axis], int) and kernel[axis] == step[axis] == 1 for axis in others)
    return x, found if found and points else None


def extreme(func: Any, args: Any, kwargs: Any) -> Any:
    """The largest or smallest of all values, whose axes ONNX wants to be named."""
    if len(args) != 1 or "dim" in kwargs:
        return NotImplemented
    return func(args[0], dim=tuple(range(args[0].dim())), **kwargs)


def adaptive_max(func: Any, args: Any, kwargs: Any) -> Any:
    """The largest pixel of each cell, for every size of the map."""
    del func
    if kwargs.get("return_indices") or len(args) > 2:
        return NotImplemented
    x, size = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("output_size")
    return adaptive_max_pool2d(x, _cells(x, args[1] if size is None else size))


def adaptive_avg(func: Any, args: Any, kwargs: Any) -> Any:
    """The mean pixel of each cell, for every size of the map."""
    del func
    x, size = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("output_size")
    return adaptive_avg_pool2d(x, _cells(x, args[1] if size is None else size))


def _cells(x: Tensor, size: Any) -> tuple[Any, Any]:
    """The output size of an adaptive pooling; None keeps that of the input."""
    height, width = (
        side if cells is None else cells for cells, side in zip(pair(size), x.shape[-2:], strict=True)
    )
    return height, width
