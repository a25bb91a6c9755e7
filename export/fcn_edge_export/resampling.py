"""Pooling and resizing of maps as matrix products, whose matrices are made from the sizes at run time.

Along one axis each of these is a weighted sum of pixels, so the result is P_h @ x @ P_w^T. torch.onnx would
freeze the adaptive ones to the traced size, and has no operator for the others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["adaptive_avg_pool2d", "adaptive_max_pool2d", "resize"]


def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """Adaptive average pooling of [N, C, H, W] to [N, C, h, w], exact at every H and W.

    Cell i of k averages the pixels floor(i n / k) <= p < ceil((i + 1) n / k), as PyTorch defines it.
    """
    height, width = output_size
    if _is_one(height) and _is_one(width):
        return x.mean(dim=(-2, -1), keepdim=True)
    return _along_both(x, _averages(x.shape[-2], height, x), _averages(x.shape[-1], width, x))


def adaptive_max_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """Adaptive max pooling of [N, C, H, W] to [N, C, h, w] over the same cells."""
    height, width = output_size
    if _is_one(height) and _is_one(width):
        return x.amax(dim=(-2, -1), keepdim=True)
    lowest = torch.finfo(x.dtype).min
    rows, columns = (_cells(x.shape[axis], cells, x) for axis, cells in ((-2, height), (-1, width)))
    # One cell of rows after the other: all at once would need a copy of the map for each.
    if not _is_same(height, x.shape[-2]):
        x = torch.stack([torch.where(rows[i, :, None], x, lowest).amax(-2) for i in range(height)], dim=-2)
    if not _is_same(width, x.shape[-1]):
        x = torch.stack([torch.where(columns[i], x, lowest).amax(-1) for i in range(width)], dim=-1)
    return x


def resize(x: Tensor, size: Any, ratios: Any, *, cubic: bool, antialias: bool, align_corners: bool) -> Tensor:
    """[N, C, H, W] resized to [N, C, h, w] as F.interpolate does, exact at every size.

    Args:
        x: the map.
        size: (h, w).
        ratios: pixels of the map for one of the result, each; None is the ratio of the sizes.
        cubic: bicubic instead of bilinear.
        antialias: see F.interpolate.
        align_corners: see F.interpolate.
    """
    rows, columns = (
        _weights(
            x, x.shape[axis], length, ratio, cubic=cubic, antialias=antialias, align_corners=align_corners
        )
        for axis, length, ratio in zip((-2, -1), size, ratios, strict=True)
    )
    return _along_both(x, rows, columns)


def _along_both(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return torch.matmul(torch.matmul(rows, x), columns.transpose(0, 1))


def _at_least(number: Any, least: Any) -> Any:
    return torch.sym_max(number, least)  # type: ignore[no-untyped-call]  # torch has no type for it


def _is_one(cells: Any) -> bool:
    return isinstance(cells, int) and cells == 1


def _cells(size: Any, cells: Any, like: Tensor) -> Tensor:
    """[cells, size] bool: which pixels each cell has. `size` is symbolic."""
    cell = torch.arange(cells, device=like.device)
    first = (cell * size) // cells
    last = ((cell + 1) * size + (cells - 1)) // cells
    pixel = torch.arange(size, device=like.device)
    inside: Tensor = (pixel[None, :] >= first[:, None]) & (pixel[None, :] < last[:, None])
    return inside


def _is_same(cells: Any, size: Any) -> bool:
    symbolic = isinstance(cells, torch.SymInt) and isinstance(size, torch.SymInt)
    return symbolic and bool(cells.node.expr == size.node.expr)


def _averages(size: Any, cells: Any, like: Tensor) -> Tensor:
    """[cells, size]: P[i, p] = 1 / (number of pixels) in cell i, else 0."""
    inside = _cells(size, cells, like).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


def _weights(
    like: Tensor, size: Any, length: Any, ratio: Any, *, cubic: bool, antialias: bool, align_corners: bool
) -> Tensor:
    """[length, size]: what each pixel of the map contributes to each of the result."""
    cell = torch.arange(length, device=like.device).to(like.dtype)
    pixel = torch.arange(size, device=like.device).to(like.dtype)
    if align_corners:
        ratio = (size - 1) / _at_least(length - 1, 1)
        center = cell * ratio
    else:
        ratio = size / length if ratio is None else ratio
        center = (cell + 0.5) * ratio - 0.5
    if antialias:
        return _antialiased(center, pixel, ratio, cubic=cubic)
    if cubic:
        # Four pixels around the center; those beyond the border are its pixel.
        first = torch.floor(center) - 1
        sides = torch.arange(size, device=like.device)
        total = torch.zeros(1, dtype=like.dtype, device=like.device)
        for step in range(4):
            source = first + step
            part = _cubic((center - source).abs(), -0.75)
            index = source.clamp(min=0).clamp(max=size - 1).to(torch.int64)
            total = total + torch.where(index[:, None] == sides[None, :], part[:, None], 0.0)
        return total
    center = center.clamp(min=0).clamp(max=size - 1)
    linear: Tensor = (1 - (center[:, None] - pixel[None, :]).abs()).clamp(min=0)
    return linear


def _antialiased(center: Tensor, pixel: Tensor, ratio: Any, *, cubic: bool) -> Tensor:
    """The filter widened by the ratio where the map shrinks, normalized over the pixels that exist."""
    scale = _at_least(ratio, 1.0)
    away = (center[:, None] - pixel[None, :]).abs() / scale
    part = _cubic(away, -0.5) if cubic else (1 - away).clamp(min=0)
    return part / part.sum(dim=1, keepdim=True)


def _cubic(away: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution kernel; PyTorch has a = -0.75, and -0.5 with antialiasing."""
    near = ((a + 2) * away - (a + 3)) * away * away + 1
    far = ((a * away - 5 * a) * away + 8 * a) * away - 4 * a
    return torch.where(away <= 1, near, torch.where(away < 2, far, torch.zeros_like(away)))
