"""The head of a network in numpy: labels from scores before their bilinear upsampling, exactly.

Most pixels lie between four scores that agree on the class, and need no arithmetic at all. A pixel is a
convex combination of the four corners of its cell of the low resolution. So, with z the corners' scores:

    uniform   one class wins at all four corners: it wins everywhere inside.
    pair      a and b win at the corners, and every other class is at most (z_a + z_b) / 2 at each corner:
              then it is at most max(z_a, z_b) everywhere inside, and the sign of z_a - z_b decides.
    hard      whatever is left: all scores are interpolated, and the first of the largest wins.

It is the rule of the sparse head that a file can have (fcn_edge_export.sparse_head), and which cell a pixel
lies in is computed with the same integers. What is left of rounding is that of a sum of four products, below
8 * 2^-23 of the largest score. In numpy it takes about half the time of the same in onnxruntime's operators,
and a quarter of upsampling everything.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["NumpyHead", "labels_of_scores"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.unsignedinteger]

# Pixels that are interpolated at once. They stay in the cache, and the product is so small that OpenBLAS
# computes it without its threads, which would go on to spin where the session's threads want to run.
_PIXELS = 1 << 16


@dataclass(frozen=True)
class NumpyHead:
    """The head that a session was opened without.

    Attributes:
        scores: the name of the session's output that it reads.
        align_corners: see `labels_of_scores`, as the following.
        dtype: of the labels, by name.
    """

    scores: str
    align_corners: bool
    dtype: str

    def labels(self, scores: Floats, height: int, width: int) -> Labels:
        """Labels (N, height, width) of scores (N, C, h, w)."""
        return labels_of_scores(scores, height, width, align_corners=self.align_corners, dtype=self.dtype)


def labels_of_scores(
    scores: Floats, height: int, width: int, *, align_corners: bool, dtype: npt.DTypeLike = np.uint8
) -> Labels:
    """The class of every pixel, as bilinear upsampling and then the first of the largest scores gives it.

    Args:
        scores: (N, C, h, w) float32; with C = 1, label 1 is where the score is above 0.
        height: of the labels.
        width: of the labels.
        align_corners: whether the outermost pixels lie on the outermost scores; else pixels and scores have
            the same outer edges (half pixels).
        dtype: of the labels.

    Returns:
        (N, height, width), contiguous.
    """
    count, classes, rows, columns = scores.shape
    grid = _grid((rows, height), (columns, width), align_corners)
    labels = np.empty((count, height, width), dtype)
    for image in range(count):
        planes = scores[image].reshape(classes, rows * columns)
        if classes == 1:
            planes = np.concatenate([np.zeros_like(planes), planes])  # the first of two equals is class 0
        labels[image] = _one(planes, grid, labels.dtype)
    return labels


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where the pixels of one axis lie among its cells: one cell more than scores, half ones at both ends.

    Attributes:
        scores: how many.
        before: (cells,) the score in front of each cell.
        after: (cells,) the one behind it.
        most: the largest number of pixels in a cell.
        fraction: (cells, most) float32, how far each pixel of a cell lies between the two; (1, most) where it
            is the same in all cells, as at every stride that is a power of two.
        place: (pixels,) cell * most + position in the cell; a slice where these follow each other.
    """

    scores: int
    before: Integers
    after: Integers
    most: int
    fraction: Floats
    place: Integers | slice

    @property
    def cells(self) -> int:
        """How many."""
        return len(self.before)

    def fractions(self, cells: Integers) -> Floats:
        """Those of some cells, (n, most) or (1, most)."""
        return self.fraction if len(self.fraction) == 1 else self.fraction[cells]


@dataclass(frozen=True, eq=False)
class _Grid:
    """Both axes of an image; the weights (1, 4, p) of its cells' corners, where all cells have the same."""

    down: _Axis
    right: _Axis
    same: Floats | None

    def weights(self, row: Integers, column: Integers) -> Floats:
        """Bilinear weights of the corners of n cells: (n, 4, p), or (1, 4, p) for all of them."""
        if self.same is not None:
            return self.same
        return _weights(self.down.fractions(row), self.right.fractions(column))


@functools.lru_cache(maxsize=16)  # a camera's frames are of one size
def _grid(rows: tuple[int, int], columns: tuple[int, int], align_corners: bool) -> _Grid:  # noqa: FBT001 - a key of the cache
    down, right = _axis(*rows, align_corners=align_corners), _axis(*columns, align_corners=align_corners)
    regular = len(down.fraction) == len(right.fraction) == 1
    return _Grid(down, right, _weights(down.fraction, right.fraction) if regular else None)


