"""Contact sheets: rows of images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_runtime._files import write_whole
from fcn_edge_runtime.imaging.areas import color_table
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.imaging.writing import drawable
from fcn_edge_runtime.model.card import Card, ClassInfo

__all__ = ["Tile", "painted", "write_sheet"]

CAPTION = 18
GAP = 4
HIGHEST = 2  # a tile's height over its width
LONGEST_NAME, MORE = 24, 80  # of a class in characters, and of "and 99 more" in pixels
PAPER, INK = (255, 255, 255), (32, 32, 32)


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture (H, W, 3) uint8 RGB and a caption."""

    picture: npt.NDArray[np.uint8]
    caption: str = ""


def painted(labels: npt.NDArray[Any], card: Card) -> npt.NDArray[np.uint8]:
    """Labels (H, W) in the colors of their classes: (H, W, 3) uint8 RGB."""
    return np.asarray(color_table(card)[labels], np.uint8)


def write_sheet(
    path: Path,
    rows: Sequence[Sequence[Tile]],
    *,
    title: str = "",
    key: Sequence[ClassInfo] = (),
    width: int = 240,
) -> None:
    """Lay tiles out in rows and write them as one PNG or JPEG.

    Args:
        path: ends in .png, .jpg or .jpeg.
        rows: of tiles; rows may differ in length.
        title: above them.
        key: classes whose colors are explained beside the title, as many as fit.
        width: of every tile, in pixels.

    Raises:
        InputError: Pillow is not installed.
        ArtifactError: the file cannot be written.
    """
    import io

    module = import_pillow()
    from PIL import ImageDraw, ImageFont

    pictures = [[_scaled(module, tile, width) for tile in row] for row in rows]
    heights = [max(p.height for p in row) + CAPTION + GAP for row in pictures]
    top = CAPTION + 2 * GAP if title else GAP
    size = (max(len(row) for row in rows) * (width + GAP) + GAP, top + sum(heights))
    sheet = module.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    title = drawable(title, 120)
    draw.text((GAP, GAP), title, INK, font)
    x = GAP + int(draw.textlength(title, font)) + 4 * GAP
    for index, kind in enumerate(key):
        name = drawable(kind.name, LONGEST_NAME)
        end = x + 14 + int(draw.textlength(name, font)) + 4 * GAP
        if end + MORE > size[0] and index < len(key) - 1:
            draw.text((x, GAP), f"and {len(key) - index} more", INK, font)
            break
        draw.rectangle((x, GAP + 1, x + 10, GAP + 11), fill=kind.color, outline=INK)
        draw.text((x + 14, GAP), name, INK, font)
        x = end
    y = top
    for row, images, height in zip(rows, pictures, heights, strict=True):
        for column, (tile, image) in enumerate(zip(row, images, strict=True)):
            x = GAP + column * (width + GAP)
            sheet.paste(image, (x, y))
            draw.text((x, y + image.height + 2), drawable(tile.caption, width // 6), INK, font)
        y += height
    buffer = io.BytesIO()
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    sheet.save(buffer, "JPEG" if jpeg else "PNG", **({"quality": 88} if jpeg else {}))
    write_whole(path, buffer.getvalue())


def _scaled(module: Any, tile: Tile, width: int) -> Any:
    """The picture as wide as the tile, or, where it is far higher than wide, twice as high as that.

    Nearest neighbor where it grows, so that labels keep their edges; smooth where it shrinks.
    """
    image = module.fromarray(np.ascontiguousarray(tile.picture))
    scale = min(width / image.width, HIGHEST * width / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    how = module.Resampling.NEAREST if scale >= 1 else module.Resampling.LANCZOS
    return image.resize(size, how)
