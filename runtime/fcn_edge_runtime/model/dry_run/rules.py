"""The shapes that each operator makes, and the work that it is.

A rule is given what is known of the inputs and returns the shape of each output. Where an operator's result
depends on what the image shows, as that of `NonZero`, the shape is the largest possible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from fcn_edge_runtime.model.dry_run.tensor import Dims, Known, Refused, Step

__all__ = ["Counter", "Rule"]

# Of kernels, strides, dilations and blocks, each way: an image has no more pixels than this.
MAX_SIDE = 4096


class Counter(Protocol):
    """Adds up what a graph costs."""

    def work(self, products: float) -> None:
        """Add multiplications, or what takes as long."""

    def scratch(self, elements: float) -> None:
        """Check memory that an operator takes while it runs."""


Inputs = Sequence[Known | None]
Rule = Callable[[Step, Inputs, Counter], Sequence[Dims]]


def _groups(step: Step, attribute: str = "group") -> int:
    """Of channels. onnxruntime 1.18 divides by this without a look."""
    count = step.numbers.get(attribute, 1)
    if count < 1:
        raise Refused(f"of {count} groups")
    return count


def _given(x: Inputs, position: int) -> Known:
    """An input that may not be left out."""
    found = x[position] if position < len(x) else None
    if found is None:
        raise Refused(f"without its input {position}")
    return found


def _optional(x: Inputs, position: int) -> Known | None:
    return x[position] if position < len(x) else None


def _numbers(x: Inputs, position: int) -> list[int]:
    """The whole numbers in an input that holds a size."""
    found = _given(x, position)
    if found.value is None:
        raise Refused("whose size is not computed from the image's size, or is not a short list")
    numbers: list[int] = [int(v) for v in found.value.reshape(-1).tolist()]
    return numbers


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < max(rank, 1):
        raise Refused(f"with the axis {axis} of {rank}")
    return axis % max(rank, 1)


def _axes(step: Step, x: Inputs, position: int, rank: int) -> list[int] | None:
    """The axes in an input or an attribute; None if they are left out."""
    if _optional(x, position) is not None:
        given = _numbers(x, position)
    elif "axes" in step.lists:
        given = list(step.lists["axes"])
    else:
        return None
    return [_axis(axis, rank) for axis in given]


def _broadcast(shapes: Sequence[Dims]) -> Dims:
    if not shapes:
        raise Refused("without inputs")
    rank = max(map(len, shapes))
    sides = [(1,) * (rank - len(dims)) + dims for dims in shapes]
    return tuple([0 if 0 in column else max(column) for column in zip(*sides, strict=True)])


def same(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """The shape of the first input."""
    return [_given(x, 0).dims]


def slow(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """The shape of the first input, at many operations an element."""
    first = _given(x, 0)
    count.work(100 * first.elements)
    return [first.dims]


def both(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """All inputs, broadcast to one shape."""
    # The usual case first: two of one shape.
    if len(x) == 2 and x[0] is not None and x[1] is not None and x[0].dims == x[1].dims:
        return [x[0].dims]
    return [_broadcast([known.dims for known in x if known is not None])]


def slow_both(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """All inputs, broadcast, at many operations an element."""
    dims = both(step, x, count)
    count.work(100 * math.prod(dims[0]))
    return dims


def divide(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`Div` and `Mod`. Of whole numbers, a division by 0, or of the least by -1, ends the process."""
    by = _given(x, 1)
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
    dims = _given(x, 0).dims
    axes = _axes(step, x, 1, len(dims))
    if not axes:
        if step.numbers.get("noop_with_empty_axes"):
            return [dims]
        axes = list(range(len(dims)))
    return [_reduced(dims, axes, keep=step.numbers.get("keepdims", 1) != 0)]


