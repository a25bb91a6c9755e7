"""A network run at some sizes: which of its outputs holds the logits, and which sizes it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fcn_edge_export.outputs import choose_output, pick_output
from fcn_edge_export.sizes import STARTS, Sizes, find_sizes
from fcn_edge_runtime.errors import ArtifactError

__all__ = ["probe"]


def probe(net: nn.Module, channels: int, *, output: str | None = None, classes: int | None = None) -> Sizes:
    """Find the sizes that `net` (in evaluation mode, float32, on the CPU) accepts.

    Args:
        net: the network.
        channels: of the image.
        output: which of its outputs to take, see `outputs.choose_output`.
        classes: how many the card names; None if that is open.

    Raises:
        UsageError: it returns several maps, and nothing says which holds the logits.
        ArtifactError: it accepts none of the sizes tried, or only one, or its logits do not cover its input.
    """
    start, name, first = _first_size(net, channels, output, classes)

    def shape_at(height: int, width: int) -> tuple[int, ...] | None:
        run = _run(net, channels, height, width)
        try:
            return None if run.error else tuple(pick_output(run.output, name).shape)
        except ArtifactError:  # no logits at this size
            return None

    return find_sizes(shape_at, start, first, name)


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
        f"a side; the error at {STARTS[0]} was: {error}"
    )
