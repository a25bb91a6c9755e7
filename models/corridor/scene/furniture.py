"""Furniture: what stands on the floor and has legs, shelves or cushions. All of it is an obstacle.

Each function builds at the frame's origin with its back toward -y, and returns the radius it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.corridor.classes import OBSTACLE
from models.corridor.scene import textures

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.corridor.scene.builder import Builder


def _board(b: Builder, rng: np.random.Generator) -> str:
    what = rng.uniform()
    if what < 0.4:
        return b.material(texture=b.texture(textures.birch(rng), cube=True), specular=rng.uniform(0, 0.5))
    if what < 0.65:
        return b.paint(textures.warm_gray(rng, (0.12, 0.45)), specular=rng.uniform(0, 0.5))
    return b.paint(textures.furnishing(rng), specular=rng.uniform(0, 0.5))


def _metal(b: Builder, rng: np.random.Generator) -> str:
    gray = rng.uniform(0.05, 0.6)
    return b.paint((gray, gray, gray), specular=0.8, shininess=0.6)


def table(b: Builder, rng: np.random.Generator) -> float:
    """A table on four legs, or on two columns."""
    length, width, z = rng.uniform(0.7, 1.8), rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.9)
    legs = _metal(b, rng)
    b.box(OBSTACLE, (0, 0, z), (length, width, 0.035), _board(b, rng))
    thick = rng.uniform(0.025, 0.06)
    if rng.uniform() < 0.75:
        for x in (-1, 1):
            for y in (-1, 1):
                at = (x * (length / 2 - 0.06), y * (width / 2 - 0.06), z / 2)
                b.box(OBSTACLE, at, (thick, thick, z), legs)
    else:
        for x in (-1, 1):
            b.box(OBSTACLE, (x * length * 0.35, 0, z / 2), (0.06, 0.06, z), legs)
            b.box(OBSTACLE, (x * length * 0.35, 0, 0.02), (0.07, width * 0.85, 0.04), legs)
    if rng.uniform() < 0.5:  # a monitor, and something beside it
        black = b.paint((0.05, 0.05, 0.06), specular=0.6)
        b.box(OBSTACLE, (0.1, -0.1, z + 0.28), (0.5, 0.03, 0.3), black)
        b.box(OBSTACLE, (0.1, -0.1, z + 0.07), (0.05, 0.05, 0.12), black)
        b.box(OBSTACLE, (-0.25, 0, z + 0.08), (0.2, 0.15, 0.14), _board(b, rng))
    return length / 2


def chair(b: Builder, rng: np.random.Generator) -> float:
    """A chair facing +y: four legs, or an office chair's star."""
    seat, frame = b.paint(textures.furnishing(rng)), _metal(b, rng)
    z = 0.45
    if rng.uniform() < 0.5:
        seat = _board(b, rng)
    b.box(OBSTACLE, (0, 0, z - 0.03), (0.44, 0.43, 0.05), seat)
    b.box(OBSTACLE, (0, -0.2, z + rng.uniform(0.25, 0.35)), (0.42, 0.04, rng.uniform(0.2, 0.45)), seat)
    for x in (-0.18, 0.18):
        b.capsule(OBSTACLE, (x, -0.2, z), (x, -0.21, z + 0.3), 0.014, frame)
    if rng.uniform() < 0.65:
        for x in (-0.19, 0.19):
            for y in (-0.18, 0.18):
                b.capsule(OBSTACLE, (x, y, z - 0.04), (x * 1.1, y * 1.1, 0.01), 0.014, frame)
    else:
        b.capsule(OBSTACLE, (0, 0, 0.08), (0, 0, z), 0.03, frame)
        for k in range(5):
            a = k * 2 * np.pi / 5
            end = (0.28 * np.cos(a), 0.28 * np.sin(a), 0.05)
            b.capsule(OBSTACLE, (0, 0, 0.1), end, 0.02, frame)
            b.sphere(OBSTACLE, (end[0], end[1], 0.03), 0.03, frame)
    return 0.32


def shelf(b: Builder, rng: np.random.Generator) -> float:
    """A rack with things on it."""
    length, depth, z = rng.uniform(0.8, 2.2), rng.uniform(0.3, 0.5), rng.uniform(1.0, 2.1)
    post, board = _metal(b, rng), _board(b, rng)
    closed = rng.uniform() < 0.4
    for x in (-1, 1):
        if closed:
            b.box(OBSTACLE, (x * length / 2, 0, z / 2), (0.03, depth, z), board)
            continue
        for y in (-1, 1):
            b.box(OBSTACLE, (x * (length / 2 - 0.02), y * (depth / 2 - 0.02), z / 2), (0.04, 0.04, z), post)
    if closed or rng.uniform() < 0.3:
        b.box(OBSTACLE, (0, -depth / 2, z / 2), (length, 0.015, z), board)
    goods = [
        b.material(texture=b.texture(textures.cardboard(rng), cube=True)),
        b.paint(textures.color(rng, (0.2, 0.9), (0.1, 0.9))),
        b.paint(textures.color(rng, (0.0, 0.5), (0.1, 0.95))),
    ]
    levels = np.linspace(0.1, z, int(rng.integers(3, 6)))
    for level, above in zip(levels, [*levels[1:], levels[-1] + 0.35], strict=True):
        b.box(OBSTACLE, (0, 0, level), (length, depth, 0.03), board)
        along = -length / 2 + 0.05
        while along < length / 2 - 0.15:
            w, h = rng.uniform(0.06, 0.4), rng.uniform(0.3, 0.9) * (above - level)
            if rng.uniform() < 0.6 and along + w < length / 2 - 0.02:
                goods_here = goods[int(rng.integers(3))]
                b.box(OBSTACLE, (along + w / 2, 0, level + 0.015 + h / 2), (w, depth * 0.8, h), goods_here)
            along += w + rng.uniform(0.0, 0.1)
    return length / 2


