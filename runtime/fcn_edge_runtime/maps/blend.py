"""Labels of a network that sees the whole image, in windows: not those of the whole, but without seams.

Windows overlap, and where they do, their scores are added with weights that rise linearly from an edge of a
window over the length of the overlap. Scores of some rows of windows are kept until no other window reaches
them; labels are then made of them as of any scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fcn_edge_runtime.errors import ModelError, UsageError
from fcn_edge_runtime.maps.network import ScoreAxis, TileNetwork
from fcn_edge_runtime.maps.spans import Pixels
from fcn_edge_runtime.maps.tiles import Tile, TiledImage

__all__ = ["BlendedImage", "Window"]


Windows = Iterable[tuple["Window", "Window"]]  # along the rows, and along the columns


@dataclass(frozen=True, eq=False)
class Window:
    """A window along one axis.

    Attributes:
        pixels: of the image.
        scores: of the image that it gives.
        weights: of each of these; those of all windows add up to 1.
    """

    pixels: Pixels
    scores: Pixels
    weights: np.ndarray


class BlendedImage(TiledImage):
    """An image of a size, cut into windows that overlap.

    Args:
        network: that labels it, opened with an overlap.
        height: of the image.
        width: of the image.
        core: rows and columns of a tile.

    Attributes:
        down: the windows along the rows.
        right: the windows along the columns.

    Raises:
        InputError: the network does not take this size.
        UsageError: the overlap is longer than half a window.
    """

    def __init__(self, network: TileNetwork, height: int, width: int, core: tuple[int, int]) -> None:
        super().__init__(network, height, width, core)
        sizes = network.fixed or core_windows(network, core)
        self.down, self.right = (
            _windows(network, axis, length, size)
            for axis, length, size in zip(self._axes, (height, width), sizes, strict=True)
        )

    @cached_property
    def overhead(self) -> float:
        """Pixels that the network sees, for each pixel of the image."""
        fixed = self.network.fixed or (0, 0)
        seen = 1.0
        for windows, size in zip((self.down, self.right), fixed, strict=True):
            seen *= sum(max(size, w.pixels[1] - w.pixels[0]) for w in windows) / windows[-1].pixels[1]
        return seen

    def scores(
        self, tiles: Sequence[Tile], run: Callable[[Windows], Iterator[np.ndarray | None]]
    ) -> Iterator[tuple[Tile, np.ndarray | None]]:
        """Tiles, and the scores that their labels are made of; None where there is nothing to label.

        Args:
            tiles: some of the image's, in their order.
            run: gives the scores of windows, or None where there is nothing to label.

        Raises:
            ModelError: the network gave fewer scores than the image has.
        """
        waiting = [(tile, *self.needed_scores(tile)[0]) for tile in tiles]
        rows = [down for down in self.down if any(_meet(down.scores, needed) for _, needed, _ in waiting)]
        found = run((down, right) for down in rows for right in self.right)
        kept, first = None, 0
        for down in rows:
            base = waiting[0][1].start
            kept, first = _moved(kept, base - first, down.scores[1] - base), base
            for right in self.right:
                kept = _added(kept, first, down, right, next(found), self._axes[1].scores)
            following = [other.scores[0] for other in self.down if other.scores[0] > down.scores[0]]
            limit = min(following, default=down.scores[1])
            while waiting and waiting[0][1].stop <= limit:
                tile, needed, columns = waiting.pop(0)
                here = slice(needed.start - first, needed.stop - first)
                yield tile, None if kept is None else np.ascontiguousarray(kept[:, here, columns])


def core_windows(network: TileNetwork, core: tuple[int, int]) -> tuple[int, int]:
    """Sides of the windows of tiles with such cores."""
    unit, overlap = network.reach.unit, network.overlap or 0
    down, right = (-(-max(network.reach.smallest, side + overlap) // unit) * unit for side in core)
    return down, right


def _windows(network: TileNetwork, axis: ScoreAxis, length: int, size: int) -> tuple[Window, ...]:
    """The windows along an axis, all of the same size but the last, which may be a unit longer."""
    unit = network.reach.unit
    overlap = -(-(network.overlap or 0) // unit) * unit
    if 2 * overlap > size:
        raise UsageError(
            f"got --approximate overlap={network.overlap}, expected at most {size // 2 // unit * unit}, half "
            "of a window"
        )
    pitch = (size - overlap) // unit * unit
    starts = [0]
    while starts[-1] + size < length:
        starts.append(starts[-1] + pitch)
    if len(starts) > 1:
        rest = length - size
        starts[-1] = min(starts[-1], -(-rest // unit) * unit if network.fixed else rest // unit * unit)
    ends = [*(start + size for start in starts[:-1]), length]
    scores = [
        (start // axis.step, axis.scores if end == length else end // axis.step)
        for start, end in zip(starts, ends, strict=True)
    ]
    rising = max(1, overlap // axis.step)
    weights, total = [], np.zeros(axis.scores)
    for first, last in scores:
        inside = np.arange(last - first) + 0.5
        from_start = inside / rising if first else np.ones_like(inside)
        to_end = inside[::-1] / rising if last < axis.scores else np.ones_like(inside)
        weights.append(np.minimum(1, np.minimum(from_start, to_end)))
        total[first:last] += weights[-1]
    return tuple(
        Window((start, end), part, (weight / total[slice(*part)]).astype(np.float32))
        for start, end, part, weight in zip(starts, ends, scores, weights, strict=True)
    )


def _meet(scores: Pixels, needed: slice) -> bool:
    return bool(scores[0] < needed.stop and needed.start < scores[1])


def _moved(kept: np.ndarray | None, by: int, rows: int) -> np.ndarray | None:
    """Scores without their first rows, and with zeros at the end."""
    if kept is None:
        return None
    moved = np.zeros((kept.shape[0], rows, kept.shape[2]), np.float32)
    left = kept[:, by : by + rows]
    moved[:, : left.shape[1]] = left
    return moved


def _added(
    kept: np.ndarray | None, first: int, down: Window, right: Window, scores: np.ndarray | None, columns: int
) -> np.ndarray | None:
    """Scores from a row on, with those of a window added by their weights."""
    if scores is None:
        return kept
    high, wide = (window.scores[1] - window.scores[0] for window in (down, right))
    if scores.shape[1] < high or scores.shape[2] < wide:
        raise ModelError(
            f"the network gave {scores.shape[1]}x{scores.shape[2]} scores for a window, "
            f"expected {high}x{wide}"
        )
    if kept is None:
        kept = np.zeros((scores.shape[0], down.scores[1] - first, columns), np.float32)
    skipped = max(0, first - down.scores[0])
    weights = down.weights[skipped:, None] * right.weights
    top = down.scores[0] + skipped - first
    kept[:, top : top + high - skipped, slice(*right.scores)] += scores[:, skipped:high, :wide] * weights
    return kept
