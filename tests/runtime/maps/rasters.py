"""Small rasters with a georeference, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.model.golden_input import pattern

__all__ = ["ARTIFACTS", "RGB", "write_raster"]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
RGB = InputSpec.default(3)


def write_raster(path, spec, height=300, width=420, *, bands=None, crs="EPSG:32633", pixel=0.5, **profile):
    """A raster of a test pattern for a network's input; returns its pixels (H, W, C)."""
    pixels = pattern(1, height, width, spec.channels, 1, spec)[0]
    planes = np.moveaxis(pixels, -1, 0) if bands is None else bands
    options = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": len(planes),
        "dtype": planes.dtype,
        "crs": crs,
        "transform": from_origin(500_000, 5_000_000, pixel, pixel),
        **profile,
    }
    with rasterio.open(path, "w", **options) as file:
        file.write(planes)
    return pixels
