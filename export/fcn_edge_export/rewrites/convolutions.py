"""Patches, and convolutions whose groups or padding are computed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fcn_edge_export.rewrites.arguments import given_to, pair, symbolic

__all__ = ["conv2d", "conv_transpose2d", "fold", "unfold"]


def unfold(func: Any, args: Any, kwargs: Any) -> Any:
    """Patches, by a convolution with one kernel for each pixel of a patch."""
    given = given_to(func, args, kwargs)
    x, kernel = given["input"], pair(given["kernel_size"])
    if x.dim() != 4:
        return NotImplemented
    weight = _patch_kernels(x, kernel)
    patches = F.conv2d(
        x,
        weight,
        stride=given["stride"],
        padding=given["padding"],
        dilation=given["dilation"],
        groups=x.shape[1],
    )
    return patches.flatten(2)


def fold(func: Any, args: Any, kwargs: Any) -> Any:
    """Patches summed at their places, by the transposed convolution of the same kernels."""
    given = given_to(func, args, kwargs)
    x, kernel = given["input"], pair(given["kernel_size"])
    if x.dim() != 3:
        return NotImplemented
    size, step = pair(given["output_size"]), pair(given["stride"])
    pad, dilation = pair(given["padding"]), pair(given["dilation"])
    grid = [(size[i] + 2 * pad[i] - dilation[i] * (kernel[i] - 1) - 1) // step[i] + 1 for i in (0, 1)]
    channels = x.shape[1] // (kernel[0] * kernel[1])
    patches = x.reshape(x.shape[0], x.shape[1], *grid)
    weight = _patch_kernels(torch.empty(1, channels, 1, 1, dtype=x.dtype, device=x.device), kernel)
    whole = F.conv_transpose2d(
        patches, weight, stride=step, output_padding=0, groups=channels, dilation=dilation
    )
    # Pixels right and below of the last patch belong to none.
    missing = [size[i] + 2 * pad[i] - whole.shape[-2 + i] for i in (0, 1)]
    whole = F.pad(whole, (0, missing[1], 0, missing[0])) if symbolic(missing) or any(missing) else whole
    return whole[..., pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]


def _patch_kernels(like: Tensor, kernel: tuple[int, int]) -> Tensor:
    """[C * h * w, 1, h, w]: for each channel, one kernel that picks each pixel of an h x w patch."""
    pixels = kernel[0] * kernel[1]
    one = torch.eye(pixels, dtype=like.dtype, device=like.device).reshape(pixels, 1, *kernel)
    return one.repeat(like.shape[1], 1, 1, 1)


def conv2d(func: Any, args: Any, kwargs: Any) -> Any:
    """By a product for each group, where their number is computed: kernels of each image's own."""
    del func
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = dict(zip(names, args, strict=False)) | kwargs
    x, weight, bias, groups = given["input"], given["weight"], given.get("bias"), given.get("groups", 1)
    padding = given.get("padding", 0)
    if not symbolic(groups) or isinstance(padding, str):
        return NotImplemented
    kernel, step, reach = weight.shape[2:], pair(given.get("stride", 1)), pair(given.get("dilation", 1))
    x = F.pad(x, [amount for amount in reversed(pair(padding)) for _ in range(2)])
    down, right = ((x.shape[2 + i] - reach[i] * (kernel[i] - 1) - 1) // step[i] + 1 for i in (0, 1))
    shifted = [
        x[:, :, i * reach[0] :: step[0], j * reach[1] :: step[1]][:, :, :down, :right]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    inputs = weight.shape[1] * len(shifted)
    patches = torch.stack(shifted, dim=2).reshape(x.shape[0], groups, inputs, down * right)
    products = weight.reshape(1, groups, -1, inputs) @ patches
    result = products.reshape(x.shape[0], weight.shape[0], down, right)
    return result if bias is None else result + bias.reshape(1, -1, 1, 1)


def conv_transpose2d(func: Any, args: Any, kwargs: Any) -> Any:
    """With a computed output padding: as much as there may be, and the rest cut off."""
    names = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    given = dict(zip(names, args, strict=False)) | kwargs
    extra = pair(given.get("output_padding", 0))
    if not symbolic(extra):
        return NotImplemented
    step, dilation = pair(given.get("stride", 1)), pair(given.get("dilation", 1))
    most = [max(step[i], dilation[i]) - 1 for i in (0, 1)]
    whole = func(**{**given, "output_padding": most})
    height, width = (whole.shape[-2 + i] - most[i] + extra[i] for i in (0, 1))
    return whole[..., :height, :width]
