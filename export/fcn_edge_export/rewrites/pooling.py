"""Pooling over the whole map, to a grid of cells, or by windows whose size is computed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fcn_edge_export.resampling import adaptive_avg_pool2d, adaptive_max_pool2d
from fcn_edge_export.rewrites.arguments import pair, symbolic
from fcn_edge_export.rewrites.windows import Windows, largest, mean
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["adaptive_avg", "adaptive_max", "extreme", "pool"]

_MAX = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_ALONG_ROWS = (F.avg_pool1d, F.max_pool1d, torch.max_pool1d, F.max_pool1d_with_indices)
_WITH_PLACES = (F.max_pool1d_with_indices, F.max_pool2d_with_indices)
_NAMES: dict[Any, tuple[str, ...]] = {
    **dict.fromkeys((F.avg_pool1d, F.avg_pool2d), _AVERAGE),
    **dict.fromkeys((F.max_pool1d, F.max_pool2d, torch.max_pool1d, torch.max_pool2d), _MAX),
    **dict.fromkeys(_WITH_PLACES, _MAX),
}


def pool(func: Any, args: Any, kwargs: Any) -> Any:
    """Mean or maximum by windows whose size, step or padding is computed from the size of the map.

    Raises:
        ArtifactError: such windows are dilated, or where their maxima are is asked for.
    """
    given = dict(zip(_NAMES[func], args, strict=False)) | kwargs
    x, kernel, stride = given["input"], given["kernel_size"], given.get("stride")
    stride = kernel if stride is None or stride in ((), []) else stride
    padding = given.get("padding", 0)
    if not symbolic(kernel, stride, padding):
        return NotImplemented
    dilated = given.get("dilation", 1) not in (1, (1,), (1, 1), [1, 1])
    if dilated or given.get("return_indices") or func in _WITH_PLACES:
        raise ArtifactError(
            "trace: the network takes maxima by a kernel that is computed from the size of its image, "
            f"{'dilated' if dilated else 'and their places'}, for which ONNX has no operator: let the kernel "
            "be a number, or take the maxima alone"
        )
    along_rows, ceil = func in _ALONG_ROWS, given.get("ceil_mode", False)
    x = x.unsqueeze(-2) if along_rows else x
    (down, right), (row_step, step), (above, before) = (pair(value) for value in (kernel, stride, padding))
    if along_rows:
        down, row_step, above = 1, 1, 0
    rows = Windows(x.shape[-2], down, row_step, above, ceil)
    windows = rows, Windows(x.shape[-1], right, step, before, ceil)
    if _NAMES[func] is _MAX:
        result = largest(x, windows)
    else:
        padded, divisor = given.get("count_include_pad", True), given.get("divisor_override")
        result = mean(x, windows, of_padding=padded, divisor=divisor)
    return result.squeeze(-2) if along_rows else result


def extreme(func: Any, args: Any, kwargs: Any) -> Any:
    """The largest or smallest of all values, whose axes ONNX wants to be named."""
    given = dict(zip(("input", "dim", "keepdim"), args, strict=False)) | kwargs
    if given.pop("dim", None) not in (None, (), []):
        return NotImplemented
    x = given.pop("input")
    return func(x, dim=tuple(range(x.dim())), **given)


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
