"""The head of a network in numpy: labels from logits before their bilinear upsampling, exactly.

Most pixels lie between four logits with the same winner, and need no arithmetic at all. A pixel is a
convex combination of the four corners of its cell of the low resolution. So, with z the corners' logits:

    uniform   one class wins at all four corners: it wins everywhere inside.
    pair      a and b win at the corners, and every other class is at most (z_a + z_b) / 2 at each corner:
              then it is at most max(z_a, z_b) everywhere inside, and the sign of z_a - z_b decides.
    hard      all other cells: all logits are interpolated, and the first of the largest wins.

It is the rule of the sparse head (fcn_edge_export.graph.sparse_head), and which cell a pixel lies in is
computed with the same integers. The rounding error is that of a sum of four products, below 8 * 2^-23
of the largest logit. Its time next to onnxruntime's operators is in docs/performance.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "NumpyHead", "labels_of_logits", "labels_of_part"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.unsignedinteger]

# Pixels that are interpolated at once. They stay in the cache, and the product is so small that OpenBLAS
# computes it without its threads, which would go on to spin where the session's threads want to run.
_PIXELS = 1 << 16
_SCORES = 1 << 19  # classes times pixels: of 300 classes, 65536 pixels would be 79 MB


@dataclass(frozen=True)
class NumpyHead:
    """The head that a session was opened without.

    Attributes:
        logits: the name of the session's output that it reads.
        align_corners: see `labels_of_logits`, as the following.
        dtype: of the labels, by name.
    """

    logits: str
    align_corners: bool
    dtype: str

    def labels(self, logits: Floats, height: int, width: int) -> Labels:
        """Labels (N, height, width) of logits (N, C, h, w)."""
        return labels_of_logits(logits, height, width, align_corners=self.align_corners, dtype=self.dtype)


def labels_of_logits(
    logits: Floats, height: int, width: int, *, align_corners: bool, dtype: npt.DTypeLike = np.uint8
) -> Labels:
    """The class of every pixel, as bilinear upsampling and then the first of the largest logits give it.

    Args:
        logits: (N, C, h, w) float32; with C = 1, label 1 is where the logit is above 0.
        height: of the labels.
        width: of the labels.
        align_corners: whether the outermost pixels lie on the outermost logits; else pixels and logits have
            the same outer edges (half pixels).
        dtype: of the labels.

    Returns:
        (N, height, width), contiguous.
    """
    count, classes, rows, columns = logits.shape
    grid = _grid((rows, height), (columns, width), align_corners)
    labels = np.empty((count, height, width), dtype)
    for image in range(count):
        labels[image] = _one(logits[image].reshape(classes, rows * columns), grid, labels.dtype)
    return labels


def labels_of_part(logits: Floats, down: Axis, right: Axis, dtype: str = "uint8") -> Labels:
    """The same of a part of an image, with the scale of the whole.

    Args:
        logits: (C, h, w) float32, those that the part needs: `Axis.part` tells which.
        down: the part of the rows.
        right: the part of the columns.
        dtype: of the labels, by name.

    Returns:
        (height, width) of the part.
    """
    classes, rows, columns = logits.shape
    grid = _grid_of(down, right, columns)
    return _one(logits.reshape(classes, rows * columns), grid, np.empty(0, dtype).dtype)


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the pixels of one axis lie among its cells: one cell more than logits, half cells at both ends.

    Attributes:
        padded: (cells + 1,) the logits at the ends of the cells, the outermost ones twice.
        most: the largest number of pixels in a cell.
        fraction: (cells, most) float32, how far each pixel of a cell lies between its ends; (1, most) where
            it is the same in all cells, as at every stride that is a power of two.
        place: (pixels,) cell * most + position in the cell; a slice where these are consecutive.
    """

    padded: Integers
    most: int
    fraction: Floats
    place: Integers | slice

    @classmethod
    def of(cls, logits: int, pixels: int, *, align_corners: bool) -> Axis:
        """A whole axis."""
        # Position of pixel y, counted from one logit in front of the first: (slope y + offset) / unit.
        #   half pixel      (y + 1/2) logits / pixels - 1/2 + 1
        #   align corners   y (logits - 1) / (pixels - 1) + 1
        if align_corners:
            slope, unit = logits - 1, max(pixels - 1, 1)
            offset = unit
        else:
            slope, unit = 2 * logits, 2 * pixels
            offset = logits + pixels
        number = np.arange(logits + 1)
        y = np.arange(pixels)
        cell = (slope * y + offset) // unit
        # The first pixel of a cell, below 0 for the half cell in front. Of one logit alone, aligned, every
        # pixel lies in the same cell.
        first = -((offset - number * unit) // slope) if slope else np.zeros_like(number)
        inside = y - first[cell]
        most = int(inside.max()) + 1
        # Which cell is exact; how far into it is rounded as PyTorch rounds it, scale * (y + 1/2) - 1/2.
        half = np.float32(0 if align_corners else 0.5)
        scale = np.float32(slope if align_corners else logits) / np.float32(unit if align_corners else pixels)
        pixel = (first[:, None] + np.arange(most)).astype(np.float32)
        fraction = (pixel + half) * scale - half - (number - 1).astype(np.float32)[:, None]
        place = cell * most + inside
        return cls(
            np.clip(np.arange(-1, logits + 1), 0, logits - 1),
            most,
            fraction[:1] if (fraction == fraction[0]).all() else fraction,
            _as_slice(place),
        )

    @property
    def cells(self) -> int:
        """The number of cells."""
        return len(self.padded) - 1

    def fractions(self, cells: Integers) -> Floats:
        """Those of some cells, (n, most) or (1, most)."""
        return self.fraction if len(self.fraction) == 1 else self.fraction[cells]

    def part(self, first: int, last: int) -> tuple[Axis, slice]:
        """The axis of the pixels `first` to `last`, without the last, and the slice of logits that they need.

        The result counts its logits from the beginning of that slice.
        """
        place = self.places()[first:last]
        begin, end = int(place[0]) // self.most, int(place[-1]) // self.most + 1
        corners = self.padded[begin : end + 1]
        needed = slice(int(corners[0]), int(corners[-1]) + 1)
        fraction = self.fraction if len(self.fraction) == 1 else self.fraction[begin:end]
        return Axis(corners - needed.start, self.most, fraction, _as_slice(place - begin * self.most)), needed

    def neighbors(self) -> tuple[Integers, Integers, Floats]:
        """Of each pixel the logits before and after it, and how far it lies from the first to the second."""
        cell, inside = np.divmod(self.places(), self.most)
        row = np.zeros_like(cell) if len(self.fraction) == 1 else cell
        return self.padded[cell], self.padded[cell + 1], self.fraction[row, inside]

    def places(self) -> Integers:
        """`place` as numbers."""
        place = self.place
        return np.arange(place.start, place.stop) if isinstance(place, slice) else place


def _as_slice(place: Integers) -> Integers | slice:
    """The same as a slice where the numbers are consecutive, which indexes without a copy."""
    return slice(int(place[0]), int(place[-1]) + 1) if (np.diff(place) == 1).all() else place


@dataclass(frozen=True, eq=False)
class _Grid:
    """Both axes of an image.

    Attributes:
        down: the axis of the rows.
        right: the axis of the columns.
        padded: (rows of corners, columns of corners) which logit lies where, the outermost ones twice.
        same: the weights (1, 4, p) of a cell's corners, where all cells have the same.
    """

    down: Axis
    right: Axis
    padded: Integers
    same: Floats | None

    def weights(self, row: Integers, column: Integers) -> Floats:
        """Bilinear weights of the corners of n cells: (n, 4, p), or (1, 4, p) for all of them."""
        if self.same is not None:
            return self.same
        return _weights(self.down.fractions(row), self.right.fractions(column))


@functools.lru_cache(maxsize=4)  # a camera's frames are of one size
def _grid(rows: tuple[int, int], columns: tuple[int, int], align_corners: bool) -> _Grid:  # noqa: FBT001 - a key of the cache
    down, right = (Axis.of(*sides, align_corners=align_corners) for sides in (rows, columns))
    return _grid_of(down, right, columns[0])


def _grid_of(down: Axis, right: Axis, columns: int) -> _Grid:
    """Both axes; `columns` counts the logits of a row."""
    regular = len(down.fraction) == len(right.fraction) == 1
    return _Grid(
        down,
        right,
        down.padded[:, None] * columns + right.padded,
        _weights(down.fraction, right.fraction) if regular else None,
    )


def _one(planes: Floats, grid: _Grid, dtype: np.dtype[np.unsignedinteger]) -> Labels:
    """Labels (height, width) of one image's logits (C, h * w)."""
    if len(planes) == 1:
        planes = np.concatenate([np.zeros_like(planes), planes])  # the first of two equals is class 0
    with np.errstate(invalid="ignore"):  # NaN logits give an arbitrary label
        return _labels(planes, grid, dtype)


def _labels(planes: Floats, grid: _Grid, dtype: np.dtype[np.unsignedinteger]) -> Labels:
    # Few calls on large arrays: right after the network's run, numpy's own code is not in the cache.
    down, right = grid.down, grid.right
    corners = planes.take(grid.padded, axis=1)
    winners = _first_of_largest(corners, dtype)
    least, greatest = (
        over(over(winners[:-1], winners[1:])[:, :-1], over(winners[:-1], winners[1:])[:, 1:])
        for over in (np.minimum, np.maximum)
    )
    cells = np.empty((down.cells, down.most, right.cells, right.most), dtype)
    cells.reshape(down.cells, down.most, -1)[:] = np.repeat(least, right.most, axis=1)[:, None]

    flat = corners.reshape(len(corners), -1)
    # A row of a cell is moved as one item, whatever its bytes: four times as fast as byte by byte.
    item = np.dtype((np.void, right.most * dtype.itemsize))
    rows = cells.view(item)[..., 0]
    row, column = np.nonzero(least != greatest)
    pixels = min(_PIXELS, _SCORES // len(flat))
    most = max(1, pixels // (down.most * right.most))
    for first in range(0, len(row), most):
        r, c = row[first : first + most], column[first : first + most]
        corner = r * (right.cells + 1) + c
        inside = _mixed(flat, least[r, c], greatest[r, c], corner, right.cells + 1, grid.weights(r, c))
        rows[r, :, c] = np.ascontiguousarray(inside).view(item)

    canvas = cells.reshape(down.cells * down.most, right.cells * right.most)
    return canvas[down.place][:, right.place]


def _mixed(corners: Floats, a: Labels, b: Labels, first: Integers, columns: int, weights: Floats) -> Labels:
    """Labels (n, p) inside of n cells, at whose corners a and b win, and maybe others.

    Args:
        corners: (C, corners of all cells) logits.
        a: (n,) the least of the classes that win at a cell's corners.
        b: (n,) the greatest.
        first: (n,) the upper left corner of each cell.
        columns: corners in a row.
        weights: (n or 1, 4, p) of the corners.
    """
    near = corners.take(first[:, None] + np.array([0, 1, columns, columns + 1]), axis=1)
    cell = np.arange(len(a))
    logits_a, logits_b = near[a, cell], near[b, cell]
    # a, or b where it wins: at a tie the first, which is a. Faster than np.where on single bytes.
    difference = _interpolated((logits_a - logits_b)[None], weights)[0]
    labels: Labels = (difference < 0).view(np.uint8) * (b - a)[:, None] + a[:, None]
    hard = np.flatnonzero(_third_may_win(near, logits_a, logits_b))
    if len(hard):
        some = weights if len(weights) == 1 else weights[hard]
        labels[hard] = _first_of_largest(_interpolated(near[:, hard], some), labels.dtype)
    return labels


def _third_may_win(near: Floats, logits_a: Floats, logits_b: Floats) -> npt.NDArray[np.bool_]:
    """In which of n cells a third class may win: near is (C, n, 4), the two classes' logits are (n, 4)."""
    half = (logits_a + logits_b) * np.float32(0.5)
    counted = np.uint8 if len(near) < 256 else np.uint16
    above = np.add.reduce((near > half).view(np.uint8), axis=0, dtype=counted)
    both = (logits_a > half).view(np.uint8) + (logits_b > half).view(np.uint8)
    found: npt.NDArray[np.bool_] = (above != both).any(axis=1)
    return found


def _first_of_largest(planes: Floats, dtype: np.dtype[np.unsignedinteger]) -> Labels:
    """The index of the first of the largest over the first axis; an arbitrary index where a logit is NaN."""
    # Faster than argmax, which goes along the axis for each pixel.
    last = len(planes) - 1
    behind = np.arange(last, -1, -1, dtype=dtype).reshape(-1, *(1,) * (planes.ndim - 1))
    largest = (planes == planes.max(axis=0)).view(np.uint8)
    labels: Labels = dtype.type(last) - (largest * behind).max(axis=0)
    return labels


def _weights(down: Floats, right: Floats) -> Floats:
    """Bilinear weights (m, 4, rows * columns) of the corners, from (m, rows) and (m, columns), m one or n."""
    both = [
        (r[:, :, None] * c[:, None, :]).reshape(-1, r.shape[1] * c.shape[1])
        for r in (1 - down, down)
        for c in (1 - right, right)
    ]
    return np.stack(both, axis=1)


def _interpolated(corners: Floats, weights: Floats) -> Floats:
    """(C, n, 4) with (m, 4, p), m one or n: (C, n, p)."""
    inside: Floats = (
        corners @ weights[0]
        if len(weights) == 1
        else (corners.transpose(1, 0, 2) @ weights).transpose(1, 0, 2)
    )
    return inside