def best(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """`ArgMax` and `ArgMin`: one axis becomes an index."""
    dims = _given(x, 0).dims
    axis = _axis(step.numbers.get("axis", 0), len(dims))
    return [_reduced(dims, [axis], keep=step.numbers.get("keepdims", 1) != 0)]


def _window(
    step: Step, dims: Dims, kernel: Dims
) -> tuple[Dims, list[int], list[int], list[int], list[int], str]:
    """(sides, strides, dilations, pads at the begin, pads at the end, auto_pad) of a sliding window."""
    sides = dims[2:]
    rank = len(sides)
    strides = list(step.lists.get("strides") or [1] * rank)
    dilations = list(step.lists.get("dilations") or [1] * rank)
    pads = list(step.lists.get("pads") or [0] * (2 * rank))
    auto = step.texts.get("auto_pad", "NOTSET")
    if not rank == len(kernel) == len(strides) == len(dilations) or len(pads) != 2 * rank:
        raise Refused("whose kernel, strides, dilations or pads do not fit its input")
    if not all(1 <= side <= MAX_SIDE for side in (*kernel, *strides, *dilations)):
        raise Refused(f"with a kernel, stride or dilation beyond 1 to {MAX_SIDE}")
    if not all(0 <= side <= MAX_SIDE for side in pads):
        raise Refused(f"with pads beyond 0 to {MAX_SIDE}")
    return sides, strides, dilations, pads[:rank], pads[rank:], auto


def _slid(step: Step, dims: Dims, kernel: Dims) -> Dims:
    """The sides after a sliding window."""
    sides, strides, dilations, before, after, auto = _window(step, dims, kernel)
    made = []
    for i, side in enumerate(sides):
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            made.append(-(-side // strides[i]))
            continue
        padding = 0 if auto == "VALID" else before[i] + after[i]
        span = side + padding - dilations[i] * (kernel[i] - 1) - 1
        if step.numbers.get("ceil_mode"):
            span += strides[i] - 1
        made.append(max(span // strides[i] + 1, 0))
    return tuple(made)


def convolve(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """A convolution: [N, C, ...] with weights [M, C / group, kernel...]."""
    data, weights = _given(x, 0), _given(x, 1)
    if len(data.dims) < 3 or len(weights.dims) != len(data.dims):
        raise Refused("whose weights do not fit its input")
    kernel = weights.dims[2:]
    _groups(step)
    made = _slid(step, data.dims, kernel)
    places = math.prod(made)
    count.work(data.dims[0] * weights.elements * places)
    count.scratch(places * math.prod(weights.dims[1:]))
    return [(data.dims[0], weights.dims[0], *made)]


def convolve_back(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """A transposed convolution: [N, C, ...] with weights [C, M / group, kernel...]."""
    data, weights = _given(x, 0), _given(x, 1)
    if len(data.dims) < 3 or len(weights.dims) != len(data.dims):
        raise Refused("whose weights do not fit its input")
    kernel = weights.dims[2:]
    sides, strides, dilations, before, after, auto = _window(step, data.dims, kernel)
    extra = list(step.lists.get("output_padding") or [0] * len(sides))
    given = step.lists.get("output_shape")
    group = _groups(step)
    if len(extra) != len(sides) or not all(0 <= side <= MAX_SIDE for side in extra):
        raise Refused(f"with an output_padding beyond 0 to {MAX_SIDE}")
    if given is not None:
        made = tuple(max(side, 0) for side in given[-len(sides) :])
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        made = tuple(side * stride for side, stride in zip(sides, strides, strict=True))
    else:
        made = tuple(
            max(
                strides[i] * (side - 1)
                + extra[i]
                + dilations[i] * (kernel[i] - 1)
                + 1
                - (before[i] + after[i] if auto == "NOTSET" else 0),
                0,
            )
            for i, side in enumerate(sides)
        )
    count.work(data.dims[0] * weights.elements * math.prod(sides))
    count.scratch(math.prod(sides) * math.prod(weights.dims[1:]) * group)
    return [(data.dims[0], weights.dims[1] * group, *made)]


def pool(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """The largest or mean of a sliding window; where it was is a second output."""
    dims = _given(x, 0).dims
    kernel = step.lists.get("kernel_shape", ())
    made = (*dims[:2], *_slid(step, dims, kernel))
    count.work(20 * math.prod(made) * math.prod(kernel))
    return [made, made]


def pool_all(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """One element of each channel."""
    dims = _given(x, 0).dims
    return [(*dims[:2], *(1,) * (len(dims) - 2))]


def multiply(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`MatMul`, as numpy's."""
    a, b = _given(x, 0).dims, _given(x, 1).dims
    if not a or not b:
        raise Refused("of a single number")
    left, right = a if len(a) > 1 else (1, *a), b if len(b) > 1 else (*b, 1)
    stacked = _broadcast([left[:-2], right[:-2]])
    count.work(math.prod(stacked) * left[-2] * left[-1] * right[-1])
    rows, columns = left[-2:-1] if len(a) > 1 else (), right[-1:] if len(b) > 1 else ()
    return [(*stacked, *rows, *columns)]


def gemm(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """A product of two matrices, each perhaps transposed."""
    a, b = _given(x, 0).dims, _given(x, 1).dims
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
        dims = _given(x, position).dims
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
    dims = _given(x, 0).dims
    _groups(step, "num_groups")
    _check_scales(x, dims[1] if len(dims) > 1 else 1)
    return [dims]


def normalize_layer(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """`LayerNormalization`: the second and third output are one element a group."""
    dims = _given(x, 0).dims
    axis = _axis(step.numbers.get("axis", -1), len(dims))
    _check_scales(x, math.prod(dims[axis:]))
    small = (*dims[:axis], *(1,) * (len(dims) - axis))
    return [dims, small, small]


def _check_scales(x: Inputs, most: int) -> None:
    """Where onnxruntime writes a normalization as products, larger scales would be broadcast."""
    if any(known is not None and known.elements > most for known in x[1:]):
        raise Refused(f"with more than {most} scales")


def shape_of(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """The number of sides that are asked for."""
    return [(len(_given(x, 0).dims[_cut(step)]),)]


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
    data, shape = _given(x, 0), _numbers(x, 1)
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
    dims = _given(x, 0).dims
    axis = step.numbers.get("axis", 1)
    axis = axis if axis >= 0 else axis + len(dims)
    return [(math.prod(dims[:axis]), math.prod(dims[axis:]))]


def squeeze(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Without dimensions of one element."""
    dims = _given(x, 0).dims
    axes = _axes(step, x, 1, len(dims))
    if axes is None:
        axes = [i for i, side in enumerate(dims) if side == 1]
    return [tuple([side for i, side in enumerate(dims) if i not in axes])]


def unsqueeze(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """With further dimensions of one element."""
    dims, added = _given(x, 0).dims, _numbers(x, 1)
    rank = len(dims) + len(added)
    axes = {_axis(axis, rank) for axis in added}
    left = iter(dims)
    return [tuple([1 if i in axes else next(left, 1) for i in range(rank)])]


def transpose(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Other order of dimensions."""
    dims = _given(x, 0).dims
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
    axis = _axis(step.numbers.get("axis", 0), rank)
    sides = [max(column) for column in zip(*shapes, strict=True)]
    sides[axis] = sum(dims[axis] for dims in shapes)
    return [tuple(sides)]


def split(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Parts along an axis."""
    dims = _given(x, 0).dims
    axis = _axis(step.numbers.get("axis", 0), len(dims))
    parts = len(step.outputs)
    given = _optional(x, 1)
    sizes = [-(-dims[axis] // parts)] * parts if given is None else _numbers(x, 1)
    return [(*dims[:axis], min(max(size, 0), dims[axis]), *dims[axis + 1 :]) for size in sizes]


def cut(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """`Slice`: where its numbers are not known, as large as the input."""
    dims = list(_given(x, 0).dims)
    places = [_given(x, 1), _given(x, 2), _optional(x, 3), _optional(x, 4)]
    if any(known is not None and known.value is None for known in places):
        return [tuple(dims)]
    starts, ends = _numbers(x, 1), _numbers(x, 2)
    axes = _numbers(x, 3) if places[2] is not None else list(range(len(starts)))
    steps = _numbers(x, 4) if places[3] is not None else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Refused("whose starts, ends, axes and steps do not fit")
    for first, last, axis, by in zip(starts, ends, axes, steps, strict=True):
        at = _axis(axis, len(dims))
        side = dims[at]
        end = None if by < 0 and last < -side else last
        dims[at] = len(range(*slice(first, end, by).indices(side)))
    return [tuple(dims)]


def gather(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Parts along an axis, by number."""
    dims, index = _given(x, 0).dims, _given(x, 1).dims
    axis = _axis(step.numbers.get("axis", 0), len(dims))
    return [(*dims[:axis], *index, *dims[axis + 1 :])]


def gather_elements(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """One element for each number."""
    return [_given(x, 1).dims]


def gather_nd(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Parts by several numbers each."""
    dims, index = _given(x, 0).dims, _given(x, 1).dims
    batch = step.numbers.get("batch_dims", 0)
    if not index or not 0 <= batch < len(index) or batch + index[-1] > len(dims):
        raise Refused("whose index does not fit its input")
    return [(*index[:-1], *dims[batch + index[-1] :])]


def pad(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """More around the edges; less where a number is negative."""
    dims, pads = list(_given(x, 0).dims), _numbers(x, 1)
    axes = _axes(step, x, 3, len(dims)) if _optional(x, 3) is not None else None
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
    return [_broadcast([_given(x, 0).dims, _sides(_numbers(x, 1))])]


def filled(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """`ConstantOfShape`."""
    return [_sides(_numbers(x, 0))]


def _sides(numbers: list[int]) -> Dims:
    if numbers and min(numbers) < 0:
        raise Refused(f"to the shape {numbers[:8]}")
    return tuple(numbers)


def tile(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """Repeated along each dimension."""
    dims, repeats = _given(x, 0).dims, _sides(_numbers(x, 1))
    if len(dims) != len(repeats):
        raise Refused("whose repeats do not fit its input")
    return [tuple(side * times for side, times in zip(dims, repeats, strict=True))]


def count_up(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """`Range`: start, limit, step."""
    numbers = [_given(x, i).value for i in range(3)]
    start, limit, step = (None if v is None else float(v.reshape(-1)[0]) for v in numbers)
    if start is None or limit is None or step is None:
        raise Refused("whose size is not computed from the image's size")
    numbers_made = (limit - start) / step if step else math.inf
    if not math.isfinite(numbers_made):
        raise Refused(f"from {start} to {limit} in steps of {step}")
    return [(max(math.ceil(numbers_made), 0),)]


_KERNELS = {"nearest": 1, "linear": 4, "cubic": 16}


def resize(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """Another height and width, by scales or by sizes."""
    dims = list(_given(x, 0).dims)
    if step.texts.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refused("that keeps the aspect ratio")
    axes = [_axis(axis, len(dims)) for axis in step.lists.get("axes", range(len(dims)))]
    scales = _optional(x, 2)
    if scales is not None and scales.elements:
        if scales.value is None or scales.elements != len(axes):
            raise Refused("whose scales are not known, or do not fit its input")
        for axis, scale in zip(axes, scales.value.reshape(-1).tolist(), strict=True):
            if not 0 < scale < math.inf:
                raise Refused(f"by the scale {scale}")
            dims[axis] = math.floor(dims[axis] * scale)
    else:
        sizes = _sides(_numbers(x, 3))
        if len(sizes) != len(axes):
            raise Refused("whose sizes do not fit its input")
        for axis, side in zip(axes, sizes, strict=True):
            dims[axis] = side
    each = _KERNELS.get(step.texts.get("mode", "nearest"), 16)
    if step.numbers.get("antialias"):  # then the kernel grows as the image shrinks
        count.work(20 * each * _given(x, 0).elements)
    count.work(20 * each * math.prod(dims))
    return [tuple(dims)]


def _block(step: Step) -> int:
    size = step.numbers.get("blocksize", 0)
    if not 1 <= size <= MAX_SIDE:
        raise Refused(f"with a blocksize beyond 1 to {MAX_SIDE}")
    return size


def to_space(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """`DepthToSpace`."""
    n, c, h, w = _four(x)
    block = _block(step)
    return [(n, c // block**2, h * block, w * block)]


def to_depth(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """`SpaceToDepth`."""
    n, c, h, w = _four(x)
    block = _block(step)
    return [(n, c * block**2, h // block, w // block)]


def _four(x: Inputs) -> Dims:
    dims = _given(x, 0).dims
    if len(dims) != 4:
        raise Refused(f"of {len(dims)} dimensions")
    return dims


def sample(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`GridSample`: [N, C, ...] at the places [N, ..., 2]."""
    dims, grid = _given(x, 0).dims, _given(x, 1).dims
    made = (*dims[:2], *grid[1:-1])
    count.work(300 * math.prod(made))
    return [made]


def top(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`TopK`: the largest and where they are."""
    data, (most, *_) = _given(x, 0), _numbers(x, 1) or [0]
    axis = _axis(step.numbers.get("axis", -1), len(data.dims))
    count.work(300 * data.elements)
    made = (*data.dims[:axis], min(max(most, 0), data.dims[axis]), *data.dims[axis + 1 :])
    return [made, made]


def nonzero(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """The places that are not 0, at most all of them."""
    data = _given(x, 0)
    count.work(100 * data.elements)
    return [(max(len(data.dims), 1), data.elements)]


def compress(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """Those that a condition selects, at most all of them."""
    data, condition = _given(x, 0), _given(x, 1)
    if "axis" not in step.numbers:
        return [(min(data.elements, condition.elements),)]
    axis = _axis(step.numbers["axis"], len(data.dims))
    kept = min(data.dims[axis], condition.elements)
    return [(*data.dims[:axis], kept, *data.dims[axis + 1 :])]


def one_hot(step: Step, x: Inputs, _: Counter) -> Sequence[Dims]:
    """A further dimension for the classes."""
    dims, depth = _given(x, 0).dims, _numbers(x, 1)
    axis = _axis(step.numbers.get("axis", -1), len(dims) + 1)
    return [(*dims[:axis], *_sides(depth[:1]), *dims[axis:])]
