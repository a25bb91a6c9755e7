"""Smaller copies of labels for a map's file: each pixel is the most frequent label of the four under it.

GDAL's own overviews by mode take a tenth of the time of a whole map. These are made of every tile while it
passes, in a file each, and joined to the map by a virtual raster, from which GDAL copies them into the COG.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._stdio import captured_output
from fcn_edge_runtime.maps.blocks import require_blocks
from fcn_edge_runtime.maps.raster import without_place_warnings
from fcn_edge_runtime.maps.sizing import BLOCK
from fcn_edge_runtime.maps.tiles import Tile

__all__ = ["Overviews", "create", "halved", "plain_profile", "window_of"]

_ROWS = 256  # that are halved at once: they stay in the processor's cache


def plain_profile(width: int, height: int, dtype: str) -> dict[str, Any]:
    """Rasterio's profile of a file that is written quickly, and read once."""
    return {
        "driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": dtype, "tiled": True,
        "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "packbits", "bigtiff": "if_safer",
    }  # fmt: skip


@contextlib.contextmanager
def create(path: Path, **profile: Any) -> Iterator[Any]:
    """A new file, open for writing and reading; rasterio does not warn where it has no georeference.

    Close it yourself to know that it is whole: at the end of the block, errors of a full disk are ignored,
    and what libraries print of them.
    """
    import rasterio
    from rasterio.errors import RasterioError

    with without_place_warnings():
        file = rasterio.open(path, "w+", **profile)
    try:
        yield file
    finally:
        if not file.closed:
            ignored = (RasterioError, rasterio._err.CPLE_BaseError)  # noqa: SLF001 - no other name
            with captured_output(), contextlib.suppress(*ignored):
                file.close()


def window_of(rows: slice, columns: slice) -> Any:
    """Rasterio's window of some rows and columns."""
    from rasterio.windows import Window

    return Window.from_slices(rows, columns)


def halved(labels: np.ndarray, nothing: int) -> np.ndarray:
    """Labels (h, w) at half of the size, rounded up: the most frequent of four, the first of equals.

    Args:
        labels: of any size.
        nothing: the label of pixels without data, which is taken where there is no other.
    """
    odd = [(0, side % 2) for side in labels.shape]
    if any(more for _, more in odd):
        labels = np.pad(labels, odd, "edge")
    labels = np.ascontiguousarray(labels)
    found = np.empty((labels.shape[0] // 2, labels.shape[1] // 2), labels.dtype)
    for top in range(0, len(labels), _ROWS):
        found[top // 2 : (top + _ROWS) // 2] = _halved(labels[top : top + _ROWS], nothing)
    return found


def _halved(labels: np.ndarray, nothing: int) -> np.ndarray:
    """The same of even sides. Neighbors are one number: most are the same label, and need nothing else."""
    bits = 8 * labels.itemsize
    pairs = labels.view(f"<u{2 * labels.itemsize}")
    upper, lower = pairs[::2], pairs[1::2]
    found = upper.astype(labels.dtype)
    mixed = np.flatnonzero((upper != lower) | (upper >> bits != found))
    found.reshape(-1)[mixed] = _most_frequent(upper.ravel()[mixed], lower.ravel()[mixed], bits, nothing)
    return found


def _most_frequent(upper: np.ndarray, lower: np.ndarray, bits: int, nothing: int) -> np.ndarray:
    """Of two pairs of labels, each pair a number."""
    least = (1 << bits) - 1
    a, b, c, d = upper & least, upper >> bits, lower & least, lower >> bits
    found = np.where(c != nothing, c, d)
    found = np.where(b != nothing, b, found)
    found = np.where(a != nothing, a, found)
    # Of four, two that are equal are never fewer than others.
    found = np.where((c == d) & (c != nothing), c, found)
    found = np.where(((b == c) | (b == d)) & (b != nothing), b, found)
    return np.where(((a == b) | (a == c) | (a == d)) & (a != nothing), a, found)


@dataclass(frozen=True, eq=False)
class Overviews:
    """The smaller copies of a map, each half as large as the one before, until one fits into a block."""

    _folder: Path
    _nothing: int
    _files: list[Any]
    _of_tiles: int  # copies in which the edges of all tiles lie between pixels

    @classmethod
    @contextlib.contextmanager
    def at(
        cls, folder: Path, size: tuple[int, int], dtype: str, nothing: int, core: tuple[int, int]
    ) -> Iterator[Overviews]:
        """Files in a folder, which are open until the end.

        Args:
            folder: that is empty.
            size: of the map, (height, width).
            dtype: of its labels.
            nothing: the label of pixels without data.
            core: rows and columns of its tiles.
        """
        height, width = size
        both = core[0] | core[1]
        with contextlib.ExitStack() as stack:
            files: list[Any] = []
            while max(height, width) > BLOCK:
                height, width = -(-height // 2), -(-width // 2)
                path = folder / f"{len(files) + 1}.tif"
                profile = plain_profile(width, height, dtype)
                files.append(stack.enter_context(create(path, nodata=nothing, **profile)))
            yield cls(folder, nothing, files, (both & -both).bit_length() - 1)

    def add(self, tile: Tile, labels: np.ndarray) -> None:
        """Add a tile's labels."""
        rows, columns = tile.core
        for number, file in enumerate(self._files[: self._of_tiles], 1):
            labels = halved(labels, self._nothing)
            top, left = rows.start >> number, columns.start >> number
            where = slice(top, top + labels.shape[0]), slice(left, left + labels.shape[1])
            file.write(labels, 1, window=window_of(*where))

    def joined(self, work: Path) -> Path:
        """A virtual raster of the map with these as its overviews; all tiles have been added."""
        import rasterio.shutil

        for number in range(max(1, self._of_tiles), len(self._files)):
            self._files[number].write(halved(self._files[number - 1].read(1), self._nothing), 1)
        for file in self._files:
            file.close()
            require_blocks(Path(file.name))
        path = self._folder / "map.vrt"
        rasterio.shutil.copy(work, path, driver="VRT")
        shown = "".join(
            f'<Overview><SourceFilename relativeToVRT="1">{number}.tif</SourceFilename>'
            "<SourceBand>1</SourceBand></Overview>"
            for number in range(1, len(self._files) + 1)
        )
        text = path.read_text("utf-8")
        path.write_text(text.replace("</VRTRasterBand>", f"{shown}</VRTRasterBand>"), "utf-8")
        return path
