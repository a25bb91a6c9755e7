"""Labels as runs: how far a label goes on in a row, and which one. Most runs are long, so they are few.

They are found once for each tile: classes are counted by them, and the journal keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Runs"]

_ROWS = 128  # that are looked at once: positions of runs take eight bytes each
_WIDEST = (1 << 16) - 1
_Numbers = np.dtype("<u2")


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of equal labels in the rows of an array.

    Attributes:
        shape: (height, width) of the labels, at most 65535 wide.
        counts: (height,) uint16, runs of each row.
        lengths: (runs,) uint16, row after row.
        labels: (runs,) of each.
    """

    shape: tuple[int, int]
    counts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> Runs:
        """Those of labels (height, width).

        Raises:
            ValueError: they are too wide.
        """
        height, width = labels.shape
        if width > _WIDEST:
            raise ValueError(f"labels are {width} wide, expected at most {_WIDEST}")
        found = [_runs(labels[top : top + _ROWS]) for top in range(0, height, _ROWS)]
        counts, lengths, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return cls((height, width), counts, lengths, values)

    @classmethod
    def from_bytes(cls, data: bytes, dtype: str, shape: tuple[int, int]) -> Runs:
        """What `to_bytes` gave of labels of this type and shape."""
        counts = np.frombuffer(data, _Numbers, shape[0])
        runs, at = int(counts.sum(dtype=np.int64)), counts.nbytes
        lengths = np.frombuffer(data, _Numbers, runs, at)
        return cls(shape, counts, lengths, np.frombuffer(data, dtype, runs, at + lengths.nbytes))

    def to_bytes(self) -> bytes:
        """All of it but the labels' type and shape."""
        return self.counts.tobytes() + self.lengths.tobytes() + self.labels.tobytes()

    def expanded(self) -> np.ndarray:
        """The labels (height, width)."""
        return np.repeat(self.labels, self.lengths).reshape(self.shape)

    def counted(self, ids: np.ndarray) -> np.ndarray:
        """Pixels (height, n) in each row of each of n labels, which are sorted and all that there are."""
        found = np.empty((self.shape[0], len(ids)))
        first = 0
        for top in range(0, len(found), _ROWS):
            counts = self.counts[top : top + _ROWS]
            part = slice(first, first + int(counts.sum(dtype=np.int64)))
            row = np.repeat(np.arange(len(counts)), counts)
            cell = row * len(ids) + np.searchsorted(ids, self.labels[part])
            found[top : top + _ROWS].reshape(-1)[:] = np.bincount(
                cell, self.lengths[part], len(counts) * len(ids)
            )
            first = part.stop
        return found


def _runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a few rows: the number of runs in each, their lengths, and their labels."""
    height, width = labels.shape
    begins = np.ones((height, width), bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    first = np.flatnonzero(begins)
    lengths = np.diff(first, append=height * width)
    counts = np.diff(np.searchsorted(first, np.arange(height + 1) * width))
    return counts.astype(_Numbers), lengths.astype(_Numbers), labels.ravel()[first]
