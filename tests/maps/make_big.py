"""A raster of any size for measurements: a real aerial image, mirrored side by side, darker here than there.

    python -m tests.maps.make_big HEIGHT WIDTH OUT.tif

Every pixel of the aerial image is four of this one, in 16 tones, so that deflate takes 0.4 bytes for a pixel.
It is written block row by block row: memory holds one of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

AERIAL = Path(__file__).parents[2] / "models" / "landcover" / "aerial.tif"
BLOCK = 512
_WAVE = 3000  # pixels from bright to bright, so that no two places are the same
_TONES = 0xF0


def make_big(height: int, width: int, path: str | Path) -> None:
    """Write a raster of this size."""
    with rasterio.open(AERIAL) as file:
        small, crs, transform = file.read(), file.crs, file.transform
    small = small.repeat(2, axis=1).repeat(2, axis=2)
    both = np.concatenate([small, small[:, ::-1]], axis=1)
    both = np.concatenate([both, both[:, :, ::-1]], axis=2)
    columns = np.arange(width)
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8", "crs": crs,
        "transform": from_origin(transform.c, transform.f, transform.a / 2, -transform.e / 2), "tiled": True,
        "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "zlevel": 6, "interleave": "pixel",
        "bigtiff": "if_safer",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        for first in range(0, height, BLOCK):
            rows = np.arange(first, min(first + BLOCK, height))
            band = both[:, rows % both.shape[1]][:, :, columns % both.shape[2]]
            light = 200 + 55 * np.sin(rows[:, None] // 2 * 2 / _WAVE) * np.cos(columns // 2 * 2 / _WAVE)
            band = (band.astype(np.uint16) * light.astype(np.uint16) >> 8).astype(np.uint8) & _TONES
            file.write(band, window=Window(0, first, width, len(rows)))


if __name__ == "__main__":
    make_big(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
