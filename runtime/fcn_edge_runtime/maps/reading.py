"""Reading windows that overlap: what earlier windows hold of one is copied, not decoded again.

Windows come in rows, as tiles do. Of the window before, the columns that both have are copied; of the windows
above, the rows that are needed again are kept, in a strip as wide as the raster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from fcn_edge_runtime.maps.raster import Pixels, Raster

__all__ = ["Reader", "Window"]

Window = tuple[slice, slice]  # rows and columns


class Reader:
    """Reads windows of a raster: in any order, and each pixel once where they come in rows from the top left.

    Args:
        source: the raster.
        windows: those that will be read.
        most: bytes that may be kept of the windows above.
    """

    def __init__(self, source: Raster, windows: Sequence[Window], most: int) -> None:
        self._source = source
        starts = sorted({rows.start for rows, _ in windows})
        self._below = dict(pairwise(starts))  # where the windows below begin
        shared = max((rows.stop - self._below.get(rows.start, rows.stop) for rows, _ in windows), default=0)
        line = sum(part.nbytes for part in source.empty(1, source.width) if part is not None)
        self._strip = source.empty(max(0, min(shared, most // line)), source.width)
        self._holds = np.full((2, source.width), -1)  # of each column of the strip: its first row, the last
        self._before: tuple[Window, Pixels] | None = None

    def read(self, rows: slice, columns: slice) -> Pixels:
        """The pixels of a window, as `Raster.read` gives them; it raises the same errors."""
        self._keep_before(rows, columns)
        found = self._source.empty(rows.stop - rows.start, columns.stop - columns.start)
        top, left = self._from_above(rows, columns, found), 0
        if self._before is not None:
            (same, there), before = self._before
            if same == rows and there.start <= columns.start < there.stop <= columns.stop:
                left = there.stop - columns.start
                for new, old in _both(found, before):
                    new[top:, :left] = old[top:, columns.start - there.start :]
        if top < rows.stop - rows.start and left < columns.stop - columns.start:
            pixels, valid = found
            self._source.read_into(
                slice(rows.start + top, rows.stop),
                slice(columns.start + left, columns.stop),
                pixels[top:, left:],
                None if valid is None else valid[top:, left:],
            )
        self._before = (rows, columns), found
        return found

    def _from_above(self, rows: slice, columns: slice, found: Pixels) -> int:
        """Copy what the strip has of a window, its first rows; gives how many."""
        first, last = self._holds[:, columns]
        if not (first == rows.start).all():
            return 0
        high = int(last.min()) - int(rows.start)
        for new, kept in _both(found, self._strip):
            new[:high] = kept[:high, columns]
        return high

    def _keep_before(self, rows: slice, columns: slice) -> None:
        """Keep of the window before what windows below will need, and the next one does not have either."""
        if self._before is None:
            return
        (above, there), before = self._before
        below = self._below.get(above.start)
        if below is None or below >= above.stop:
            return
        # In a row of windows, the next one still needs what the strip has of its columns.
        wide = min(columns.start, there.stop) - there.start if rows == above else there.stop - there.start
        if wide <= 0:
            return
        high = min(len(self._strip[0]), above.stop - below)
        kept = slice(there.start, there.start + wide)
        for strip, old in _both(self._strip, before):
            strip[:high, kept] = old[below - above.start :, :wide][:high]
        self._holds[:, kept] = [[below], [below + high]]


def _both(some: Pixels, others: Pixels) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The arrays of both that are there."""
    for one, other in zip(some, others, strict=True):
        if one is not None and other is not None:
            yield one, other
