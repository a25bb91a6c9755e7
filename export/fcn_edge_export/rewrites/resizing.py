"""Maps resized to sizes or by scales that are computed, and the grids of samplers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from fcn_edge_export.resampling import resize
from fcn_edge_export.rewrites.arguments import given_to, pair, symbolic

__all__ = ["affine_grid", "interpolate"]

_OFFSETS = {"nearest": 0.0, "nearest-exact": 0.5}  # of a pixel's place in the resized map


def interpolate(func: Any, args: Any, kwargs: Any) -> Any:
    """Two matrix products, where the filter has no ONNX operator or the scale is computed from the size.

    Nearest neighbors are gathered where ONNX's may be others.
    """
    given = given_to(func, args, kwargs)
    x, mode, factor = given["input"], given["mode"], given["scale_factor"]
    if mode in _OFFSETS and given["size"] is not None and x.dim() == 4:
        size, sides = pair(given["size"]), tuple(x.shape[2:])
        alike = (_exact_in_onnx(*both, exact=mode != "nearest") for both in zip(sides, size, strict=True))
        return NotImplemented if symbolic(sides) and all(alike) else _nearest(x, size, offset=_OFFSETS[mode])
    filtered = given["antialias"] or mode == "bicubic"
    known = mode in ("bilinear", "bicubic", "nearest")
    if x.dim() != 4 or not known or not (filtered or symbolic(factor)):
        return NotImplemented
    sides = x.shape[-2:]
    if given["size"] is not None:
        size, ratios = pair(given["size"]), (None, None)
    else:
        factors = pair(factor)
        size = tuple(math.floor(side * f) for side, f in zip(sides, factors, strict=True))
        ratios = (None, None) if given["recompute_scale_factor"] else tuple(1 / f for f in factors)
    if mode == "nearest":
        return _nearest(x, size, ratios)
    return resize(
        x,
        size,
        ratios,
        cubic=mode == "bicubic",
        antialias=given["antialias"],
        align_corners=bool(given["align_corners"]),
    )


def _exact_in_onnx(side: Any, grown: Any, *, exact: bool) -> bool:
    """Whether ONNX's nearest neighbors, which divide by out / in, are PyTorch's, which multiply by in / out.

    They differ by rounding where a source lies on the border of a pixel, but for factors of two. None lies
    there if the sizes have no common divisor: if they differ by one, or one is twice the other but for one.
    Of "nearest-exact", whose pixels have centers, one may even then.
    """
    symbols = isinstance(side, torch.SymInt) and isinstance(grown, torch.SymInt)
    if symbols and any(grown.node.expr == factor * side.node.expr for factor in (1, 2, 4, 8, 16, 32)):
        return True
    now, then = (n.node.hint if isinstance(n, torch.SymInt) else n for n in (side, grown))
    if now is None or then is None:  # read from a tensor
        return False
    return not exact and (abs(now - then) <= 1 or 2 * now - then in (0, 1))


def _nearest(
    x: Tensor, size: tuple[Any, Any], ratios: tuple[Any, Any] = (None, None), offset: float = 0.0
) -> Any:
    """Pixel i is floor((i + offset) * float32(in / out)), as PyTorch rounds it."""
    if not symbolic(size, tuple(x.shape[2:])):
        return NotImplemented
    for axis, length, ratio in zip((2, 3), size, ratios, strict=True):
        side = x.shape[axis]
        cell = torch.arange(length, dtype=torch.float32, device=x.device)
        cell = cell + offset if offset else cell
        source = torch.floor(cell * (side / length if ratio is None else ratio)).to(torch.int64)
        x = x.index_select(axis, source.clamp(max=side - 1))
    return x


def affine_grid(func: Any, args: Any, kwargs: Any) -> Any:
    """Centers of pixels from -1 to 1, or of the outermost ones, turned by each image's matrix."""
    given = given_to(func, args, kwargs)
    theta, size = given["theta"], given["size"]
    if len(size) != 4 or not symbolic(tuple(size)):
        return NotImplemented
    rows, columns = (_from_minus_one(side, theta, bool(given["align_corners"])) for side in size[2:])
    height, width = size[2:]
    across, down = columns.expand(height, width), rows[:, None].expand(height, width)
    base = torch.stack([across, down, torch.ones_like(across)], dim=-1).reshape(1, height * width, 3)
    return (base @ theta.transpose(1, 2)).reshape(theta.shape[0], height, width, 2)


def _from_minus_one(side: Any, like: Tensor, align_corners: bool) -> Any:  # noqa: FBT001 (PyTorch's own)
    index = torch.arange(side, device=like.device).to(like.dtype)
    if align_corners:
        last = torch.sym_max(side - 1, 1)  # type: ignore[no-untyped-call]  # torch has no type for it
        return index * (2 / last) - 1
    return (2 * index + 1) / side - 1
