"""What a rule is: it is given what is known of an operator's inputs, and returns the shape of each output.

Where an operator's result depends on what the image shows, as that of `NonZero`, the shape is the largest
possible. The functions here read a rule's inputs and refuse what does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fcn_edge_runtime.model.dry_run.tensor import Dims, Known, Refused, Step

__all__ = [
    "MAX_SIDE",
    "Counter",
    "Inputs",
    "Rule",
    "axes_of",
    "axis_within",
    "broadcast_dims",
    "checked_sides",
    "group_count",
    "optional_input",
    "required_input",
    "whole_numbers",
]

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


def group_count(step: Step, attribute: str = "group") -> int:
    """Of channels. onnxruntime 1.18 divides by this without a look."""
    count = step.numbers.get(attribute, 1)
    if count < 1:
        raise Refused(f"of {count} groups")
    return count


def required_input(x: Inputs, position: int) -> Known:
    """An input that may not be left out."""
    found = x[position] if position < len(x) else None
    if found is None:
        raise Refused(f"without its input {position}")
    return found


def optional_input(x: Inputs, position: int) -> Known | None:
    """An input that may be left out; None if it is."""
    return x[position] if position < len(x) else None


def whole_numbers(x: Inputs, position: int) -> list[int]:
    """The whole numbers in an input that holds a size."""
    found = required_input(x, position)
    if found.value is None:
        raise Refused("whose size is not computed from the image's size, or is not a short list")
    numbers: list[int] = [int(v) for v in found.value.reshape(-1).tolist()]
    return numbers


def axis_within(axis: int, rank: int) -> int:
    """The number of an axis, counted from the first."""
    if not -rank <= axis < max(rank, 1):
        raise Refused(f"with the axis {axis} of {rank}")
    return axis % max(rank, 1)


def axes_of(step: Step, x: Inputs, position: int, rank: int) -> list[int] | None:
    """The axes in an input or an attribute; None if they are left out."""
    if optional_input(x, position) is not None:
        given = whole_numbers(x, position)
    elif "axes" in step.lists:
        given = list(step.lists["axes"])
    else:
        return None
    return [axis_within(axis, rank) for axis in given]


def broadcast_dims(shapes: Sequence[Dims]) -> Dims:
    """The shape to which all of them are broadcast."""
    if not shapes:
        raise Refused("without inputs")
    rank = max(map(len, shapes))
    sides = [(1,) * (rank - len(dims)) + dims for dims in shapes]
    return tuple([0 if 0 in column else max(column) for column in zip(*sides, strict=True)])


def checked_sides(numbers: list[int]) -> Dims:
    """A shape of whole numbers, none of them negative."""
    if numbers and min(numbers) < 0:
        raise Refused(f"to the shape {numbers[:8]}")
    return tuple(numbers)
