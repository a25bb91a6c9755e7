r"""What was done of a map: every finished tile is added to a file, which any kill leaves readable.

    {"job": ...}\n                                          what the tiles are of
    {"tile": number, "layers": ..., "crc": ...}\n arrays    a tile: labels as runs, and other arrays
    ...

A tile that was written in part ends the file. The map itself is made of it at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.maps.labeled import Labeled
from fcn_edge_runtime.maps.runs import Runs
from fcn_edge_runtime.maps.tiles import Tile

try:
    import fcntl
except ImportError:  # Windows: nothing keeps out a second process
    fcntl = None  # type: ignore[assignment]

__all__ = ["Journal"]

_MOST_HEAD = 1 << 20
_COMPRESSED = ("labels", "probabilities")

_Layer = list[Any]  # name, type, shape, compressed bytes


class Journal:
    """The tiles that are done.

    Args:
        path: of the file; made if it is missing.
        job: what the tiles are of. Tiles of another job are forgotten.

    Attributes:
        job: as given, or as it is in the file where its identity is the same.

    Raises:
        ArtifactError: the file cannot be written.
        UsageError: another process is writing it.
    """

    def __init__(self, path: Path, job: dict[str, Any]) -> None:
        self.path = path
        self._places: dict[int, tuple[int, list[_Layer]]] = {}
        try:
            self._file = open(path, "a+b")  # noqa: PTH123, SIM115 - open as long as this is
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process is making this map ({path} is locked): wait for it") from None
        except OSError as error:
            raise self._unwritable(error) from None
        if not self._read(job):
            self.job = job
            self._write_head()

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the tiles that are done."""
        return frozenset(self._places)

    def add(self, tile: Tile, labeled: Labeled) -> None:
        """Add a tile.

        Raises:
            ArtifactError: the disk is full or fails.
        """
        arrays = labeled.arrays()
        packed = [_packed(name, labeled) for name in arrays]
        layers = [
            [name, str(array.dtype), list(array.shape), len(data)]
            for (name, array), data in zip(arrays.items(), packed, strict=True)
        ]
        data = b"".join(packed)
        head = json.dumps({"tile": tile.number, "layers": layers, "crc": zlib.crc32(data)}).encode() + b"\n"
        try:
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(head + data)
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self._places[tile.number] = place + len(head), layers

    def arrays(self, tiles: Iterable[Tile], name: str) -> Iterator[tuple[Tile, np.ndarray]]:
        """One of the arrays of `Labeled`, of all tiles in their order."""
        for tile in tiles:
            place, layers = self._places[tile.number]
            for layer, dtype, shape, length in layers:
                if layer == name:
                    self._file.seek(place)
                    yield tile, _unpacked(name, self._file.read(length), dtype, tuple(shape))
                place += length

    def remove(self) -> None:
        """Remove the file: the map is there."""
        self._places.clear()
        self.close()

    def close(self) -> None:
        """Close the file, which stays if a tile is done."""
        if not self._places:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a full disk again, of what could not be written
            self._file.close()

    def _read(self, job: dict[str, Any]) -> bool:
        """Find the tiles of this job, and cut off what a kill left of the last one."""
        self._file.seek(0)
        line = self._file.readline(_MOST_HEAD)
        try:
            there = json.loads(line)
        except ValueError:
            return False
        if not isinstance(there, dict) or there.get("identity") != job["identity"]:
            return False
        self.job = there
        while True:
            place = self._file.tell()
            try:
                head = json.loads(self._file.readline(_MOST_HEAD))
                data = self._file.read(sum(length for *_, length in head["layers"]))
                if zlib.crc32(data) != head["crc"]:
                    break
            except (ValueError, KeyError, TypeError):  # cut short
                break
            self._places[head["tile"]] = self._file.tell() - len(data), head["layers"]
        self._file.truncate(place)
        return True

    def _write_head(self) -> None:
        try:
            self._file.truncate(0)
            self._file.write(json.dumps(self.job).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> ArtifactError:
        advice = "choose another place with -o"
        if self._places:
            advice = "what is done stays there, the same command goes on with it"
        return ArtifactError(f"{self.path} cannot be written ({error.strerror or error}): {advice}")


def _packed(name: str, labeled: Labeled) -> bytes | memoryview:
    """An array of a tile for the file; those that hardly compress are as they are."""
    array: np.ndarray = getattr(labeled, name)
    if name not in _COMPRESSED:
        return np.ascontiguousarray(array).data.cast("B")
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    data = labeled.runs.to_bytes() if name == "labels" else np.ascontiguousarray(array).data
    return packer.compress(data) + packer.flush()


def _unpacked(name: str, data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if name in _COMPRESSED:
        data = zlib.decompress(data)
    if name == "labels":
        return Runs.from_bytes(data, dtype, (shape[0], shape[1])).expanded()
    return np.frombuffer(data, dtype).reshape(shape)
