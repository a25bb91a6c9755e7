"""Procedural textures: each function gives an `(n, n, 3) uint8` image, most of them without a seam."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rng = np.random.Generator
    Texture = NDArray[np.uint8]
    Field = NDArray[np.float32]

Color = tuple[float, float, float]


def color(
    rng: Rng, saturation: tuple[float, float], value: tuple[float, float], hue: tuple[float, float] = (0, 1)
) -> Color:
    """A random RGB color in 0..1 with hue, saturation and value in the given ranges."""
    return colorsys.hsv_to_rgb(rng.uniform(*hue), rng.uniform(*saturation), rng.uniform(*value))


def warm_gray(rng: Rng, value: tuple[float, float]) -> Color:
    """A color of wall paint: nearly gray, mostly a little warm."""
    hue = rng.choice([rng.uniform(0.05, 0.17), rng.uniform(0.0, 1.0)], p=[0.8, 0.2])
    return colorsys.hsv_to_rgb(float(hue), rng.uniform(0.0, 0.18), rng.uniform(*value))


def noise(rng: Rng, n: int, cells: int, octaves: int = 4, persistence: float = 0.55) -> Field:
    """Fractal value noise in about -1..1, `(n, n)`, that tiles; the coarsest octave has `cells` cells."""
    total = np.zeros((n, n), np.float32)
    weight, norm = 1.0, 0.0
    for _ in range(octaves):
        cells_here = min(cells, n)
        lattice = rng.uniform(-1, 1, (cells_here, cells_here)).astype(np.float32)
        padded = np.pad(lattice, 2, mode="wrap")
        step = n / cells_here
        big = Image.fromarray(padded).resize((round(step * (cells_here + 4)),) * 2, Image.Resampling.BICUBIC)
        offset = round(2 * step)
        total += weight * np.asarray(big)[offset : offset + n, offset : offset + n]
        norm += weight**2
        weight *= persistence
        cells *= 2
        if cells > n:
            break
    return total / np.float32(norm**0.5)


def paint(base: Color, shade: Field) -> Texture:
    """The base color brightened or darkened by `shade` (0 leaves it as it is)."""
    image = np.asarray(base, np.float32) * (1.0 + shade[..., None])
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def furnishing(rng: Rng) -> Color:
    """A color of products: a strong one or dark gray; brown is for doors, teal for robots."""
    if rng.uniform() < 0.75:
        return color(rng, (0.5, 0.9), (0.25, 0.85), (0.6, 1.03) if rng.uniform() < 0.55 else (0.12, 0.38))
    return warm_gray(rng, (0.06, 0.4))


def plaster(rng: Rng, n: int = 256) -> Texture:
    """Painted plaster: nearly flat, with faint stains."""
    grain = 0.02 * rng.standard_normal((n, n)).astype(np.float32)
    return paint(warm_gray(rng, (0.78, 0.98)), grain + rng.uniform(0.01, 0.07) * noise(rng, n, 3))


def colored_plaster(rng: Rng, n: int = 256) -> Texture:
    """Plaster painted in a pastel color."""
    return paint(color(rng, (0.05, 0.18), (0.78, 0.96)), rng.uniform(0.01, 0.06) * noise(rng, n, 4, 5))


def concrete(rng: Rng, n: int = 256) -> Texture:
    """Raw concrete: blotched, with dark pores."""
    shade = rng.uniform(0.05, 0.16) * noise(rng, n, 3, 6, 0.65)
    pores = rng.uniform(size=(n, n)) > 0.995
    return paint(warm_gray(rng, (0.35, 0.65)), shade - 0.25 * pores.astype(np.float32))


def carpet(rng: Rng, n: int = 256) -> Texture:
    """Carpet: strong fine grain, sometimes in squares of two directions."""
    shade = 0.13 * rng.standard_normal((n, n)).astype(np.float32) + 0.05 * noise(rng, n, 4)
    if rng.uniform() < 0.4:
        half = n // 2
        shade[:half, :half] += 0.06
        shade[half:, half:] += 0.06
    return paint(color(rng, (0.0, 0.35), (0.15, 0.5)), shade)


def terrazzo(rng: Rng, n: int = 256) -> Texture:
    """Stone chips of several colors in a ground."""
    image = Image.fromarray(paint(warm_gray(rng, (0.4, 0.75)), 0.03 * noise(rng, n, 4)))
    draw = ImageDraw.Draw(image)
    chips = [tuple(int(255 * c) for c in warm_gray(rng, (0.1, 0.95))) for _ in range(4)]
    for _ in range(int(rng.integers(200, 900))):
        x, y, r = rng.uniform(0, n), rng.uniform(0, n), rng.uniform(0.5, 3.2)
        draw.ellipse((x - r, y - r * rng.uniform(0.4, 1), x + r, y + r), fill=chips[int(rng.integers(4))])
    return np.asarray(image)


def tiles(rng: Rng, n: int = 256) -> Texture:
    """Square or oblong tiles with grout, each tile a little different; sometimes a chessboard."""
    count = int(rng.choice([2, 2, 4]))
    rows = count * int(rng.choice([1, 1, 2]))
    base = color(rng, (0.0, 0.2), (0.35, 0.85))
    each = 0.05 * rng.standard_normal((rows, count)).astype(np.float32)
    if rng.uniform() < 0.25:
        each -= rng.uniform(0.15, 0.6) * (np.indices((rows, count)).sum(0) % 2)
    shade = each.repeat(n // rows, 0).repeat(n // count, 1) + 0.03 * noise(rng, n, 6, 5)
    grout = max(1, n // 128) * int(rng.integers(1, 3))
    strength = rng.uniform(-0.5, 0.25)
    for k in range(grout):
        shade[k :: n // rows] = strength
        shade[:, k :: n // count] = strength
    return paint(base, shade)


def bricks(rng: Rng, n: int = 256) -> Texture:
    """A running bond, of brick color or painted over."""
    rows = 8
    painted = rng.uniform() < 0.7
    base = warm_gray(rng, (0.6, 0.95)) if painted else colorsys.hsv_to_rgb(rng.uniform(0, 0.08), 0.5, 0.55)
    spread = 0.03 if painted else 0.14
    shade = np.zeros((n, n), np.float32)
    height = n // rows
    for row in range(rows):
        line = (spread * rng.standard_normal(4)).astype(np.float32).repeat(n // 4)
        line[:: n // 4] = line[1 :: n // 4] = 0.25 if not painted else -0.2
        shade[row * height : (row + 1) * height] = np.roll(line, (row % 2) * n // 8)
        shade[row * height : row * height + 2] = 0.25 if not painted else -0.2
    return paint(base, shade + 0.06 * noise(rng, n, 16, 3))


def wood(
    rng: Rng,
    n: int = 256,
    *,
    hue: tuple[float, float] = (0.05, 0.11),
    saturation: tuple[float, float] = (0.2, 0.65),
    value: tuple[float, float] = (0.25, 0.88),
) -> Texture:
    """One board: grain along the image's height."""
    x = np.linspace(0, 1, n, dtype=np.float32)[None, :]
    warp = noise(rng, n, 2, 3)
    grain = np.sin((x * rng.uniform(8, 24) + warp * rng.uniform(0.3, 1.0)) * 2 * np.pi)
    base = color(rng, saturation, value, hue)
    fine = rng.standard_normal((1, n)).astype(np.float32).repeat(n, 0)
    return paint(base, rng.uniform(0.02, 0.07) * grain + 0.03 * fine + 0.04 * warp)


