"""A network run at some sizes: which of its outputs holds the logits, and which sizes it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fcn_edge_export.outputs import choose_output, pick_output
from fcn_edge_export.sizes import STARTS, Sizes, find_sizes, reduction_of
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["probe"]


def probe(
    net: nn.Module,
    channels: int,
    *,
    output: str | None = None,
    classes: int | None = None,
    multiple: int | None = None,
    fixed: tuple[int, int] | None = None,
) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) accepts.

    Args:
        net: the network.
        channels: of the image.
        output: which of its outputs to take, see `outputs.choose_output`.
        classes: how many the card names; None if that is open.
        multiple: use it at multiples of this alone; None finds the smallest.
        fixed: the only (height, width) that it is used at; None is any.

    Raises:
        UsageError: it returns several maps, and nothing says which holds the logits.
        ArtifactError: it accepts none of the sizes tried, or only one, or its logits do not cover its input.
    """
    if fixed is not None:
        return _at_one_size(net, channels, output, classes, fixed)
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


def _run(net: nn.Module, channels: int, height: int, width: int) -> _Run:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator)
    try:
        with torch.inference_mode():
            return _Run(net(x))
    except Exception as error:  # noqa: BLE001 (a network may raise anything at a size it does not accept)
        return _Run(None, f"{type(error).__name__}: {error}")


def _first_size(
    net: nn.Module, channels: int, output: str | None, classes: int | None
) -> tuple[int, str, tuple[int, ...]]:
    """The first size that the network accepts, the name of the logits in its output, and their shape."""
    error = ""
    for size in STARTS:
        run = _run(net, channels, size, size)
        if not run.error:
            name = choose_output(run.output, output, classes)
            return size, name, tuple(pick_output(run.output, name).shape)
        error = error or run.error
    raise ArtifactError(
        f"probe: the network accepted no {channels}-channel image of {', '.join(map(str, STARTS))} pixels "
        f"a side; the error at {STARTS[0]} was: {error}; if it takes images of one size alone, name that "
        "size by --working-size"
    )
