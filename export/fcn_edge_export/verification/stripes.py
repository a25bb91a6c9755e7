"""Large sizes of heavy networks: verified in two stripes where these show whatever the whole would show.

A size whose whole would take more than `MOST_WORK` is verified as one stripe of its height and one of its
width, if

- the graph makes each logit of a window, and height and width shape it apart from each other (`graph.local`);
- no line of the network's code made a condition on the size while it was traced;
- PyTorch runs the same operations on the same tensors for the whole as for the stripes, and each number that
  they are given is that of one of the stripes.

Then the whole differs from its stripes by nothing but more windows of the same kind. All other sizes, and
those that a user names, are verified whole. What counts is work, not time: a card does not depend on the
machine. The other side of a stripe leaves the same remainder when it is halved as the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import onnx

from fcn_edge_export.conditions import Condition, Size
from fcn_edge_export.graph.local import is_local

__all__ = ["MOST_WORK", "Operations", "in_stripes"]

MOST_WORK = 100 * 10**9  # multiply-accumulates of a size that is always verified whole
HALVED = 64  # the sides of a stripe and of the whole leave the same remainder


@dataclass(frozen=True)
class Operations:
    """What PyTorch runs for one image.

    Attributes:
        calls: each operation: its name, its arguments, and the shapes of its results, as words and numbers.
        work: multiply-accumulates of all.
    """

    calls: tuple[tuple[Any, ...], ...]
    work: int


def in_stripes(
    sizes: Sequence[Size],
    network: onnx.ModelProto,
    conditions: Sequence[Condition],
    operations: Callable[[int, int], Operations | None],
    *,
    smallest: int,
    multiple: int,
) -> tuple[Size, ...]:
    """The sizes, with two stripes in place of each one that is heavy and holds no more than they do.

    Args:
        sizes: of images.
        network: `normalized` -> `logits`.
        conditions: that tracing recorded.
        operations: height, width -> what PyTorch runs for an image that the network sees at this size; None
            where that is not known.
        smallest: height and width of an image that the file takes.
        multiple: to which images are padded.
    """
    if any(condition.where for condition in conditions) or not is_local(network):
        return tuple(sizes)

    def at(height: int, width: int) -> Operations | None:
        return operations(height + -height % multiple, width + -width % multiple)

    found: list[Size] = []
    for batch, height, width in sizes:
        step = math.lcm(HALVED, multiple)
        low, narrow = (_shortest(side, step, max(HALVED, smallest)) for side in (height, width))
        stripes = ((batch, height, narrow), (batch, low, width))
        whole = at(height, width) if 2 * (height * narrow + low * width) <= height * width else None
        if whole is not None and whole.work * batch > MOST_WORK:
            tall, wide = at(height, narrow), at(low, width)
            if tall is not None and wide is not None and _made_of(whole, tall, wide):
                found += stripes
                continue
        found.append((batch, height, width))
    return tuple(found)


def _shortest(side: int, step: int, least: int) -> int:
    """The smallest side of at least `least` that leaves the same remainder as `side`."""
    return least + (side - least) % step


def _made_of(whole: Operations, tall: Operations, wide: Operations) -> bool:
    """Whether each operation of the whole is that of both stripes, and each number that of one of them."""
    return all(
        None not in calls and len({len(call) for call in calls}) == 1 and all(map(_part_of, *calls))
        for calls in zip_longest(whole.calls, tall.calls, wide.calls)
    )


def _part_of(whole: Any, tall: Any, wide: Any) -> bool:
    if isinstance(whole, (int, float)) and not isinstance(whole, bool):
        return whole in (tall, wide)
    return bool(whole == tall == wide)