def _axis(scores: int, pixels: int, *, align_corners: bool) -> _Axis:
    # Position of pixel y, counted from one score in front of the first: (slope y + offset) / unit, integers.
    #   half pixel      (y + 1/2) scores / pixels - 1/2 + 1
    #   align corners   y (scores - 1) / (pixels - 1) + 1
    if align_corners:
        slope, unit = scores - 1, max(pixels - 1, 1)
        offset = unit
    else:
        slope, unit = 2 * scores, 2 * pixels
        offset = scores + pixels
    number = np.arange(scores + 1)
    y = np.arange(pixels)
    cell = (slope * y + offset) // unit
    # The first pixel of a cell, below 0 for the half cell in front. Of one score alone, aligned, every pixel
    # lies in the same cell.
    first = -((offset - number * unit) // slope) if slope else np.zeros_like(number)
    inside = y - first[cell]
    most = int(inside.max()) + 1
    # Which cell is exact; how far into it is rounded as PyTorch rounds it, scale * (y + 1/2) - 1/2.
    half = np.float32(0 if align_corners else 0.5)
    scale = np.float32(slope if align_corners else scores) / np.float32(unit if align_corners else pixels)
    pixel = (first[:, None] + np.arange(most)).astype(np.float32)
    fraction = (pixel + half) * scale - half - (number - 1).astype(np.float32)[:, None]
    place = cell * most + inside
    return _Axis(
        scores,
        np.maximum(number - 1, 0),
        np.minimum(number, scores - 1),
        most,
        fraction[:1] if (fraction == fraction[0]).all() else fraction,
        slice(int(place[0]), int(place[-1]) + 1) if (np.diff(place) == 1).all() else place,
    )


def _one(planes: Floats, grid: _Grid, dtype: np.dtype[np.unsignedinteger]) -> Labels:
    """Labels (height, width) of one image's scores (C, h * w)."""
    down, right = grid.down, grid.right
    winners = _first_of_largest(planes, dtype).reshape(down.scores, right.scores)
    upper, lower = winners[down.before], winners[down.after]
    four = [np.take(side, ends, axis=1) for side in (upper, lower) for ends in (right.before, right.after)]
    least = functools.reduce(np.minimum, four)
    greatest = functools.reduce(np.maximum, four)

    by_row = np.repeat(least, right.most, axis=1)
    cells = np.empty((down.cells, down.most, right.cells, right.most), dtype)
    cells.reshape(down.cells, down.most, -1)[:] = by_row[:, None]

    row, column = np.nonzero(least != greatest)
    if len(row):
        a, b = least[row, column], greatest[row, column]
        near = _near(planes, row, column, down, right)
        one_of = np.arange(len(row))
        scores_a, scores_b = near[a, :, one_of].T, near[b, :, one_of].T
        pairs = _decided_by_two(near, scores_a, scores_b)
        most = max(1, _PIXELS // (down.most * right.most))
        for some in _parts(np.flatnonzero(pairs), most):
            weights = grid.weights(row[some], column[some])
            inside = _interpolated((scores_a[:, some] - scores_b[:, some])[None], weights)[0]
            # a, or b where it wins: at a tie the first, which is a. Faster than np.where on single bytes.
            found = a[some, None] + (inside < 0).view(np.uint8) * (b - a)[some, None]
            cells[row[some], :, column[some], :] = found.reshape(-1, down.most, right.most)
        for some in _parts(np.flatnonzero(~pairs), most):
            weights = grid.weights(row[some], column[some])
            found = _first_of_largest(_interpolated(near[:, :, some], weights), dtype)
            cells[row[some], :, column[some], :] = found.reshape(-1, down.most, right.most)

    canvas = cells.reshape(down.cells * down.most, right.cells * right.most)
    return canvas[down.place][:, right.place]


def _parts(cells: Integers, most: int) -> Iterator[Integers]:
    """The same in runs of at most so many."""
    return (cells[start : start + most] for start in range(0, len(cells), most))


def _first_of_largest(planes: Floats, dtype: np.dtype[np.unsignedinteger]) -> Labels:
    """The index of the first of the largest over the first axis, by a running maximum, which is fast."""
    best = planes[0].copy()
    labels = np.zeros(best.shape, dtype)
    for index in range(1, len(planes)):
        above = planes[index] > best
        np.maximum(labels, above.view(np.uint8) * dtype.type(index), out=labels)
        np.maximum(best, planes[index], out=best)
    return labels


def _near(planes: Floats, row: Integers, column: Integers, down: _Axis, right: _Axis) -> Floats:
    """Scores (C, 4, n) at the corners of n cells, row by row."""
    upper, lower = down.before[row] * right.scores, down.after[row] * right.scores
    left, behind = right.before[column], right.after[column]
    return planes.take(np.stack([upper + left, upper + behind, lower + left, lower + behind]), axis=1)


def _decided_by_two(near: Floats, scores_a: Floats, scores_b: Floats) -> npt.NDArray[np.bool_]:
    """Which cells (n,) no third class can win."""
    half = (scores_a + scores_b) * np.float32(0.5)
    # Of a and b one is above their half, or none if they are equal; then no third may be above them.
    third = (near > half).sum(0, dtype=np.uint16) > 1
    top = near.max(0) > np.maximum(scores_a, scores_b)
    decided: npt.NDArray[np.bool_] = ~(third | top).any(0)
    return decided


def _weights(down: Floats, right: Floats) -> Floats:
    """Bilinear weights (m, 4, rows * columns) of the corners, from (m, rows) and (m, columns), m one or n."""
    both = [
        (r[:, :, None] * c[:, None, :]).reshape(-1, r.shape[1] * c.shape[1])
        for r in (1 - down, down)
        for c in (1 - right, right)
    ]
    return np.stack(both, axis=1)


def _interpolated(corners: Floats, weights: Floats) -> Floats:
    """(C, 4, n) with (m, 4, p): (C, n, p)."""
    inside: Floats = (
        corners.transpose(0, 2, 1) @ weights[0]
        if len(weights) == 1
        else (corners.transpose(2, 0, 1) @ weights).transpose(1, 0, 2)
    )
    return inside
