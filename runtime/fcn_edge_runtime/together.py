"""Images of one size in one call, where a device takes about as long for a few as for one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from fcn_edge_runtime._overlap import attempted
from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["part_of_batch", "segment_together"]


def segment_together(segmenter: Segmenter, images: Sequence[np.ndarray]) -> list[Future[Segmentation]]:
    """Segment images (H, W, C) of one size; where they fail together, one by one.

    Returns:
        A future of each, which is done: it has the segmentation, or raises what `Segmenter` raised.
    """
    if len(images) > 1:
        together = attempted(lambda: segmenter(np.stack(images)))
        if together.exception() is None:  # else one may be at fault, or all are too large for the memory
            each = [part_of_batch(together.result(), index, index + 1) for index in range(len(images))]
            return [attempted(lambda part=part: _single(part)) for part in each]  # type: ignore[misc]
    return [attempted(lambda image=image: segmenter(image)) for image in images]  # type: ignore[misc]


def part_of_batch(result: Segmentation, start: int, end: int) -> Segmentation:
    """Some images of a batch (N, ...), of which they have their share of the time."""

    def cut(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[start:end]

    return replace(
        result,
        labels=result.labels[start:end],
        confidence=cut(result.confidence),
        probabilities=cut(result.probabilities),
        logits=cut(result.logits),
        milliseconds=result.milliseconds * (end - start) / len(result.labels),
    )


def _single(batch: Segmentation) -> Segmentation:
    """The only image of a batch (1, ...) as one without that axis."""

    def cut(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array[0]

    return replace(
        batch,
        labels=batch.labels[0],
        confidence=cut(batch.confidence),
        probabilities=cut(batch.probabilities),
        logits=cut(batch.logits),
    )
