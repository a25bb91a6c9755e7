"""Outlines of the classes of labels, band by band: what ends in a band leaves it, what goes on is kept.

GDAL outlines the pixels of a band. Where two bands meet, the outlines of one class run along the same line in
opposite directions: what they have in common is taken out, and the loose ends are tied together. Memory
holds one band, and the outlines that reach its last row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Outline", "outlines"]

_Runs = dict[int, list[tuple[int, int]]]
_Loose = dict[tuple[int, int], tuple[np.ndarray, int]]  # by label and first column: a chain, and its piece


@dataclass(frozen=True, eq=False)
class Outline:
    """Connected pixels of a label, by their sides.

    Attributes:
        label: of them.
        rings: (n, 2) each, integer corners (column, row) without repeating the first: the outer ring, which
            has a positive area, and the holes.
    """

    label: int
    rings: list[np.ndarray]


def outlines(bands: Iterable[np.ndarray], nothing: int) -> Iterator[Outline]:
    """The outlines of a map.

    Args:
        bands: rows (n, width) of labels, one after the other.
        nothing: the label that has no outline.
    """
    top = 0
    above: list[Outline] = []
    last: np.ndarray | None = None
    for labels in bands:
        bottom = top + len(labels)
        pieces = list(_of_band(labels, nothing, top))
        if last is not None:
            reaching = [piece for piece in pieces if _reaches(piece, top)]
            others = [piece for piece in pieces if not _reaches(piece, top)]
            pieces = others + _tied(above, reaching, top, _runs(last, labels[0], nothing))
        above = []
        for piece in pieces:
            if _reaches(piece, bottom):
                above.append(piece)
            else:
                yield _finished(piece)
        top, last = bottom, labels[-1]
    yield from map(_finished, above)


def _of_band(labels: np.ndarray, nothing: int, top: int) -> Iterator[Outline]:
    from rasterio.features import shapes
    from rasterio.transform import Affine

    place = Affine.translation(0, top)
    for shape, label in shapes(labels, labels != nothing, connectivity=4, transform=place):
        rings = [np.array(ring, np.int64)[:-1] for ring in shape["coordinates"]]
        turned = [
            ring if (_area(ring) > 0) == (number == 0) else ring[::-1] for number, ring in enumerate(rings)
        ]
        yield Outline(int(label), turned)


def _area(ring: np.ndarray) -> float:
    """Twice the area, positive or negative by the direction."""
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def _reaches(piece: Outline, row: int) -> bool:
    return any((ring[:, 1] == row).any() for ring in piece.rings)


def _runs(above: np.ndarray, below: np.ndarray, nothing: int) -> _Runs:
    """Columns, from and to, in which a label goes on from one row to the next, by label."""
    common = np.where(above == below, above, nothing).astype(np.int64)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(common)) + 1, [len(common)]])
    found: _Runs = defaultdict(list)
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if common[first] != nothing:
            found[int(common[first])].append((first, end))
    return found


def _tied(above: list[Outline], below: list[Outline], row: int, runs: _Runs) -> list[Outline]:
    """Outlines on both sides of a line between rows as those of what they are together."""
    pieces = above + below
    rings: list[list[np.ndarray]] = [[] for _ in pieces]
    loose: _Loose = {}
    for number, piece in enumerate(pieces):
        for ring in piece.rings:
            chains = _loose(ring, row, runs.get(piece.label, []))
            if not chains:
                rings[number].append(ring)
            for chain in chains:
                loose[piece.label, int(chain[0, 0])] = chain, number
    owner = list(range(len(pieces)))  # by piece another one of the same pixels, up to one that owns itself
    while loose:
        ring, numbers = _closed(loose)
        rings[numbers[0]].append(ring)
        for number in numbers[1:]:
            owner[_root(owner, number)] = _root(owner, numbers[0])
    together: dict[int, list[np.ndarray]] = defaultdict(list)
    for number, found in enumerate(rings):
        together[_root(owner, number)] += found
    return [Outline(pieces[number].label, found) for number, found in together.items()]


def _closed(loose: _Loose) -> tuple[np.ndarray, list[int]]:
    """Take loose chains that make a ring, and the numbers of their pieces."""
    label, column = next(iter(loose))
    chains: list[np.ndarray] = []
    numbers: list[int] = []
    at = column
    while not chains or at != column:
        chain, number = loose.pop((label, at))
        chains.append(chain)
        numbers.append(number)
        at = int(chain[-1, 0])
    return _straight(np.concatenate(chains)), numbers


def _root(owner: list[int], number: int) -> int:
    while owner[number] != number:
        owner[number] = number = owner[owner[number]]
    return number


def _loose(ring: np.ndarray, row: int, runs: list[tuple[int, int]]) -> list[np.ndarray]:
    """A ring without the columns of these runs along a row: chains that begin and end there."""
    on = ring[:, 1] == row
    events = []  # an edge, and where what is taken out of it begins and ends
    for edge in np.flatnonzero(on & np.roll(on, -1)).tolist():
        start, end = int(ring[edge, 0]), int(ring[(edge + 1) % len(ring), 0])
        inside = runs[bisect_left(runs, (min(start, end), 0)) : bisect_left(runs, (max(start, end), 0))]
        events += (
            [(edge, *run) for run in inside] if start < end else [(edge, *run[::-1]) for run in inside[::-1]]
        )
    chains = []
    for number, (edge, _, begin) in enumerate(events):
        following, end, _ = events[(number + 1) % len(events)]
        if number + 1 < len(events):
            middle = ring[edge + 1 : following + 1]
        else:
            middle = np.concatenate([ring[edge + 1 :], ring[: following + 1]])
        chains.append(np.concatenate([[[begin, row]], middle, [[end, row]]]))
    return chains


def _straight(ring: np.ndarray) -> np.ndarray:
    """A ring without points twice in a row, and without those inside of an edge."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.asarray(ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]])


def _finished(piece: Outline) -> Outline:
    """With the outer ring first, and rings that touch themselves at a corner as two that touch."""
    rings = [part for ring in piece.rings for part in _simple(ring)]
    return Outline(piece.label, sorted(rings, key=lambda ring: _area(ring) <= 0))


def _simple(ring: np.ndarray) -> list[np.ndarray]:
    if len(np.unique(ring, axis=0)) == len(ring):
        return [ring]
    found: list[np.ndarray] = []
    path: list[tuple[int, int]] = []
    places: dict[tuple[int, int], int] = {}
    for point in map(tuple, ring.tolist()):
        if point in places:
            first = places[point]
            found.append(np.array(path[first:]))
            for left in path[first:]:
                del places[left]
            del path[first:]
        places[point] = len(path)
        path.append(point)
    return [*found, np.array(path)]