def door_wood(rng: Rng, n: int = 256) -> Texture:
    """The darker woods that doors are veneered with."""
    return wood(rng, n, hue=(0.04, 0.09), saturation=(0.45, 0.7), value=(0.3, 0.62))


def birch(rng: Rng, n: int = 256) -> Texture:
    """The pale woods that furniture is made of."""
    return wood(rng, n, hue=(0.09, 0.12), saturation=(0.25, 0.42), value=(0.72, 0.92))


def planks(rng: Rng, n: int = 256) -> Texture:
    """A parquet of long boards with staggered ends."""
    shade = np.zeros((n, n), np.float32)
    count = int(rng.choice([4, 8]))
    width = n // count
    for k in range(count):
        board = 0.07 * rng.standard_normal() + 0.04 * rng.standard_normal((1, width)).astype(
            np.float32
        ).repeat(n, 0)
        board = board + 0.07 * rng.standard_normal() * (np.arange(n) < rng.integers(n))[:, None]
        shade[:, k * width : (k + 1) * width] = board
        shade[:, k * width] = -0.35
        shade[int(rng.integers(n)), k * width : (k + 1) * width] = -0.35
    base = colorsys.hsv_to_rgb(rng.uniform(0.05, 0.11), rng.uniform(0.2, 0.65), rng.uniform(0.3, 0.85))
    return paint(base, shade + 0.03 * noise(rng, n, 5))


def linoleum(rng: Rng, n: int = 256) -> Texture:
    """Hospital linoleum: smooth, marbled, in a muted color."""
    return paint(color(rng, (0.02, 0.3), (0.3, 0.75)), rng.uniform(0.02, 0.09) * noise(rng, n, 5, 5, 0.7))


