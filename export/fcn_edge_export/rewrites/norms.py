"""Norms over all pixels of a map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fcn_edge_export.rewrites.arguments import given_to, symbolic

__all__ = ["group_norm", "instance_norm"]


def group_norm(func: Any, args: Any, kwargs: Any) -> Any:
    """By means of means: onnxruntime adds up all pixels in one go, off by 4e-4 at 4 megapixels."""
    given = given_to(func, args, kwargs)
    x, groups = given["input"], given["num_groups"]
    if x.dim() != 4 or not symbolic(tuple(x.shape[2:])):
        return NotImplemented
    channels, height, width = x.shape[1:]
    grouped = x.reshape(x.shape[0], groups, channels // groups, height, width)
    normal = _standardized(grouped, given["eps"]).reshape(x.shape)
    return _scaled(normal, given["weight"], given["bias"])


def instance_norm(func: Any, args: Any, kwargs: Any) -> Any:
    """As `group_norm`, for each channel."""
    given = given_to(func, args, kwargs)
    x = given["input"]
    if x.dim() != 4 or not symbolic(tuple(x.shape[2:])) or not given["use_input_stats"]:
        return NotImplemented
    return _scaled(_standardized(x, given["eps"]), given["weight"], given["bias"])


def _standardized(x: Tensor, eps: float) -> Tensor:
    """Mean 0 and variance 1 over all axes behind the second."""
    centered = x - _mean(x)
    return centered / torch.sqrt(_mean(centered * centered) + eps)


def _mean(x: Tensor) -> Tensor:
    """Over all axes behind the second: of each row first, then of the means, which keeps float32's digits."""
    for axis in range(x.dim() - 1, 1, -1):
        x = x.mean(dim=axis, keepdim=True)
    return x


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = x * weight.reshape(1, -1, 1, 1)
    return x if bias is None else x + bias.reshape(1, -1, 1, 1)
