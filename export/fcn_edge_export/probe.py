"""A network run at some sizes: which of its outputs holds the logits, and which sizes it accepts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fcn_edge_export.outputs import choose_output, pick_output
from fcn_edge_export.sizes import STARTS, OneSizeError, Sizes, find_sizes, reduction_of
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card_facts import MAX_WORKING_SIDE

__all__ = ["probe"]

MOST_VALUES = 1 << 28  # in one tensor, of an image of at most 1024 x 1024
PATIENCE = 8.0  # seconds for finding a size that is accepted
SQUARES = (
    128,
    160,
    192,
    256,
    288,
    320,
    336,
    392,
    416,
    448,
    473,
    480,
    513,
    518,
    560,
    576,
    608,
    713,
    768,
    1024,
)
LANDSCAPES = ((240, 320), (480, 640), (360, 640), (360, 480), (512, 1024), (384, 1280), (720, 1280))


def probe(
    net: nn.Module,
    channels: int,
    *,
    output: str | None = None,
    classes: int | None = None,
    multiple: int | None = None,
    working: tuple[int, int] | None = None,
    auto: bool = False,
) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) accepts.

    Args:
        net: the network.
        channels: of the image.
        output: which of its outputs to take, see `outputs.choose_output`.
        classes: how many the card names; None if that is open.
        multiple: use it at multiples of this alone; None finds the smallest.
        working: (height, width) that it is used at, if it does not accept others; None is none.
        auto: take the only size that it accepts, if there is only one.

    Raises:
        UsageError: it returns several maps, and nothing says which holds the logits.
        OneSizeError: it accepts one size, or square images alone.
        ArtifactError: it accepts none of the sizes tried, or its logits do not cover its input.
    """
    try:
        return _any_size(net, channels, output, classes, multiple)
    except ArtifactError as error:
        if auto and isinstance(error, OneSizeError) and not error.square:
            working = error.size
        if working is None:
            raise
        return _at_one_size(net, channels, output, classes, working)


def _any_size(
    net: nn.Module, channels: int, output: str | None, classes: int | None, multiple: int | None
) -> Sizes:
    start, name, first = _first_size(net, channels, output, classes)

    def shape_at(height: int, width: int) -> tuple[int, ...] | None:
        run = _run(net, channels, height, width)
        try:
            return None if run.error else tuple(pick_output(run.output, name).shape)
        except ArtifactError:  # no logits at this size
            return None

    return find_sizes(shape_at, start, first, name, multiple)


def _at_one_size(
    net: nn.Module, channels: int, output: str | None, classes: int | None, size: tuple[int, int]
) -> Sizes:
    run = _run(net, channels, *size)
    if run.error:
        raise ArtifactError(
            f"probe: the network accepts no image of its working size {size[0]}x{size[1]}: {run.error}"
        )
    name = choose_output(run.output, output, classes)
    shape = tuple(pick_output(run.output, name).shape)
    return Sizes(shape[1], min(size), 1, reduction_of(*size, shape), name, size)


@dataclass(frozen=True)
class _Run:
    """What the network returned for an image of one size, or its error."""

    output: Any
    error: str = ""


class _Bounded(TorchFunctionMode):
    """Stops a network that doubles its map until it has the image's size, and never hits it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result: Any = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() > MOST_VALUES:
            raise MemoryError(f"a map inside of it has the shape {list(result.shape)}")
        return result


def _run(net: nn.Module, channels: int, height: int, width: int) -> _Run:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator)
    try:
        with torch.inference_mode(), _Bounded():
            return _Run(net(x))
    except Exception as error:  # noqa: BLE001 (a network may raise anything at a size it does not accept)
        return _Run(None, f"{type(error).__name__}: {error}")


def _first_size(
    net: nn.Module, channels: int, output: str | None, classes: int | None
) -> tuple[int, str, tuple[int, ...]]:
    """The first size that the network accepts, the name of the logits in its output, and their shape."""
    error, end = "", time.monotonic() + PATIENCE
    for height, width in (*((side, side) for side in STARTS), *_further_sizes(net)):
        run = _run(net, channels, height, width)
        if not run.error and height != width:
            raise OneSizeError((height, width))
        if not run.error:
            name = choose_output(run.output, output, classes)
            return height, name, tuple(pick_output(run.output, name).shape)
        error = error or run.error
        if time.monotonic() > end:
            break
    raise ArtifactError(
        f"probe: the network accepted no {channels}-channel image of {', '.join(map(str, STARTS))} pixels "
        f"a side, nor of other common sizes; the error at {STARTS[0]} was: {error}; if it takes images of "
        "one size alone, name that size: --working-size HEIGHTxWIDTH"
    )


def _further_sizes(net: nn.Module) -> Iterator[tuple[int, int]]:
    """Sizes to try where no common one is accepted: what the network says, sides k n + r, one size alone."""
    for module in net.modules():
        config = getattr(module, "config", None)
        for owner in (module, config):
            for name in ("img_size", "image_size", "input_size"):
                yield from _size_in(getattr(owner, name, None))
    yield from ((side, side) for side in (97, 64, *SQUARES))
    yield from LANDSCAPES
    yield from ((side, side) for side in range(98, 161))


def _size_in(value: Any) -> Iterator[tuple[int, int]]:
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(n, int) for n in pair):
        return
    if 1 <= min(pair) <= max(pair) <= MAX_WORKING_SIDE:
        yield pair[0], pair[1]
