"""Fourier transforms of maps as matrix products, for every size of the map.

Along an axis of n values the transform is X[k] = sum of x[j] exp(-2 pi i j k / n). ONNX's operator for it has
no fast form for most sizes in onnxruntime, and none on a GPU; the matrices of cosines and sines are made from
the sizes at run time. Their angles are those of (j k) mod n, computed with whole numbers, so they are exact
to the last digit of float32 at every n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

__all__ = ["fourier_decompositions"]

_ATEN = torch.ops.aten
_Pair = tuple[Tensor, Tensor]  # real and imaginary parts


def fourier_decompositions(program: torch.export.ExportedProgram) -> dict[Any, Callable[..., Any]]:
    """Decompositions for `run_decompositions`, by operator, of the transforms that the program has."""
    table: dict[Any, Callable[..., Any]] = {
        _ATEN._fft_r2c.default: _of_real,  # noqa: SLF001 (the operators' names)
        _ATEN._fft_c2c.default: _of_complex,  # noqa: SLF001 (as above)
        _ATEN._fft_c2r.default: _to_real,  # noqa: SLF001 (as above)
    }
    used = [node.target for node in program.graph.nodes if node.op == "call_function"]
    # torch.fft's functions are operators of their own, which torch makes of the three above.
    kernel = torch._C.DispatchKey.CompositeImplicitAutograd  # noqa: SLF001 (its only place)
    composed = {op: partial(op._op_dk, kernel) for op in used if str(op).startswith("aten.fft_")}  # noqa: SLF001 (op.decompose would ask the table again)
    return {**table, **composed} if composed or any(op in table for op in used) else {}


def _of_real(x: Tensor, dim: Sequence[int], normalization: int, onesided: bool) -> Tensor:  # noqa: FBT001 (aten's own)
    """Of the last of the axes the first half of the frequencies, if one-sided."""
    count = math.prod(x.shape[axis] for axis in dim)
    side = x.shape[dim[-1]]
    cosine, sine = _waves(side // 2 + 1 if onesided else side, side, x)
    parts = _along(x, dim[-1], cosine), -_along(x, dim[-1], sine)
    return _joined(_transformed(parts, dim[:-1], inverse=False), normalization, count)


def _of_complex(z: Tensor, dim: Sequence[int], normalization: int, forward: bool) -> Tensor:  # noqa: FBT001 (as above)
    count = math.prod(z.shape[axis] for axis in dim)
    return _joined(_transformed(_parts(z), dim, inverse=not forward), normalization, count)


def _to_real(z: Tensor, dim: Sequence[int], normalization: int, last_dim_size: Any) -> Tensor:
    """The inverse of a one-sided transform: what is left out is what is there, mirrored."""
    real, imaginary = _transformed(_parts(z), dim[:-1], inverse=True)
    kept = z.shape[dim[-1]]
    cosine, sine = _waves(last_dim_size, last_dim_size, real, kept)
    frequency = torch.arange(kept, device=z.device)
    alone = (frequency == 0) | (2 * frequency == last_dim_size)
    times = torch.where(alone, 1.0, 2.0).to(real.dtype)
    result = _along(real, dim[-1], cosine * times) - _along(imaginary, dim[-1], sine * times)
    count = math.prod([*(z.shape[axis] for axis in dim[:-1]), last_dim_size])
    scaled: Tensor = result * _scale(normalization, count)
    return scaled


def _transformed(parts: _Pair, dim: Sequence[int], *, inverse: bool) -> _Pair:
    real, imaginary = parts
    for axis in dim:
        cosine, sine = _waves(real.shape[axis], real.shape[axis], real)
        sine = sine if inverse else -sine
        real, imaginary = (
            _along(real, axis, cosine) - _along(imaginary, axis, sine),
            _along(real, axis, sine) + _along(imaginary, axis, cosine),
        )
    return real, imaginary


def _waves(rows: Any, period: Any, like: Tensor, columns: Any = None) -> _Pair:
    """Cosines and sines of 2 pi j k / period, [rows, columns]; as many columns as the period if not given."""
    row = torch.arange(rows, device=like.device)
    column = torch.arange(period if columns is None else columns, device=like.device)
    place = (row[:, None] * column[None, :]) % torch.full((), period, dtype=row.dtype, device=like.device)
    angle = place.to(like.dtype) * (2 * math.pi / period)
    return torch.cos(angle), torch.sin(angle)


def _along(x: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """The product of a matrix [m, n] with x along an axis of n values."""
    return torch.matmul(x.movedim(axis, -1), matrix.transpose(0, 1)).movedim(-1, axis)


def _parts(z: Tensor) -> _Pair:
    both = torch.view_as_real(z)
    return both[..., 0], both[..., 1]


def _joined(parts: _Pair, normalization: int, count: Any) -> Tensor:
    scale = _scale(normalization, count)
    real, imaginary = parts
    return torch.complex(real * scale, imaginary * scale)


def _scale(normalization: int, count: Any) -> Any:
    """By the codes of aten: 0 for none, 1 for the root of the number of values, 2 for their number."""
    if normalization == 0:
        return 1.0
    total = torch.sym_float(count)  # type: ignore[no-untyped-call]  # torch has no type for it
    return 1 / total if normalization == 2 else 1 / total**0.5
