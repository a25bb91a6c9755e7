"""Rules of operators that slide a window over an image, or sample it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fcn_edge_runtime.model.dry_run.rule import (
    MAX_SIDE,
    Counter,
    Inputs,
    axis_within,
    checked_sides,
    group_count,
    optional_input,
    required_input,
    whole_numbers,
)
from fcn_edge_runtime.model.dry_run.tensor import Dims, Refused, Step

__all__ = ["convolve", "convolve_back", "pool", "pool_all", "resize", "sample", "to_depth", "to_space"]


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
    data, weights = required_input(x, 0), required_input(x, 1)
    if len(data.dims) < 3 or len(weights.dims) != len(data.dims):
        raise Refused("whose weights do not fit its input")
    kernel = weights.dims[2:]
    group_count(step)
    made = _slid(step, data.dims, kernel)
    places = math.prod(made)
    count.work(data.dims[0] * weights.elements * places)
    count.scratch(places * math.prod(weights.dims[1:]))
    return [(data.dims[0], weights.dims[0], *made)]


def convolve_back(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """A transposed convolution: [N, C, ...] with weights [C, M / group, kernel...]."""
    data, weights = required_input(x, 0), required_input(x, 1)
    if len(data.dims) < 3 or len(weights.dims) != len(data.dims):
        raise Refused("whose weights do not fit its input")
    kernel = weights.dims[2:]
    sides, strides, dilations, before, after, auto = _window(step, data.dims, kernel)
    extra = list(step.lists.get("output_padding") or [0] * len(sides))
    given = step.lists.get("output_shape")
    group = group_count(step)
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
    dims = required_input(x, 0).dims
    kernel = step.lists.get("kernel_shape", ())
    made = (*dims[:2], *_slid(step, dims, kernel))
    count.work(20 * math.prod(made) * math.prod(kernel))
    return [made, made]


def pool_all(_: Step, x: Inputs, __: Counter) -> Sequence[Dims]:
    """One element of each channel."""
    dims = required_input(x, 0).dims
    return [(*dims[:2], *(1,) * (len(dims) - 2))]


_KERNELS = {"nearest": 1, "linear": 4, "cubic": 16}


def resize(step: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """Another height and width, by scales or by sizes."""
    dims = list(required_input(x, 0).dims)
    if step.texts.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refused("that keeps the aspect ratio")
    axes = [axis_within(axis, len(dims)) for axis in step.lists.get("axes", range(len(dims)))]
    scales = optional_input(x, 2)
    if scales is not None and scales.elements:
        if scales.value is None or scales.elements != len(axes):
            raise Refused("whose scales are not known, or do not fit its input")
        for axis, scale in zip(axes, scales.value.reshape(-1).tolist(), strict=True):
            if not 0 < scale < math.inf:
                raise Refused(f"by the scale {scale}")
            dims[axis] = math.floor(dims[axis] * scale)
    else:
        sizes = checked_sides(whole_numbers(x, 3))
        if len(sizes) != len(axes):
            raise Refused("whose sizes do not fit its input")
        for axis, side in zip(axes, sizes, strict=True):
            dims[axis] = side
    each = _KERNELS.get(step.texts.get("mode", "nearest"), 16)
    if step.numbers.get("antialias"):  # then the kernel grows as the image shrinks
        count.work(20 * each * required_input(x, 0).elements)
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
    dims = required_input(x, 0).dims
    if len(dims) != 4:
        raise Refused(f"of {len(dims)} dimensions")
    return dims


def sample(_: Step, x: Inputs, count: Counter) -> Sequence[Dims]:
    """`GridSample`: [N, C, ...] at the places [N, ..., 2]."""
    dims, grid = required_input(x, 0).dims, required_input(x, 1).dims
    made = (*dims[:2], *grid[1:-1])
    count.work(300 * math.prod(made))
    return [made]
