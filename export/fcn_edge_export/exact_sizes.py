"""Sizes that a network scales by a factor, computed as PyTorch computes them.

PyTorch multiplies in float64 and rounds down: 720 x 0.7 is 503. onnxruntime's Resize multiplies in float32,
and so does what torch.onnx makes of `int(height * 0.7)`: both give 504. Two steps fix that:

- before torch.onnx, resizes by factors that float32 does not hold exactly become what PyTorch does for them:
  the output size as a product of the size, and rows and columns gathered by PyTorch's source coordinates;
- behind it, products of a size with a factor are moved to float64, with the factor that the network has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

__all__ = ["factors_of", "multiply_sizes_in_float64", "resize_decompositions"]

_ATEN = torch.ops.aten
_RESIZES = {
    _ATEN.upsample_nearest2d.vec: 2,
    _ATEN._upsample_nearest_exact2d.vec: 2,  # noqa: SLF001 (the operator's public name)
    _ATEN.upsample_bilinear2d.vec: 3,
}  # operator -> position of its scale factors


def resize_decompositions(
    program: torch.export.ExportedProgram,
) -> dict[Any, Callable[..., Any]]:
    """Decompositions for `run_decompositions`, by operator; empty if no resize needs one."""
    needed = {
        node.target
        for node in program.graph.nodes
        if node.target in _RESIZES and _is_inexact(_factors(node.args, _RESIZES[node.target]))
    }
    table: dict[Any, Callable[..., Any]] = {
        _ATEN.upsample_nearest2d.vec: lambda x, size, factors: _nearest(x, size, factors, 0.0),
        _ATEN._upsample_nearest_exact2d.vec: lambda x, size, factors: _nearest(x, size, factors, 0.5),  # noqa: SLF001 (as above)
        _ATEN.upsample_bilinear2d.vec: _bilinear,
    }
    return {operator: table[operator] for operator in needed}


def factors_of(program: torch.export.ExportedProgram) -> tuple[float, ...]:
    """Every float that the program multiplies or divides a size by, and every scale factor of a resize."""
    found: dict[float, None] = {}
    for node in program.graph.nodes:
        if node.target in _RESIZES:
            found.update(dict.fromkeys(_factors(node.args, _RESIZES[node.target])))
        elif node.op == "call_function" and isinstance(node.meta.get("val"), torch.SymFloat):
            found.update(dict.fromkeys(arg for arg in node.args if isinstance(arg, float)))
    return tuple(found)


def multiply_sizes_in_float64(model: onnx.ModelProto, factors: Iterable[float]) -> onnx.ModelProto:
    """Move scalar products of sizes to float64, in place.

    A chain starts where an integer is cast to float32 and ends where it is cast back to an integer; what is
    between are products and quotients with constants. A constant becomes the factor of the program that
    rounds to it.

    Args:
        model: what torch.onnx made.
        factors: of the program, see `factors_of`.
    """
    exact = {float(np.float32(factor)): factor for factor in factors}
    constants = {i.name: i for i in model.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for cast in [n for n in model.graph.node if n.op_type == "Cast" and _cast_to(n) == TensorProto.FLOAT]:
        chain = _scalar_chain(cast, readers, constants)
        if not chain:
            continue
        _set_cast(cast, TensorProto.DOUBLE)
        for node in chain:
            for position, name in enumerate(node.input):
                if name in constants:
                    value = float(numpy_helper.to_array(constants[name]).reshape(()))
                    double = f"{name}_float64"
                    if double not in constants:
                        made = numpy_helper.from_array(np.array(exact.get(value, value), np.float64), double)
                        model.graph.initializer.append(made)
                        constants[double] = made
                    node.input[position] = double
    return model


def _scalar_chain(
    cast: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]], constants: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto] | None:
    """The products between a cast of a size to float32 and the casts back, if there is nothing else."""
    chain: list[onnx.NodeProto] = []
    waiting = list(cast.output)
    while waiting:
        for node in readers.get(waiting.pop(), ()):
            if node.op_type in ("Mul", "Div") and any(_is_scalar(constants.get(n)) for n in node.input):
                chain.append(node)
                waiting.extend(node.output)
            elif node.op_type in ("Floor", "Ceil", "Round"):
                waiting.extend(node.output)
            elif node.op_type != "Cast" or _cast_to(node) not in (TensorProto.INT64, TensorProto.INT32):
                return None
    return chain


def _is_scalar(constant: onnx.TensorProto | None) -> bool:
    return constant is not None and math.prod(constant.dims) == 1


def _cast_to(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "to"), 0)


def _set_cast(node: onnx.NodeProto, kind: int) -> None:
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("to", kind))


def _factors(args: tuple[Any, ...], position: int) -> tuple[float, ...]:
    given = args[position] if len(args) > position else None
    return tuple(given) if given is not None else ()


def _is_inexact(factors: tuple[float, ...]) -> bool:
    """Whether a product of one of these with a size can round in float32: all but small multiples of 1/64."""
    return any(factor * 64 != int(factor * 64) or factor > 64 for factor in factors)


def _scaled(size: Any, factor: float) -> Any:
    """floor(size * factor), as aten computes the size of the output."""
    return math.trunc(torch.sym_float(size) * factor)  # type: ignore[no-untyped-call]  # torch has no type for it


def _nearest(x: Tensor, size: Any, factors: Any, offset: float) -> Any:
    """Aten's nearest: source = min(floor((i + offset) * float32(1 / factor)), last)."""
    if factors is None or not _is_inexact(tuple(factors)):
        return NotImplemented
    del size
    for axis, factor in zip((2, 3), factors, strict=True):
        cell = torch.arange(_scaled(x.shape[axis], factor), dtype=torch.float32, device=x.device)
        source = torch.floor((cell + offset) * (1.0 / factor)).to(torch.int64)
        x = x.index_select(axis, source.clamp(max=x.shape[axis] - 1))
    return x


def _bilinear(x: Tensor, size: Any, align_corners: bool, factors: Any) -> Any:  # noqa: FBT001 (aten's own)
    """Aten's bilinear: source = max((i + 0.5) * float32(1 / factor) - 0.5, 0), or by the corners alone."""
    if factors is None or not _is_inexact(tuple(factors)):
        return NotImplemented
    del size
    scaled = [_scaled(x.shape[axis], factor) for axis, factor in zip((2, 3), factors, strict=True)]
    if align_corners:
        return _ATEN.upsample_bilinear2d.vec(x, scaled, True, None)
    for axis, factor, length in zip((2, 3), factors, scaled, strict=True):
        cell = torch.arange(length, dtype=torch.float32, device=x.device)
        source = ((cell + 0.5) * (1.0 / factor) - 0.5).clamp(min=0)
        before = torch.floor(source).to(torch.int64).clamp(max=x.shape[axis] - 1)
        behind = (before + 1).clamp(max=x.shape[axis] - 1)
        share = source - before.to(torch.float32)
        share = share[:, None] if axis == 2 else share
        x = x.index_select(axis, before) * (1 - share) + x.index_select(axis, behind) * share
    return x
