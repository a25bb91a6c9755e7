"""The five uses as one picture, as README.md opens with it, and the effects as another."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcn_edge.demo.uses import Use
from fcn_edge.reports.contact_sheet import Tile, write_sheet
from fcn_edge_runtime._files import write_whole
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.imaging.writing import drawable

__all__ = ["write_effects", "write_gallery"]

HEIGHT, GAP, TEXT, LINE = 300, 6, 19, 34
WIDTH = 1480
PAPER, INK = (255, 255, 255), (29, 35, 41)
PEOPLE, EFFECTS = "Find people and things", "Effects"
# Of each use, which of its pictures are shown.
SHOWN = {PEOPLE: (0, 1), "Maps": (0, 1), "Robots": (0, 2), "Medicine": (0, 2), EFFECTS: (0, 1, 2, 3)}


def write_gallery(path: Path, uses: Sequence[Use]) -> Path | None:
    """Draw the uses that have pictures, in rows as wide as the picture; None where no use has any.

    Raises:
        ArtifactError: the file cannot be written.
    """
    module = import_pillow()
    blocks = [_block(module, use) for use in uses if use.tiles]
    if not blocks:
        return None
    rows: list[list[Any]] = [[]]
    for block in blocks:
        if rows[-1] and sum(b.width + 3 * GAP for b in rows[-1]) + block.width > WIDTH:
            rows.append([])
        rows[-1].append(block)
    width = max(sum(b.width for b in row) + 3 * GAP * (len(row) - 1) for row in rows)
    sheet = module.new("RGB", (width, len(rows) * (HEIGHT + LINE + 2 * GAP)), PAPER)
    for index, row in enumerate(rows):
        x = 0
        for block in row:
            sheet.paste(block, (x, index * (HEIGHT + LINE + 2 * GAP)))
            x += block.width + 3 * GAP
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=90)
    write_whole(path, stream.getvalue())
    return path


def write_effects(path: Path, uses: Sequence[Use]) -> None:
    """Draw the photograph, its labels, and the photograph after each effect; nothing without them.

    Raises:
        ArtifactError: the file cannot be written.
    """
    tiles = [tile for use in uses if use.title in (PEOPLE, EFFECTS) for tile in use.tiles]
    if tiles:
        write_sheet(path, [tiles], width=240)


def _block(module: Any, use: Use) -> Any:
    """A use: its title and score above its pictures."""
    from PIL import ImageDraw, ImageFont

    chosen = SHOWN.get(use.title, tuple(range(len(use.tiles))))
    pictures = [_scaled(module, use.tiles[index]) for index in chosen]
    block = module.new(
        "RGB", (sum(p.width for p in pictures) + GAP * (len(pictures) - 1), HEIGHT + LINE), PAPER
    )
    draw, large = ImageDraw.Draw(block), ImageFont.load_default(TEXT)
    draw.text((0, 4), drawable(use.title), INK, large)
    x = 0
    for picture in pictures:
        block.paste(picture, (x, LINE))
        x += picture.width + GAP
    return block


def _scaled(module: Any, tile: Tile) -> Any:
    image = module.fromarray(tile.picture)
    how = module.Resampling.NEAREST if image.height < HEIGHT else module.Resampling.LANCZOS
    return image.resize((max(1, round(image.width * HEIGHT / image.height)), HEIGHT), how)
