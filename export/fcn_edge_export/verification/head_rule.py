"""The head rule of the verdict: the labels are the argmax of the file's own logits.

For a dense head this holds exactly. A sparse head adds four products in a different order, so it may choose
the other class where two logits are equal except for rounding. There a difference is allowed if the two
logits, upsampled in float64, differ by at most 8 * 2^-23 of the largest logit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import FULL_SIZE, LABELS, LOGITS, LOGITS_LOW
from fcn_edge_export.verification.measure import Outputs, argmax

__all__ = ["ROUNDINGS", "sparse_outputs", "wrong_labels"]

Array = npt.NDArray[Any]

ROUNDINGS = 8 * 2.0**-23


def sparse_outputs(outputs: tuple[str, ...]) -> list[str]:
    """The further outputs of a probe that the rule needs: some for a sparse head, none for a dense one."""
    return [name for name in (LOGITS_LOW, FULL_SIZE) if name in outputs]


def wrong_labels(got: Outputs) -> npt.NDArray[np.bool_]:
    """Where (N, H, W) the labels break the rule.

    Args:
        got: a probe's labels and logits, and `sparse_outputs` of a sparse head.
    """
    labels = got[LABELS]
    wrong = np.asarray(labels != argmax(got[LOGITS]))
    if LOGITS_LOW not in got or not wrong.any():
        return wrong
    low = got[LOGITS_LOW]
    image, row, column = np.nonzero(wrong)
    height, width = (int(side) for side in got[FULL_SIZE][2:4])
    logits = _upsampled(low, image, (row, height), (column, width))
    if logits.shape[1] == 1:
        gap = np.abs(logits[:, 0])
    else:
        gap = logits.max(axis=1) - logits[np.arange(len(image)), labels[image, row, column]]
    wrong[image, row, column] = gap > ROUNDINGS * float(np.abs(low).max())
    return wrong


def _upsampled(low: Array, image: Array, rows: tuple[Array, int], columns: tuple[Array, int]) -> Array:
    """Logits [pixels, classes] in float64 at pixels of the full size: (index, length) of each axis."""
    y, y_next, down = _place(*rows, low.shape[2])
    x, x_next, right = _place(*columns, low.shape[3])
    z = low.astype(np.float64)
    down, right = down[:, None], right[:, None]
    upper = z[image, :, y, x] * (1 - right) + z[image, :, y, x_next] * right
    lower = z[image, :, y_next, x] * (1 - right) + z[image, :, y_next, x_next] * right
    return np.asarray(upper * (1 - down) + lower * down)


def _place(index: Array, length: int, cells: int) -> tuple[Array, Array, Array]:
    """(cell before, cell after, fraction between) with the coordinate in float32, as in PyTorch."""
    scale = np.float32(cells) / np.float32(length)
    at = (index.astype(np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    at = np.clip(at.astype(np.float64), 0, cells - 1)
    before = np.floor(at).astype(np.int64)
    return before, np.minimum(before + 1, cells - 1), at - before
