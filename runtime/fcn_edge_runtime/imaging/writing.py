"""Encodes results with Pillow: labels with a palette, confidence, an overlay with its legend."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.areas import Area, color_table
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.model.card import Card

__all__ = ["FORMATS", "confidence_png", "encoded", "labels_png", "legend", "with_legend"]

FORMATS = ("png", "jpg", "webp")
_MOST_SIDE = {"jpg": 65535, "webp": 16383}  # pixels that the format can have

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
    image = import_pillow().fromarray(np.ascontiguousarray(picture))
    if kind == "png":
        return _png(image)
    if max(picture.shape[:2]) > _MOST_SIDE[kind]:
        height, width = picture.shape[:2]
        raise InputError(
            f"the picture is {width}x{height}, which {kind} cannot hold ({_MOST_SIDE[kind]} a side): "
            "write png"
        )
    stream = io.BytesIO()
    image.save(stream, format="JPEG" if kind == "jpg" else "WEBP", quality=90)
    return stream.getvalue()


def with_legend(overlay: np.ndarray, areas: Sequence[Area]) -> np.ndarray:
    """An overlay (H, W, 3) uint8 with its legend as a strip below it."""
    return np.concatenate([overlay, legend(areas, overlay.shape[1])])


def legend(areas: Sequence[Area], width: int) -> np.ndarray:
    """Names, colors and shares of the classes that occur, the largest first.

    Args:
        areas: as `Segmentation.areas` returns them.
        width: of the strip, in pixels; entries fill as many columns as fit.

    Returns:
        (height, width, 3) uint8 RGB; the height follows from the number of entries.
    """
    image_module = import_pillow()
    from PIL import ImageDraw

    if width < 1:
        raise InputError(f"the legend is {width} wide, expected at least 1 pixel")
    present = sorted((area for area in areas if area.pixels), key=lambda area: -area.pixels)
    unit = max(1.0, width / 800)  # text that is readable when the whole image fits a screen
    line, margin = round(_LINE * unit), round(_MARGIN * unit)
    font = _font(round(_TEXT * unit))
    texts = [f"{area.name} {_percent(area.share)}" for area in present]
    # Control characters would break the line, and Pillow's font has few characters beyond Latin-1.
    texts = ["".join(c if c.isprintable() and ord(c) < 256 else "?" for c in text) for text in texts]
    longest = max((font.getlength(text) for text in texts), default=0)
    cell = int(longest) + line + 2 * margin
    columns = max(1, min(len(texts), width // cell)) if texts else 1
    rows = -(-len(texts) // columns)
    image = image_module.new("RGB", (width, rows * line + 2 * margin), _PAPER)
    draw = ImageDraw.Draw(image)
    for index, (area, text) in enumerate(zip(present, texts, strict=True)):
        row, column = divmod(index, columns)
        left, middle = margin + column * cell, margin + row * line + line / 2
        half = line * 0.32
        draw.rectangle((left, middle - half, left + 2 * half, middle + half), fill=area.color, outline=_INK)
        draw.text((left + line, middle - _TEXT * unit * 0.6), text, fill=_INK, font=font)
    return np.asarray(image)


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except ImportError:  # a Pillow built without FreeType has one small font
        return ImageFont.load_default()


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _png(image: Any) -> bytes:
    stream = io.BytesIO()
    # Level 1 takes a third of the default's time; files are a tenth larger.
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
