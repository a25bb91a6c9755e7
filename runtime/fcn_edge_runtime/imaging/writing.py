"""Encodes results with Pillow: labels with a palette, confidence, an overlay with its legend."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.areas import Area, color_table
from fcn_edge_runtime.imaging.png import picture_png
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.model.card import Card

__all__ = ["FORMATS", "confidence_png", "drawable", "encoded", "labels_png", "legend", "with_legend"]

FORMATS = ("png", "jpg", "webp")
_MOST_SIDE = {"jpg": 65535, "webp": 16383}  # pixels that the format can have

Entry: TypeAlias = tuple[tuple[int, int, int], str]  # of a legend: color and text

_LEAST_LEGEND = 4_000_000  # pixels that the legend of a small picture may have
_MOST_ENTRIES = 60
_LONGEST_NAME = 40  # characters
_LARGEST_UNIT = 8.0
# In pixels, for an image 800 wide.
_TEXT = 11
_LINE = 22
_MARGIN = 6
_INK = (32, 32, 32)
_PAPER = (255, 255, 255)


def labels_png(labels: np.ndarray, card: Card) -> bytes:
    """Labels as a PNG whose values are the ids.

    Args:
        labels: (H, W) uint8, written with the classes' colors as palette, which a viewer shows; or uint16,
            written as 16-bit gray, which has no palette.
        card: the model's card.
    """
    image_module = import_pillow()
    if labels.dtype == np.uint16:
        return _png(image_module.fromarray(np.ascontiguousarray(labels)))
    image = image_module.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    image.putpalette(color_table(card).tobytes())
    return _png(image)


def confidence_png(confidence: np.ndarray) -> bytes:
    """Confidence or probability (H, W) float32 as 8-bit gray; 255 is 1."""
    return _png(import_pillow().fromarray(np.clip(np.rint(confidence * 255), 0, 255).astype(np.uint8)))


def encoded(picture: np.ndarray, kind: str = "png") -> bytes:
    """A picture (H, W, 3) uint8 RGB as a file; JPEG and WebP with quality 90.

    Args:
        picture: the pixels; for PNG and WebP also (H, W, 4) RGBA.
        kind: one of `FORMATS`.

    Raises:
        InputError: the picture is larger than the format allows.
    """
    if kind == "png":
        return picture_png(picture)
    if max(picture.shape[:2]) > _MOST_SIDE[kind]:
        height, width = picture.shape[:2]
        raise InputError(
            f"the picture is {width}x{height}, which {kind} cannot hold ({_MOST_SIDE[kind]} a side): "
            "write png"
        )
    stream = io.BytesIO()
    image = import_pillow().fromarray(np.ascontiguousarray(picture))
    image.save(stream, format="JPEG" if kind == "jpg" else "WEBP", quality=90)
    return stream.getvalue()


def with_legend(overlay: np.ndarray, areas: Sequence[Area]) -> np.ndarray:
    """An overlay (H, W, 3) uint8 with its legend as a strip below it.

    It has none where the strip would be far larger than the picture, as below a million pixels in a row.
    """
    height, width = overlay.shape[:2]
    strip = legend(areas, width, max_height=max(_LEAST_LEGEND, height * width) // width)
    return overlay if strip is None else np.concatenate([overlay, strip])


def legend(areas: Sequence[Area], width: int, *, max_height: int = 1 << 14) -> np.ndarray | None:
    """Names, colors and shares of the classes that occur, the largest first.

    Args:
        areas: as `Segmentation.areas` returns them.
        width: of the strip, in pixels; entries fill as many columns as fit.
        max_height: of the strip, in pixels; text is made smaller to fit, then the smallest classes
            are counted in one entry.

    Returns:
        (height, width, 3) uint8 RGB; the height follows from the number of entries. None where `max_height`
        is too little for a line.
    """
    if width < 1:
        raise InputError(f"the legend is {width} wide, expected at least 1 pixel")
    present = sorted((area for area in areas if area.pixels), key=lambda area: -area.pixels)
    entries = [(area.color, f"{_named(area)} {_percent(area.share)}") for area in present]
    unit = min(max(1.0, width / 800), _LARGEST_UNIT)  # text that is readable when the image fits a screen
    layout = _Layout.of(entries[:_MOST_ENTRIES], width, unit)
    if layout.height > max_height:
        layout = _Layout.of(entries[:_MOST_ENTRIES], width, 1.0)
    if layout.height > max_height or len(entries) > _MOST_ENTRIES:
        fitting = min((max_height - 2 * layout.margin) // layout.line * layout.columns, _MOST_ENTRIES)
        if fitting < 1:
            return None
        rest = present[fitting - 1 :]
        share = _percent(sum(area.share for area in rest))
        entries = [*entries[: fitting - 1], (_PAPER, f"{len(rest)} more {share}")]
    return layout.drawn(entries, width)


@dataclass(frozen=True)
class _Layout:
    """Where the entries of a legend are, in pixels."""

    unit: float
    line: int
    margin: int
    cell: int
    columns: int
    height: int

    @classmethod
    def of(cls, entries: Sequence[Entry], width: int, unit: float) -> _Layout:
        font = _font(round(_TEXT * unit))
        line, margin = round(_LINE * unit), round(_MARGIN * unit)
        longest = max((font.getlength(text) for _, text in entries), default=0)
        cell = int(longest) + line + 2 * margin
        columns = max(1, min(len(entries), width // cell))
        rows = -(-len(entries) // columns)
        return cls(unit, line, margin, cell, columns, rows * line + 2 * margin)

    def drawn(self, entries: Sequence[Entry], width: int) -> np.ndarray:
        from PIL import ImageDraw

        rows = -(-len(entries) // self.columns)
        image = import_pillow().new("RGB", (width, rows * self.line + 2 * self.margin), _PAPER)
        draw, font, half = ImageDraw.Draw(image), _font(round(_TEXT * self.unit)), self.line * 0.32
        for index, (color, text) in enumerate(entries):
            row, column = divmod(index, self.columns)
            left, middle = self.margin + column * self.cell, self.margin + row * self.line + self.line / 2
            draw.rectangle((left, middle - half, left + 2 * half, middle + half), fill=color, outline=_INK)
            draw.text((left + self.line, middle - _TEXT * self.unit * 0.6), text, fill=_INK, font=font)
        return np.asarray(image)


def drawable(text: str, longest: int = _LONGEST_NAME) -> str:
    """Text in the characters of Pillow's font, which has few beyond Latin-1; others become question marks."""
    return "".join(c if ord(c) < 256 else "?" for c in printable(text, longest))


def _named(area: Area) -> str:
    """A class's name; where the font lacks some of its characters, with the id, which is unique."""
    name = drawable(area.name)
    return name if name == printable(area.name, _LONGEST_NAME) else f"{area.id}: {name}"


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except ImportError:  # a Pillow built without FreeType has one small font
        return ImageFont.load_default()


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _png(image: Any) -> bytes:
    """Level 1 takes a third of the default's time; files are a tenth larger."""
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
