"""A picture of a map for a screen: the classes over the image, with a legend and a scale bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fcn_edge_runtime.imaging.areas import Area
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.imaging.writing import encoded, with_legend
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.raster import Raster, without_place_warnings
from fcn_edge_runtime.maps.tiles import Tile
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.segmentation import Segmentation, as_picture

__all__ = ["preview_png", "sample_of", "step_for"]

_SIDE = 1600  # pixels
_NICE = (1, 2, 5)


def step_for(height: int, width: int) -> int:
    """How many pixels of a raster one of its preview stands for, along both axes."""
    return max(1, -(-max(height, width) // _SIDE))


def sample_of(tile: Tile, pixels: np.ndarray, step: int) -> np.ndarray:
    """Of the pixels (h, w, C) of a tile's core those that a preview shows: every so many of the raster's."""
    down, right = (-part.start % step for part in tile.core)
    return np.ascontiguousarray(pixels[down::step, right::step])


def preview_png(
    samples: Iterable[tuple[Tile, np.ndarray]],
    raster: Raster,
    labels: Path,
    card: Card,
    areas: Sequence[Area],
    ground: Ground | None,
    *,
    exact: bool,
) -> bytes:
    """The preview as PNG, north up where the raster is not rotated.

    Args:
        samples: of all tiles.
        raster: what was labeled.
        labels: the map.
        card: of the model.
        areas: for the legend.
        ground: for the scale bar; None leaves it out.
        exact: otherwise the picture names the map approximate.
    """
    import rasterio

    step = step_for(raster.height, raster.width)
    spec = card.input
    pixels = np.empty((-(-raster.height // step), -(-raster.width // step), spec.channels), spec.dtype)
    for tile, sample in samples:
        top, left = (-(-part.start // step) for part in tile.core)
        pixels[top : top + sample.shape[0], left : left + sample.shape[1]] = sample
    with without_place_warnings(), rasterio.open(labels) as file:
        small = file.read(1, out_shape=pixels.shape[:2])
    picture = Segmentation(small, card, "", 0.0).overlay(as_picture(pixels, spec))
    if raster.transform.e > 0:
        picture = np.ascontiguousarray(picture[::-1])
    if ground is not None:
        picture = _with_scale(picture, ground.side * step)
    if not exact:
        picture = _named(picture, "approximate")
    return encoded(with_legend(picture, areas), "png")


def _named(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture with a text in its upper left corner."""
    pillow = import_pillow()
    from PIL import ImageDraw, ImageFont

    image = pillow.fromarray(picture)
    draw = ImageDraw.Draw(image)
    unit = max(1, picture.shape[1] // 400)
    font = ImageFont.load_default(10 * unit)
    corner = (8 * unit, 6 * unit)
    left, top, right, bottom = draw.textbbox(corner, text, font)
    draw.rectangle((left - 3 * unit, top - 3 * unit, right + 3 * unit, bottom + 3 * unit), "white")
    draw.text(corner, text, "black", font)
    return np.asarray(image)


def _with_scale(picture: np.ndarray, meters: float) -> np.ndarray:
    """The picture with a bar of a round length in its lower left corner; `meters` are those of a pixel."""
    pillow = import_pillow()
    from PIL import ImageDraw, ImageFont

    most = picture.shape[1] / 4 * meters
    power = 10.0 ** np.floor(np.log10(most))
    length = max(nice * power for nice in _NICE if nice * power <= most)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    image = pillow.fromarray(picture)
    draw = ImageDraw.Draw(image)
    unit = max(1, picture.shape[1] // 400)
    font = ImageFont.load_default(10 * unit)
    wide = round(length / meters)
    left, bottom = 8 * unit, picture.shape[0] - 8 * unit
    draw.rectangle((left - 3 * unit, bottom - 18 * unit, left + wide + 3 * unit, bottom + 3 * unit), "white")
    draw.rectangle((left, bottom - 3 * unit, left + wide, bottom), "black")
    draw.text((left, bottom - 16 * unit), text, "black", font)
    return np.asarray(image)
