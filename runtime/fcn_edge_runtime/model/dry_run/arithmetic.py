"""Rules of operators that compute: elementwise, products, reductions, normalizations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fcn_edge_runtime.model.dry_run.rule import (
    Counter,
    Inputs,
    axes_of,
    axis_within,
    broadcast_dims,
    group_count,
    required_input,
)
from fcn_edge_runtime.model.dry_run.tensor import Dims, Refused, Step

__all__ = [
    "best",
    "both",
    "divide",
    "einsum",
    "gemm",
    "multiply",
    "normalize",
    "normalize_layer",
    "reduce",
    "same",
    "slow",
    "slow_both",
    "two_same",
]


def same(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """The shape of the first input."""
    return [required_input(x, 0).dims]


def slow(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """The shape of the first input, at many operations an element."""
    first = required_input(x, 0)
    count.work(100 * first.elements)
    return [first.dims]


def both(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """All inputs, broadcast to one shape."""
    # The usual case first: two of one shape.
    if len(x) == 2 and x[0] is not None and x[1] is not None and x[0].dims == x[1].dims:
        return [x[0].dims]
    return [broadcast_dims([known.dims for known in x if known is not None])]


def slow_both(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """All inputs, broadcast, at many operations an element."""
    dims = both(step, x, count)
    count.work(100 * math.prod(dims[0]))
    return dims


def divide(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`Div` and `Mod`. Of whole numbers, a division by 0, or of the least by -1, ends the process."""
    by = required_input(x, 1)
    if by.is_integer and (by.value is None or np.isin(by.value, (0, -1)).any()):
        raise Refused("of whole numbers by 0, by -1, or by what the image shows")
    return slow_both(step, x, count)


def two_same(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """Two outputs of the shape of the first input."""
    return [*same(step, x, count)] * 2


def _reduced(dims: Dims, axes: Sequence[int], *, keep: bool) -> Dims:
    if keep:
        return tuple([1 if i in axes else side for i, side in enumerate(dims)])
    return tuple([side for i, side in enumerate(dims) if i not in axes])


def reduce(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Some axes, or all, become one element."""
    dims = required_input(x, 0).dims
    axes = axes_of(step, x, 1, len(dims))
    if not axes:
        if step.numbers.get("noop_with_empty_axes"):
            return [dims]
        axes = list(range(len(dims)))
    return [_reduced(dims, axes, keep=step.numbers.get("keepdims", 1) != 0)]


def best(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """`ArgMax` and `ArgMin`: one axis becomes an index."""
    dims = required_input(x, 0).dims
    axis = axis_within(step.numbers.get("axis", 0), len(dims))
    return [_reduced(dims, [axis], keep=step.numbers.get("keepdims", 1) != 0)]


def multiply(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`MatMul`, as numpy's."""
    a, b = required_input(x, 0).dims, required_input(x, 1).dims
    if not a or not b:
        raise Refused("of a single number")
    left, right = a if len(a) > 1 else (1, *a), b if len(b) > 1 else (*b, 1)
    stacked = broadcast_dims([left[:-2], right[:-2]])
    count.work(math.prod(stacked) * left[-2] * left[-1] * right[-1])
    rows, columns = left[-2:-1] if len(a) > 1 else (), right[-1:] if len(b) > 1 else ()
    return [(*stacked, *rows, *columns)]


def gemm(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """A product of two matrices, each perhaps transposed."""
    a, b = required_input(x, 0).dims, required_input(x, 1).dims
    if len(a) != 2 or len(b) != 2:
        raise Refused("of other than two matrices")
    rows, inner = a[::-1] if step.numbers.get("transA") else a
    columns = b[0] if step.numbers.get("transB") else b[1]
    count.work(rows * inner * columns)
    return [(rows, columns)]


def einsum(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """Products summed over the letters that are not in the output."""
    terms, arrow, out = step.texts.get("equation", "").replace(" ", "").partition("->")
    operands = terms.split(",")
    sides: dict[str, int] = {}
    if not arrow or len(operands) != len(x) or not (terms + out).replace(",", "").isalpha():
        raise Refused("of another form than letters, commas and an arrow")
    for position, letters in enumerate(operands):
        dims = required_input(x, position).dims
        if len(letters) != len(dims):
            raise Refused("whose letters do not fit its inputs")
        for letter, side in zip(letters, dims, strict=True):
            sides[letter] = max(sides.get(letter, 0), side)
    if not set(out) <= set(sides):
        raise Refused("whose letters do not fit its inputs")
    count.work(10 * math.prod(sides.values()))
    # With more than two operands it goes in pairs, of which none has more than all letters.
    count.scratch(math.prod(sides.values()) if len(x) > 2 else 0)
    return [tuple(sides[letter] for letter in out)]


def normalize(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """The shape of the first input; its scales have at most an element for each channel."""
    dims = required_input(x, 0).dims
    group_count(step, "num_groups")
    _check_scales(x, dims[1] if len(dims) > 1 else 1)
    return [dims]


def normalize_layer(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """`LayerNormalization`: the second and third output are one element a group."""
    dims = required_input(x, 0).dims
    axis = axis_within(step.numbers.get("axis", -1), len(dims))
    _check_scales(x, math.prod(dims[axis:]))
    small = (*dims[:axis], *(1,) * (len(dims) - axis))
    return [dims, small, small]


def _check_scales(x: Inputs, most: int) -> None:
    """Where onnxruntime writes a normalization as products, larger scales would be broadcast."""
    if any(known is not None and known.elements > most for known in x[1:]):
        raise Refused(f"with more than {most} scales")
