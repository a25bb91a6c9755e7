"""rosbags' reader of .bag files, within limits on what a small file can make it do.

Importing this loads rosbags.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.rosbag1 import Reader, ReaderError
from rosbags.rosbag1.reader import Chunk, ChunkInfo, decompressors

from fcn_edge_runtime.robot.bag.inflating import unpack

__all__ = ["BoundedReader"]

# Chunks whose messages alternate in time are unpacked again for each.
_UNPACKED_AT_LEAST = 1 << 30
_UNPACKED_TIMES = 50


class BoundedReader(Reader):
    """Each chunk is there once and becomes a certain size at most, and each message is named once."""

    def open(self) -> None:
        """Open the file and read its index."""
        self._size = Path(str(self.path)).stat().st_size
        self._left, self._places = self._size, set[int]()
        self._budget = _UNPACKED_AT_LEAST + _UNPACKED_TIMES * self._size
        super().open()
        entries = [(entry.chunk_pos, entry.offset) for index in self.indexes.values() for entry in index]
        if len(set(entries)) != len(entries):
            raise ReaderError("its index names a message twice.")

    def read_chunk_info(self) -> ChunkInfo:
        """The next chunk's entry in the index."""
        info = super().read_chunk_info()
        if info.pos in self._places:
            raise ReaderError("its index names a chunk twice.")
        self._places.add(info.pos)
        return info

    def read_chunk(self) -> Chunk:
        """The next chunk's place, with a function that unpacks it."""
        chunk = super().read_chunk()
        self._left -= chunk.datasize
        if self._left < 0:
            raise ReaderError("its chunks are longer than the file, or named twice.")
        kinds = {function: kind for kind, function in decompressors.items() if kind != "none"}
        kind = kinds.get(chunk.decompressor, "")
        return chunk._replace(decompressor=lambda data: self._unpacked(kind, data))

    def _unpacked(self, kind: str, data: bytes) -> Any:
        unpacked = unpack(kind, data)
        self._budget -= len(unpacked)
        if self._budget < 0:
            raise ReaderError("its messages alternate between its chunks too often.")
        return unpacked
