"""Which head a file gets: dense, sparse, or whichever is faster on the user's frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fcn_edge_export.graph.graft import can_be_sparse, graft
from fcn_edge_export.speed import compare_speed
from fcn_edge_runtime.model.card import Card, WorkingSize
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.session.session import open_session

__all__ = ["choose_sparse"]

TRIED = (1, 480, 640)  # where no frames are given
FRAMES = 3


def choose_sparse(
    head: str,
    network: onnx.ModelProto,
    card: Card,
    outputs: Sequence[str],
    images: Mapping[str, Callable[[], npt.NDArray[Any]]],
    devices: Sequence[str],
    *,
    multiple: int = 1,
    working: WorkingSize | None = None,
) -> bool:
    """Whether the file gets the sparse head.

    `auto` takes it where it is faster on the first frames given (a computed image if there are none),
    by the median of pairs. It is not tried where it cannot be faster: on devices other than the CPU, where
    outputs need all logits at full size anyway, and for networks that do not end in bilinear upsampling.
    """
    if head != "auto":
        return head == "sparse"
    # With a working size every file ends in bilinear upsampling.
    possible = working is not None or can_be_sparse(network)
    if set(outputs) - {"labels"} or set(devices) != {"cpu"} or not possible:
        return False
    dense, sparse = (
        open_session(
            graft(network, card, sparse=choice, multiple=multiple, working=working).SerializeToString(), "cpu"
        )
        for choice in (False, True)
    )
    frames = [read() for read in list(images.values())[:FRAMES]]
    tried = [np.ascontiguousarray(f if f.ndim == 4 else f.reshape(1, *f.shape[:2], -1)) for f in frames] or [
        pattern(*TRIED, card.input.channels, 1, card.input)
    ]
    return float(np.median([compare_speed(sparse, dense, image).ratio for image in tried])) < 1
