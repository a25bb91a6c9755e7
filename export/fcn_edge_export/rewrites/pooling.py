"""Pooling over the whole map, or to a grid of cells."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fcn_edge_export.resampling import adaptive_avg_pool2d, adaptive_max_pool2d
from fcn_edge_export.rewrites.arguments import pair, symbolic

__all__ = ["adaptive_avg", "adaptive_max", "avg_pool2d", "max_pool2d"]


def avg_pool2d(func: Any, args: Any, kwargs: Any) -> Any:
    """A mean, where the kernel is the whole map."""
    del func
    x, kernel = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("kernel_size")
    kernel = pair(args[1] if kernel is None else kernel)
    if not symbolic(kernel) or not _is_whole(x, kernel):
        return NotImplemented
    return x.mean(dim=(-2, -1), keepdim=True)


def max_pool2d(func: Any, args: Any, kwargs: Any) -> Any:
    """A maximum, where the kernel is the whole map."""
    del func
    x, kernel = (kwargs.get("input") if "input" in kwargs else args[0]), kwargs.get("kernel_size")
    kernel = pair(args[1] if kernel is None else kernel)
    if not symbolic(kernel) or not _is_whole(x, kernel):
        return NotImplemented
    return x.amax(dim=(-2, -1), keepdim=True)


def _is_whole(x: Tensor, kernel: tuple[Any, Any]) -> bool:
    return all(bool(k == side) for k, side in zip(kernel, x.shape[-2:], strict=True))


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
