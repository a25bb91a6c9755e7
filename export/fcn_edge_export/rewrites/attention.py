"""Attention of any number of axes, with a scale that may be computed from a size of the image."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fcn_edge_export.rewrites.arguments import symbolic

__all__ = ["attention"]

_NAMES = ("query", "key", "value", "attn_mask")


def attention(func: Any, args: Any, kwargs: Any) -> Any:
    """As torch.onnx takes it: of [batch, heads, tokens, channels], with a scale that is a constant."""
    given = dict(zip(_NAMES, args, strict=False)) | kwargs
    query, key, value, mask = (given.pop(name, None) for name in _NAMES)
    inputs = (query, key, value)
    if len(args) > len(_NAMES) or not all(isinstance(x, Tensor) for x in inputs):
        return NotImplemented
    alike = len({x.dim() for x in inputs}) == 1
    if symbolic(given.get("scale")):
        query, given = query * given["scale"], {**given, "scale": 1.0}
    elif query.dim() == 4 or not alike:
        return NotImplemented
    if query.dim() == 4 or not alike:
        return func(query, key, value, mask, **given)
    ahead = query.shape[:-2]
    if mask is not None and mask.dim() > 2:
        mask = _with_four_axes(mask.expand(*ahead, *mask.shape[-2:]))
    result = func(*map(_with_four_axes, (query, key, value)), mask, **given)
    return result.reshape(*ahead, *result.shape[-2:])


def _with_four_axes(x: Tensor) -> Tensor:
    """More of them are one at the front; fewer get axes of one there."""
    return x[(None,) * (4 - x.dim())] if x.dim() < 4 else x.flatten(0, x.dim() - 4)