def cabinet(b: Builder, rng: np.random.Generator) -> float:
    """A cupboard or a row of lockers."""
    length, depth, z = rng.uniform(0.5, 1.8), rng.uniform(0.35, 0.6), rng.uniform(0.6, 1.95)
    body, face, knob = _board(b, rng), _board(b, rng), _metal(b, rng)
    b.box(OBSTACLE, (0, 0, z / 2), (length, depth, z), body)
    columns, rows = max(1, int(length / rng.uniform(0.35, 0.6))), int(rng.integers(1, 5))
    w, h = length / columns, (z - 0.08) / rows
    for column in range(columns):
        for row in range(rows):
            x, at = -length / 2 + w * (column + 0.5), 0.08 + h * (row + 0.5)
            b.box(OBSTACLE, (x, depth / 2 + 0.008, at), (w - 0.015, 0.016, h - 0.015), face)
            b.box(OBSTACLE, (x + 0.3 * w, depth / 2 + 0.025, at), (0.02, 0.03, min(0.12, 0.4 * h)), knob)
    return length / 2


def sofa(b: Builder, rng: np.random.Generator) -> float:
    """A sofa or an armchair."""
    length = float(rng.choice([0.9, 1.6, 2.1]))
    stuff = b.material(texture=b.texture(textures.cloth(rng), cube=True))
    b.box(OBSTACLE, (0, 0, 0.24), (length, 0.8, 0.36), stuff)
    b.box(OBSTACLE, (0, -0.33, 0.6), (length, 0.18, 0.42), stuff)
    for x in (-1, 1):
        b.box(OBSTACLE, (x * (length / 2 + 0.06), 0, 0.34), (0.14, 0.82, 0.58), stuff)
    return length / 2 + 0.15


def bed(b: Builder, rng: np.random.Generator) -> float:
    """A hospital bed or a stretcher."""
    z = rng.uniform(0.5, 0.8)
    frame, sheet = _metal(b, rng), b.paint(textures.color(rng, (0, 0.35), (0.7, 1)))
    b.box(OBSTACLE, (0, 0, z), (2.0, 0.85, 0.14), sheet)
    b.sphere(OBSTACLE, (-0.75, 0, z + 0.1), (0.2, 0.32, 0.08), b.paint((0.95, 0.95, 0.95)))
    b.box(
        OBSTACLE, (0.3, 0, z + 0.07), (1.2, 0.88, 0.06), b.paint(textures.color(rng, (0.1, 0.7), (0.3, 0.9)))
    )
    b.box(OBSTACLE, (0, 0, z - 0.1), (2.0, 0.8, 0.05), frame)
    for x in (-1, 1):
        b.box(OBSTACLE, (x * 1.03, 0, z + 0.15), (0.04, 0.85, 0.5), _board(b, rng))
        for y in (-1, 1):
            b.capsule(OBSTACLE, (x * 0.85, y * 0.36, z - 0.1), (x * 0.9, y * 0.36, 0.1), 0.025, frame)
            b.cylinder(
                OBSTACLE, (x * 0.9, y * 0.36 - 0.02, 0.07), (x * 0.9, y * 0.36 + 0.02, 0.07), 0.07, frame
            )
    for y in (-1, 1):
        b.capsule(OBSTACLE, (-0.5, y * 0.46, z + 0.3), (0.4, y * 0.46, z + 0.3), 0.015, frame)
        for end in (-0.5, 0.4):
            b.capsule(OBSTACLE, (end, y * 0.46, z), (end, y * 0.46, z + 0.3), 0.012, frame)
    return 1.1


def bench(b: Builder, rng: np.random.Generator) -> float:
    """A waiting bench: several seats on one beam."""
    seats = int(rng.integers(2, 5))
    shell, frame = b.paint(textures.furnishing(rng)), _metal(b, rng)
    length = seats * 0.55
    b.box(OBSTACLE, (0, 0, 0.36), (length, 0.07, 0.06), frame)
    for k in range(seats):
        x = -length / 2 + 0.55 * (k + 0.5)
        b.box(OBSTACLE, (x, 0.02, 0.43), (0.48, 0.44, 0.035), shell)
        b.box(OBSTACLE, (x, -0.2, 0.66), (0.48, 0.035, 0.4), shell)
    for x in (-1, 1):
        b.box(OBSTACLE, (x * length * 0.4, 0, 0.18), (0.05, 0.06, 0.36), frame)
        b.box(OBSTACLE, (x * length * 0.4, 0, 0.02), (0.06, 0.5, 0.03), frame)
    return length / 2


AGAINST_WALL: tuple[Callable[..., float], ...] = (shelf, shelf, cabinet, cabinet, table, sofa, bench, bed)
FREE_STANDING: tuple[Callable[..., float], ...] = (table, chair, chair, bed, shelf, sofa)
