"""The values of small tensors: what a graph computes sizes with, computed as onnxruntime does.

A function here may fail with any of numpy's errors: then the value is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fcn_edge_runtime.model.dry_run.tensor import Step
from fcn_edge_runtime.model.protobuf.tensors import NUMPY_TYPES

__all__ = ["COMPUTED", "MOST"]

# Elements of a tensor whose value is followed: the rows or columns of an image.
MOST = 1 << 13

Array = np.ndarray
Computed = Callable[[Step, Sequence[Any]], Array]


def _div(a: Array, b: Array) -> Array:
    """Integers are cut towards zero."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient).astype(a.dtype))


def _mod(step: Step, x: Sequence[Array]) -> Array:
    return np.asarray((np.fmod if step.numbers.get("fmod") else np.mod)(x[0], x[1]))


def _slice(_: Step, x: Sequence[Any]) -> Array:
    data, starts, ends = x[0], x[1], x[2]
    axes = range(len(starts)) if len(x) < 4 or x[3] is None else x[3].tolist()
    steps = [1] * len(starts) if len(x) < 5 or x[4] is None else x[4].tolist()
    cut: list[slice] = [slice(None)] * data.ndim
    for axis, first, last, by in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        end = None if by < 0 and last < -data.shape[axis] else last
        cut[axis] = slice(first, end, by)
    return np.asarray(data[tuple(cut)])


def _reduce(function: Callable[..., Any]) -> Computed:
    def reduced(step: Step, x: Sequence[Any]) -> Array:
        given = None if len(x) < 2 or x[1] is None else tuple(x[1].tolist())
        axes = step.lists.get("axes") or given or None
        if axes is None and step.numbers.get("noop_with_empty_axes"):
            return np.asarray(x[0])
        result = function(x[0], axis=axes, keepdims=bool(step.numbers.get("keepdims", 1)))
        return np.asarray(result).astype(x[0].dtype)

    return reduced


def _same(function: Callable[..., Any]) -> Computed:
    """A function of its inputs alone; the type stays that of the first."""
    return lambda _, x: np.asarray(function(*x)).astype(x[0].dtype)


def _test(function: Callable[..., Any]) -> Computed:
    return lambda _, x: np.asarray(function(*x))


def _reshaped(_: Step, x: Sequence[Array]) -> Array:
    shape = x[1].tolist()
    return x[0].reshape([x[0].shape[i] if side == 0 else side for i, side in enumerate(shape)])


def _squeezed(_: Step, x: Sequence[Any]) -> Array:
    return np.asarray(np.squeeze(x[0], None if len(x) < 2 or x[1] is None else tuple(x[1].tolist())))


def _filled(step: Step, x: Sequence[Array]) -> Array:
    fill = np.zeros(1, np.float32) if step.tensor is None else step.tensor
    return np.full(x[0].tolist(), fill.reshape(-1)[0], fill.dtype)


def _cast(step: Step, x: Sequence[Array]) -> Array:
    return x[0].astype(NUMPY_TYPES[step.numbers["to"]])


def _folded(function: Callable[[Any, Any], Any]) -> Computed:
    """A function of two, over any number of inputs."""

    def folded(_: Step, x: Sequence[Array]) -> Array:
        result = x[0]
        for other in x[1:]:
            result = function(result, other)
        return np.asarray(result).astype(x[0].dtype)

    return folded


# Operator -> its value; an input that is left out is None.
COMPUTED: dict[str, Computed] = {
    "Abs": _same(np.abs),
    "Add": _same(np.add),
    "And": _test(np.logical_and),
    "Cast": _cast,
    "Ceil": _same(np.ceil),
    "Concat": lambda s, x: np.concatenate(x, axis=s.numbers["axis"]),
    "ConstantOfShape": _filled,
    "Div": _same(_div),
    "Equal": _test(np.equal),
    "Expand": lambda _, x: np.asarray(x[0] * np.ones(x[1].tolist(), x[0].dtype)),
    "Floor": _same(np.floor),
    "Gather": lambda s, x: np.take(x[0], x[1], axis=s.numbers.get("axis", 0)),
    "Greater": _test(np.greater),
    "GreaterOrEqual": _test(np.greater_equal),
    "Identity": lambda _, x: x[0],
    "Less": _test(np.less),
    "LessOrEqual": _test(np.less_equal),
    "Max": _folded(np.maximum),
    "Min": _folded(np.minimum),
    "Mod": _mod,
    "Mul": _same(np.multiply),
    "Neg": _same(np.negative),
    "Not": _test(np.logical_not),
    "Or": _test(np.logical_or),
    "Pow": _same(np.power),
    "Range": lambda _, x: np.arange(*(v.item() for v in x), dtype=x[0].dtype),
    "Reciprocal": _same(np.reciprocal),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshaped,
    "Round": _same(np.rint),
    "Sign": _same(np.sign),
    "Slice": _slice,
    "Sqrt": _same(np.sqrt),
    "Squeeze": _squeezed,
    "Sub": _same(np.subtract),
    "Sum": _folded(np.add),
    "Tile": lambda _, x: np.tile(x[0], x[1].tolist()),
    "Transpose": lambda s, x: np.transpose(x[0], s.lists.get("perm") or None),
    "Unsqueeze": lambda _, x: np.expand_dims(x[0], tuple(x[1].tolist())),
    "Where": _test(np.where),
    "Xor": _test(np.logical_xor),
}