def ceiling_panels(rng: Rng, n: int = 256) -> Texture:
    """Two by two mineral-fiber panels in a grid, with small holes."""
    shade = -0.25 * (rng.uniform(size=(n, n)) > rng.uniform(0.93, 1.0)).astype(np.float32)
    shade += 0.015 * rng.standard_normal((n, n)).astype(np.float32)
    line = rng.uniform(-0.4, 0.1)
    for k in range(int(rng.integers(2, 5))):
        shade[k :: n // 2] = line
        shade[:, k :: n // 2] = line
    return paint(warm_gray(rng, (0.82, 1.0)), shade)


def cardboard(rng: Rng, n: int = 128) -> Texture:
    """A cardboard side: brown, a tape, perhaps a label and a printed sign."""
    base = colorsys.hsv_to_rgb(rng.uniform(0.06, 0.1), rng.uniform(0.3, 0.55), rng.uniform(0.45, 0.8))
    image = Image.fromarray(paint(base, 0.04 * noise(rng, n, 4)))
    draw = ImageDraw.Draw(image)
    if rng.uniform() < 0.8:
        tape = tuple(int(255 * min(1.0, c * rng.uniform(0.8, 1.3))) for c in base)
        draw.rectangle((n * 0.44, 0, n * 0.56, n), fill=tape)
    if rng.uniform() < 0.6:
        x, y = rng.uniform(0.05, 0.5) * n, rng.uniform(0.1, 0.6) * n
        draw.rectangle((x, y, x + 0.35 * n, y + 0.25 * n), fill=(235, 235, 230))
        for k in range(3):
            draw.line((x + 4, y + 6 + 7 * k, x + 0.3 * n, y + 6 + 7 * k), fill=(60, 60, 60), width=2)
    return np.asarray(image)


def cloth(rng: Rng, n: int = 128) -> Texture:
    """A fabric: plain, striped or checked."""
    value = (0.1, 0.95) if rng.uniform() < 0.7 else (0.1, 0.4)
    base = color(rng, (0.0, 0.9), value)
    other = np.asarray(color(rng, (0.0, 0.9), (0.05, 0.95)), np.float32)
    shade = 0.05 * rng.standard_normal((n, n)).astype(np.float32) + 0.12 * noise(rng, n, 3, 3)
    image = paint(base, shade).astype(np.float32) / 255
    kind = rng.uniform()
    period = int(rng.choice([8, 16, 32]))
    wave = (np.arange(n) % period) < period * rng.uniform(0.2, 0.6)
    if kind < 0.15:
        image[wave] = 0.3 * image[wave] + 0.7 * other
    elif kind < 0.25:
        image[wave] *= 0.6
        image[:, wave] = 0.6 * image[:, wave] + 0.4 * other
    elif kind < 0.32:  # a safety vest's bands
        image[:] = np.asarray(colorsys.hsv_to_rgb(rng.choice([0.06, 0.17, 0.2]), 0.9, 0.95))
        image[n // 3 : n // 3 + n // 10] = image[2 * n // 3 : 2 * n // 3 + n // 10] = 0.85
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def picture(rng: Rng, n: int = 128) -> Texture:
    """A poster, a sign or a screen: shapes, and lines that look like writing."""
    image = Image.new("RGB", (n, n), tuple(int(255 * c) for c in color(rng, (0, 0.7), (0.3, 1))))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 9))):
        x, y = rng.uniform(-0.2, 1, 2) * n
        w, h = rng.uniform(0.05, 0.6, 2) * n
        fill = tuple(int(255 * c) for c in color(rng, (0, 1), (0, 1)))
        (draw.ellipse if rng.uniform() < 0.5 else draw.rectangle)((x, y, x + w, y + h), fill=fill)
    ink = tuple(int(255 * c) for c in color(rng, (0, 0.5), (0, 0.4)))
    y = rng.uniform(0.05, 0.5) * n
    while y < n * rng.uniform(0.5, 1.0):
        draw.line((0.1 * n, y, rng.uniform(0.3, 0.9) * n, y), fill=ink, width=int(rng.integers(1, 4)))
        y += rng.uniform(5, 10)
    return np.asarray(image)


def outdoors(rng: Rng, n: int = 128) -> Texture:
    """The view from a window: a sky, and something green or gray below it, out of focus."""
    sky = np.asarray(colorsys.hsv_to_rgb(0.58, rng.uniform(0.0, 0.4), rng.uniform(0.75, 1.0)), np.float32)
    ground = np.asarray(color(rng, (0.1, 0.5), (0.25, 0.7)), np.float32)
    edge = rng.uniform(0.2, 0.8) * n + 12 * noise(rng, n, 4)[0]
    mask = (np.arange(n)[:, None] > edge[None, :]).astype(np.float32)[..., None]
    image = sky * (1 - mask) + ground * (1 + 0.3 * noise(rng, n, 8)[..., None]) * mask
    return np.asarray(
        Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2))
    )


FLOORS: tuple[Callable[..., Texture], ...] = (concrete, carpet, terrazzo, tiles, planks, linoleum)
WALLS: tuple[Callable[..., Texture], ...] = (plaster, plaster, plaster, plaster, colored_plaster, bricks)
CEILINGS: tuple[Callable[..., Texture], ...] = (ceiling_panels, ceiling_panels, plaster)
