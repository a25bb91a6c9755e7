"""Rules of operators that arrange elements: shapes, slices, concatenations, selections."""

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
    checked_sides,
    optional_input,
    required_input,
    whole_numbers,
)
from fcn_edge_runtime.model.dry_run.tensor import Dims, Known, Refused, Step

__all__ = [
    "compress",
    "concat",
    "count_up",
    "cut",
    "expand",
    "filled",
    "flatten",
    "gather",
    "gather_elements",
    "gather_nd",
    "nonzero",
    "one_hot",
    "pad",
    "reshape",
    "shape_of",
    "sides_of",
    "single",
    "split",
    "squeeze",
    "tile",
    "top",
    "transpose",
    "unsqueeze",
]


def shape_of(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """The number of sides that are asked for."""
    return [(len(required_input(x, 0).dims[_cut(step)]),)]


def _cut(step: Step) -> slice:
    return slice(step.numbers.get("start", 0), step.numbers.get("end"))


def sides_of(step: Step, x: Known) -> np.ndarray:
    """The value of `Shape`."""
    return np.array(x.dims[_cut(step)], np.int64)


def single(_: Step, __: Inputs, ___: Counter) -> Sequence[Dims]:
    """One number."""
    return [()]


def reshape(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """The same elements in other dimensions: 0 keeps one, and one may be -1."""
    data, shape = required_input(x, 0), whole_numbers(x, 1)
    sides = list(shape)
    if not step.numbers.get("allowzero"):
        sides = [data.dims[i] if side == 0 and i < len(data.dims) else side for i, side in enumerate(shape)]
    if min(sides, default=0) < -1 or sides.count(-1) > 1:
        raise Refused(f"to the shape {shape[:8]}")
    known = math.prod(side for side in sides if side != -1)
    if -1 in sides:
        sides[sides.index(-1)] = -(-data.elements // known) if known else 0
    return [tuple(sides)]


def flatten(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Two dimensions."""
    dims = required_input(x, 0).dims
    axis = step.numbers.get("axis", 1)
    axis = axis if axis >= 0 else axis + len(dims)
    return [(math.prod(dims[:axis]), math.prod(dims[axis:]))]


def squeeze(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Without dimensions of one element."""
    dims = required_input(x, 0).dims
    axes = axes_of(step, x, 1, len(dims))
    if axes is None:
        axes = [i for i, side in enumerate(dims) if side == 1]
    return [tuple([side for i, side in enumerate(dims) if i not in axes])]


def unsqueeze(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """With further dimensions of one element."""
    dims, added = required_input(x, 0).dims, whole_numbers(x, 1)
    rank = len(dims) + len(added)
    axes = {axis_within(axis, rank) for axis in added}
    left = iter(dims)
    return [tuple([1 if i in axes else next(left, 1) for i in range(rank)])]


def transpose(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Other order of dimensions."""
    dims = required_input(x, 0).dims
    order = step.lists.get("perm") or tuple(range(len(dims)))[::-1]
    if sorted(order) != list(range(len(dims))):
        raise Refused(f"with the order {order[:8]}")
    return [tuple([dims[i] for i in order])]


def concat(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """One after the other."""
    shapes = [known.dims for known in x if known is not None]
    rank = len(shapes[0]) if shapes else 0
    if not rank or any(len(dims) != rank for dims in shapes):
        raise Refused("of inputs with different numbers of dimensions")
    axis = axis_within(step.numbers.get("axis", 0), rank)
    sides = [max(column) for column in zip(*shapes, strict=True)]
    sides[axis] = sum(dims[axis] for dims in shapes)
    return [tuple(sides)]


def split(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Parts along an axis."""
    dims = required_input(x, 0).dims
    axis = axis_within(step.numbers.get("axis", 0), len(dims))
    parts = len(step.outputs)
    given = optional_input(x, 1)
    sizes = [-(-dims[axis] // parts)] * parts if given is None else whole_numbers(x, 1)
    return [(*dims[:axis], min(max(size, 0), dims[axis]), *dims[axis + 1 :]) for size in sizes]


def cut(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """`Slice`: where its numbers are not known, as large as the input."""
    dims = list(required_input(x, 0).dims)
    places = [required_input(x, 1), required_input(x, 2), optional_input(x, 3), optional_input(x, 4)]
    if any(known is not None and known.value is None for known in places):
        return [tuple(dims)]
    starts, ends = whole_numbers(x, 1), whole_numbers(x, 2)
    axes = whole_numbers(x, 3) if places[2] is not None else list(range(len(starts)))
    steps = whole_numbers(x, 4) if places[3] is not None else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Refused("whose starts, ends, axes and steps do not fit")
    for first, last, axis, by in zip(starts, ends, axes, steps, strict=True):
        at = axis_within(axis, len(dims))
        side = dims[at]
        end = None if by < 0 and last < -side else last
        dims[at] = len(range(*slice(first, end, by).indices(side)))
    return [tuple(dims)]


def gather(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Parts along an axis, by number."""
    dims, index = required_input(x, 0).dims, required_input(x, 1).dims
    axis = axis_within(step.numbers.get("axis", 0), len(dims))
    return [(*dims[:axis], *index, *dims[axis + 1 :])]


def gather_elements(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """One element for each number."""
    return [required_input(x, 1).dims]


def gather_nd(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Parts by several numbers each."""
    dims, index = required_input(x, 0).dims, required_input(x, 1).dims
    batch = step.numbers.get("batch_dims", 0)
    if not index or not 0 <= batch < len(index) or batch + index[-1] > len(dims):
        raise Refused("whose index does not fit its input")
    return [(*index[:-1], *dims[batch + index[-1] :])]


def pad(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """More around the edges; less where a number is negative."""
    dims, pads = list(required_input(x, 0).dims), whole_numbers(x, 1)
    axes = axes_of(step, x, 3, len(dims)) if optional_input(x, 3) is not None else None
    axes = list(range(len(dims))) if axes is None else axes
    if len(pads) != 2 * len(axes):
        raise Refused("whose pads do not fit its input")
    reflects = step.texts.get("mode") == "reflect"
    for i, axis in enumerate(axes):
        before, after = pads[i], pads[i + len(axes)]
        if reflects and max(before, after) >= max(dims[axis], 1):
            raise Refused(f"that reflects {max(before, after)} rows of {dims[axis]}")
        dims[axis] = max(dims[axis] + before + after, 0)
    return [tuple(dims)]


def expand(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """Broadcast to a shape."""
    return [broadcast_dims([required_input(x, 0).dims, checked_sides(whole_numbers(x, 1))])]


def filled(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """`ConstantOfShape`."""
    return [checked_sides(whole_numbers(x, 0))]


def tile(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """Repeated along each dimension."""
    dims, repeats = required_input(x, 0).dims, checked_sides(whole_numbers(x, 1))
    if len(dims) != len(repeats):
        raise Refused("whose repeats do not fit its input")
    return [tuple(side * times for side, times in zip(dims, repeats, strict=True))]


def count_up(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """`Range`: start, limit, step."""
    numbers = [required_input(x, i).value for i in range(3)]
    start, limit, step = (None if v is None else float(v.reshape(-1)[0]) for v in numbers)
    if start is None or limit is None or step is None:
        raise Refused("whose size is not computed from the image's size")
    numbers_made = (limit - start) / step if step else math.inf
    if not math.isfinite(numbers_made):
        raise Refused(f"from {start} to {limit} in steps of {step}")
    return [(max(math.ceil(numbers_made), 0),)]


def top(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`TopK`: the largest and where they are."""
    data, (most, *_) = required_input(x, 0), whole_numbers(x, 1) or [0]
    axis = axis_within(step.numbers.get("axis", -1), len(data.dims))
    count.work(300 * data.elements)
    made = (*data.dims[:axis], min(max(most, 0), data.dims[axis]), *data.dims[axis + 1 :])
    return [made, made]


def nonzero(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """The places that are not 0, at most all of them."""
    data = required_input(x, 0)
    count.work(100 * data.elements)
    return [(max(len(data.dims), 1), data.elements)]


def compress(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Those that a condition selects, at most all of them."""
    data, condition = required_input(x, 0), required_input(x, 1)
    if "axis" not in step.numbers:
        return [(min(data.elements, condition.elements),)]
    axis = axis_within(step.numbers["axis"], len(data.dims))
    kept = min(data.dims[axis], condition.elements)
    return [(*data.dims[:axis], kept, *data.dims[axis + 1 :])]


def one_hot(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """A further dimension for the classes."""
    dims, depth = required_input(x, 0).dims, whole_numbers(x, 1)
    axis = axis_within(step.numbers.get("axis", -1), len(dims) + 1)
    return [(*dims[:axis], *checked_sides(depth[:1]), *dims[axis:])]
