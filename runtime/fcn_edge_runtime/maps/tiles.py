"""Labels of an image in tiles that are exactly the labels of the image in one piece.

Every tile stands for itself: its window holds all that its labels depend on. So tiles may be computed in any
order, by any process, and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.maps.labeled import Labeled, labeled_of
from fcn_edge_runtime.maps.network import ScoreAxis, TileNetwork, Values
from fcn_edge_runtime.maps.spans import Span, spans

__all__ = ["Tile", "TiledImage"]


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
        if not self.network.by_scores:
            inside = tile.inside
            confidence = values.get("confidence")
            return Labeled(
                np.ascontiguousarray(values["labels"][inside]),
                None if confidence is None else np.ascontiguousarray(confidence[inside]),
            )
        scores = values["scores"]
        rows, columns = (
            _local(axis, span, there)
            for axis, span, there in zip(self._axes, (tile.down, tile.right), scores.shape[1:], strict=True)
        )
        return self.label_scores(tile, np.ascontiguousarray(scores[:, rows, columns]))

    def label_scores(self, tile: Tile, near: np.ndarray) -> Labeled:
        """The labels of a tile's core, of the scores (classes, h, w) that `needed_scores` names."""
        network = self.network
        axes = [
            None if axis.axis is None else axis.axis.part(*span.core)[0]
            for axis, span in zip(self._axes, (tile.down, tile.right), strict=True)
        ]
        return labeled_of(near, axes[0], axes[1], network)

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


def _local(scores: ScoreAxis, span: Span, there: int) -> slice:
    """Where a core's scores are among those of the window."""
    first = span.window[0] // scores.step
    needed = slice(*span.core) if scores.axis is None else scores.axis.part(*span.core)[1]
    local = slice(needed.start - first, needed.stop - first)
    uneven = scores.axis is not None and needed.stop == scores.scores and local.stop != there
    if local.stop > there or uneven:
        raise ModelError(
            f"the network gave {there} scores for the pixels {span.window[0]} to {span.window[1]}, expected "
            f"{scores.scores - first} at the image's end: its tiles cannot be exact"
        )
    return local
