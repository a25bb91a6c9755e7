"""Labels of an image in tiles that are exactly the labels of the image in one piece.

Every tile stands for itself: its window holds all that its labels depend on. So tiles may be computed in any
order, by any process, and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.maps.network import ScoreAxis, TileNetwork, Values
from fcn_edge_runtime.maps.spans import Span, spans
from fcn_edge_runtime.session.numpy_head import Axis, labels_of_part

__all__ = ["Labeled", "Tile", "TiledImage"]

_ROWS = 64  # of pixels whose scores are interpolated at once


@dataclass(frozen=True)
class Tile:
    """A tile: its number in rows of tiles from the top left, and where it lies."""

    number: int
    down: Span
    right: Span

    @property
    def core(self) -> tuple[slice, slice]:
        """Rows and columns of the image that it labels."""
        return slice(*self.down.core), slice(*self.right.core)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the network gets."""
        return slice(*self.down.window), slice(*self.right.window)

    @property
    def inside(self) -> tuple[slice, slice]:
        """The core's rows and columns of the window."""
        return tuple(  # type: ignore[return-value]  # two
            slice(span.core[0] - span.window[0], span.core[1] - span.window[0])
            for span in (self.down, self.right)
        )


@dataclass(frozen=True, eq=False)
class Labeled:
    """What a tile's core is.

    Attributes:
        labels: (h, w).
        confidence: (h, w) float32, the winners' probabilities; None where they are not computed.
        probabilities: (classes, h, w) uint8, of which `PROBABLE` is 1; None where they are not computed.
        sample: (n, m, C), pixels for the preview; None where there is none.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    sample: np.ndarray | None = None


class TiledImage:
    """An image of a size, cut into tiles for a network.

    Args:
        network: that labels it.
        height: of the image.
        width: of the image.
        core: pixels of a tile's side; (of the rows, of the columns).

    Attributes:
        network: as given.
        tiles: all tiles, in rows from the top left.

    Raises:
        InputError: the network does not take this size.
    """

    def __init__(self, network: TileNetwork, height: int, width: int, core: tuple[int, int]) -> None:
        self.network = network
        self._axes = network.axes(height, width)
        rows, columns = (
            spans(pixels, side, network.reach, axis.seen)
            for pixels, side, axis in zip((height, width), core, self._axes, strict=True)
        )
        self.tiles = tuple(
            Tile(number, down, right)
            for number, (down, right) in enumerate((down, right) for down in rows for right in columns)
        )
        self._shape = len(rows), len(columns)

    @cached_property
    def overhead(self) -> float:
        """Pixels that the network sees, for each pixel of the image."""
        seen = cores = 0
        for tile in self.tiles:
            seen += _area(tile.down.window, tile.right.window)
            cores += _area(tile.down.core, tile.right.core)
        return seen / cores

    def label(self, tile: Tile, values: Values) -> Labeled:
        """The labels of a tile's core, of what the network gave for its window.

        Raises:
            ModelError: it gave another number of scores than for the whole image.
        """
        if not self.network.low:
            inside = tile.inside
            confidence = values.get("confidence")
            return Labeled(
                np.ascontiguousarray(values["labels"][inside]),
                None if confidence is None else np.ascontiguousarray(confidence[inside]),
            )
        scores = values["scores"]
        down, rows = _part(self._axes[0], tile.down, scores.shape[1])
        right, columns = _part(self._axes[1], tile.right, scores.shape[2])
        near = np.ascontiguousarray(scores[:, rows, columns])
        labels = labels_of_part(near, down, right, self.network.card.label_dtype)
        return Labeled(labels, _confidence(near, down, right) if self.network.confidence else None)

    def needed_scores(self, tile: Tile) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where the scores are that a core's labels are made of: of the whole image, and of the window."""
        whole, local = [], []
        for axis, span in zip(self._axes, (tile.down, tile.right), strict=True):
            first = span.window[0] // axis.step
            needed = slice(*span.core) if axis.axis is None else axis.axis.part(*span.core)[1]
            whole.append(needed)
            local.append(slice(needed.start - first, needed.stop - first))
        return (whole[0], whole[1]), (local[0], local[1])


def _area(rows: tuple[int, int], columns: tuple[int, int]) -> int:
    return (rows[1] - rows[0]) * (columns[1] - columns[0])


def _part(scores: ScoreAxis, span: Span, there: int) -> tuple[Axis, slice]:
    """The axis of a core, and where its scores are among those of the window."""
    assert scores.axis is not None  # noqa: S101 - scores of low resolution have one
    first = span.window[0] // scores.step
    part, needed = scores.axis.part(*span.core)
    local = slice(needed.start - first, needed.stop - first)
    if local.stop > there or (needed.stop == scores.scores and local.stop != there):
        raise ModelError(
            f"the network gave {there} scores for the pixels {span.window[0]} to {span.window[1]}, expected "
            f"{scores.scores - first} at the image's end: its tiles cannot be exact"
        )
    return part, local


def _confidence(scores: np.ndarray, down: Axis, right: Axis) -> np.ndarray:
    """The winner's probability at each pixel, of scores (classes, h, w) that are upsampled bilinearly."""
    above, below, v = down.neighbors()
    before, after, u = right.neighbors()
    found = np.empty((len(above), len(before)), np.float32)
    for first in range(0, len(above), _ROWS):
        some = slice(first, first + _ROWS)
        upper = scores[:, above[some]]
        rows = upper + (scores[:, below[some]] - upper) * v[some, None]
        left = rows[:, :, before]
        z = left + (rows[:, :, after] - left) * u
        if len(z) == 1:
            found[some] = 1 / (1 + np.exp(-np.abs(z[0])))
        else:
            found[some] = 1 / np.exp(z - z.max(axis=0)).sum(axis=0)
    return found
