"""What lies or stands about: boxes, pallets, bins, plants, carts, ladders, cables, low steps. All obstacles.

Each function builds at the frame's origin and returns the radius it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.corridor.classes import OBSTACLE
from models.corridor.scene import textures

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.corridor.scene.builder import Builder


def _any(b: Builder, rng: np.random.Generator, **shine: float) -> str:
    return b.paint(textures.furnishing(rng), **shine)


def _carton(b: Builder, rng: np.random.Generator) -> str:
    return b.material(texture=b.texture(textures.cardboard(rng), cube=True), specular=0.05)


def boxes(b: Builder, rng: np.random.Generator) -> float:
    """One carton, or a stack of them."""
    side = rng.uniform(0.2, 0.55)
    carton, other = _carton(b, rng), _any(b, rng) if rng.uniform() < 0.3 else _carton(b, rng)
    z = 0.0
    for _ in range(int(rng.integers(1, 5))):
        high = side * rng.uniform(0.5, 1.0)
        at = (rng.normal(0, 0.03), rng.normal(0, 0.03), z + high / 2)
        b.box(OBSTACLE, at, (side, side * rng.uniform(0.7, 1.2), high), carton, rng.normal(0, 0.15))
        if rng.uniform() < 0.4:
            at = (at[0], at[1] + side * 1.15, high / 2)
            b.box(OBSTACLE, at, (side * 0.9, side * 0.8, high), other, rng.normal(0, 0.2))
        z += high
        side *= rng.uniform(0.75, 1.0)
    return 0.6


def pallet(b: Builder, rng: np.random.Generator) -> float:
    """A euro pallet, empty or loaded."""
    timber = b.material(texture=b.texture(textures.wood(rng), cube=True), specular=0)
    for y in np.linspace(-0.35, 0.35, 3):
        b.box(OBSTACLE, (0, y, 0.05), (1.2, 0.1, 0.1), timber)
    for x in np.linspace(-0.54, 0.54, 7):
        b.box(OBSTACLE, (x, 0, 0.12), (0.12, 0.8, 0.025), timber)
    if rng.uniform() < 0.65:
        load = _carton(b, rng) if rng.uniform() < 0.7 else _any(b, rng)
        n, high = int(rng.integers(1, 5)), rng.uniform(0.2, 0.4)
        for level in range(n):
            for x in (-0.3, 0.3):
                for y in (-0.2, 0.2):
                    if rng.uniform() < 0.93:
                        b.box(OBSTACLE, (x, y, 0.135 + high * (level + 0.5)), (0.58, 0.38, high * 0.98), load)
    return 0.75


def bin_(b: Builder, rng: np.random.Generator) -> float:
    """A waste bin or a bucket or a barrel."""
    r, z = rng.uniform(0.12, 0.3), rng.uniform(0.25, 0.9)
    body = _any(b, rng, specular=0.5)
    b.loft(
        OBSTACLE,
        [((0, 0, 0), 0.8 * r, 0.8 * r), ((0, 0, z), r, r), ((0, 0, z + 0.02), 0.9 * r, 0.9 * r)],
        body,
        16,
    )
    if rng.uniform() < 0.6:
        b.cylinder(OBSTACLE, (0, 0, z), (0, 0, z + 0.05), r * 1.04, _any(b, rng))
    return r


def wheelie(b: Builder, rng: np.random.Generator) -> float:
    """A square container on wheels."""
    z = rng.uniform(0.7, 1.1)
    body, lid, black = _any(b, rng), _any(b, rng), b.paint((0.06, 0.06, 0.06))
    b.box(OBSTACLE, (0, 0, z / 2 + 0.05), (0.48, 0.5, z - 0.1), body)
    b.box(OBSTACLE, (0, 0, z + 0.03), (0.54, 0.56, 0.06), lid)
    for x in (-0.2, 0.2):
        b.cylinder(OBSTACLE, (x - 0.03, -0.25, 0.09), (x + 0.03, -0.25, 0.09), 0.09, black)
    return 0.42


def cone(b: Builder, rng: np.random.Generator) -> float:
    """A traffic cone."""
    h = rng.uniform(0.3, 0.75)
    orange = b.paint((0.95, rng.uniform(0.2, 0.45), 0.05))
    white = b.paint((0.95, 0.95, 0.95))
    r = 0.16 * h / 0.5
    b.box(OBSTACLE, (0, 0, 0.02), (2.3 * r, 2.3 * r, 0.04), orange)
    b.loft(OBSTACLE, [((0, 0, 0.03), r, r), ((0, 0, h), 0.18 * r, 0.18 * r)], orange)
    b.loft(OBSTACLE, [((0, 0, 0.45 * h), 0.64 * r, 0.64 * r), ((0, 0, 0.65 * h), 0.48 * r, 0.48 * r)], white)
    return r


def plant(b: Builder, rng: np.random.Generator) -> float:
    """A potted plant: leaves as thin ellipsoids."""
    r, h = rng.uniform(0.13, 0.22), rng.uniform(0.2, 0.45)
    b.loft(OBSTACLE, [((0, 0, 0), 0.75 * r, 0.75 * r), ((0, 0, h), r, r)], _any(b, rng, specular=0.4))
    leaf = b.paint((rng.uniform(0.05, 0.25), rng.uniform(0.25, 0.55), rng.uniform(0.03, 0.2)), specular=0.3)
    tall = rng.uniform(0.4, 1.2)
    for k in range(int(rng.integers(10, 26))):
        a = k * 2.4
        z = h + tall * rng.uniform(0.1, 1.0)
        out = rng.uniform(0.1, 0.3)
        tip = np.array([out * np.cos(a), out * np.sin(a), z])
        with b.at(tip, yaw=a, pitch=rng.uniform(-0.6, 0.9)):
            b.sphere(OBSTACLE, (0, 0, 0), (rng.uniform(0.1, 0.2), rng.uniform(0.03, 0.07), 0.008), leaf)
        if k % 3 == 0:
            b.capsule(OBSTACLE, (0, 0, h * 0.8), tip, 0.006, leaf)
    return 0.3


def extinguisher(b: Builder, rng: np.random.Generator) -> float:
    """A fire extinguisher."""
    red, black = b.paint((rng.uniform(0.6, 0.9), 0.05, 0.05), specular=0.7), b.paint((0.05, 0.05, 0.05))
    b.limb(OBSTACLE, (0, 0, 0.08), (0, 0, 0.42), 0.08, 0.078, red)
    b.capsule(OBSTACLE, (0, 0, 0.45), (0, 0, 0.53), 0.022, black)
    b.capsule(OBSTACLE, (0, 0, 0.53), (0.07, 0, 0.54), 0.012, black)
    b.capsule(OBSTACLE, (0.02, 0.02, 0.5), (0.085, 0.03, 0.25), 0.01, black)
    return 0.12


def cart(b: Builder, rng: np.random.Generator) -> float:
    """A trolley: cleaning, medical or tool cart."""
    length, width, z = rng.uniform(0.6, 1.0), rng.uniform(0.4, 0.55), rng.uniform(0.75, 1.05)
    frame, tray = b.paint([rng.uniform(0.2, 0.8)] * 3, specular=0.8), _any(b, rng, specular=0.4)
    black = b.paint((0.07, 0.07, 0.07))
    for x in (-1, 1):
        for y in (-1, 1):
            at = np.array([x * length / 2, y * width / 2, 0])
            b.capsule(OBSTACLE, at + np.array([0, 0, 0.12]), at + np.array([0, 0, z]), 0.014, frame)
            b.cylinder(
                OBSTACLE, at + np.array([0, -0.015, 0.055]), at + np.array([0, 0.015, 0.055]), 0.055, black
            )
    closed = rng.uniform() < 0.4
    if closed:
        b.box(OBSTACLE, (0, 0, z / 2 + 0.06), (length * 0.98, width * 0.98, z - 0.14), tray)
        for level in (0.35, 0.55, 0.75):
            b.box(OBSTACLE, (0, width / 2, level * z + 0.1), (length * 0.9, 0.02, 0.02), frame)
    else:
        for level in (0.15, 0.5 * z, z - 0.02):
            b.box(OBSTACLE, (0, 0, level), (length, width, 0.03), tray)
            if rng.uniform() < 0.6:
                b.box(OBSTACLE, (rng.normal(0, 0.1), 0, level + 0.12), (0.3, 0.25, 0.2), _any(b, rng))
    b.capsule(OBSTACLE, (length / 2 + 0.08, -width / 2, z), (length / 2 + 0.08, width / 2, z), 0.014, frame)
    return 0.6


def ladder(b: Builder, rng: np.random.Generator) -> float:
    """A step ladder."""
    z = rng.uniform(0.9, 2.0)
    rail = b.paint([rng.uniform(0.5, 0.8)] * 3, specular=0.8) if rng.uniform() < 0.6 else _any(b, rng)
    for y in (-0.22, 0.22):
        b.capsule(OBSTACLE, (0.4, y, 0.02), (0, y * 0.7, z), 0.02, rail)
        b.capsule(OBSTACLE, (-0.4, y, 0.02), (0, y * 0.7, z), 0.018, rail)
    for k in np.arange(0.25, z, 0.27):
        b.box(OBSTACLE, (0.4 * (1 - k / z), 0, k), (0.09, 0.42, 0.025), rail)
    return 0.5


def wheelchair(b: Builder, rng: np.random.Generator) -> float:
    """A wheelchair, folded open and empty."""
    seat, frame, black = (
        _any(b, rng),
        b.paint([rng.uniform(0.2, 0.7)] * 3, specular=0.7),
        b.paint((0.06, 0.06, 0.06)),
    )
    b.box(OBSTACLE, (0, 0, 0.5), (0.42, 0.44, 0.04), seat)
    b.box(OBSTACLE, (-0.2, 0, 0.72), (0.03, 0.42, 0.4), seat)
    for y in (-0.27, 0.27):
        b.cylinder(OBSTACLE, (-0.08, y - 0.012, 0.3), (-0.08, y + 0.012, 0.3), 0.3, black)
        b.cylinder(OBSTACLE, (-0.08, y - 0.016, 0.3), (-0.08, y + 0.016, 0.3), 0.25, frame)
        b.cylinder(OBSTACLE, (0.32, y * 0.8 - 0.015, 0.09), (0.32, y * 0.8 + 0.015, 0.09), 0.09, black)
        b.capsule(OBSTACLE, (-0.2, y * 0.8, 0.4), (-0.22, y * 0.8, 0.95), 0.014, frame)
        b.capsule(OBSTACLE, (-0.2, y * 0.8, 0.7), (0.15, y * 0.8, 0.7), 0.016, frame)
        b.capsule(OBSTACLE, (0.2, y * 0.8, 0.5), (0.42, y * 0.6, 0.12), 0.014, frame)
    return 0.5


def wet_sign(b: Builder, rng: np.random.Generator) -> float:
    """A folding warning sign on the floor."""
    z = rng.uniform(0.5, 0.7)
    yellow = b.paint((0.95, rng.uniform(0.65, 0.85), 0.05)) if rng.uniform() < 0.8 else _any(b, rng)
    for side in (-1, 1):
        with b.at((side * 0.1, 0, z / 2), pitch=-side * 0.3):
            b.box(OBSTACLE, (0, 0, 0), (0.015, 0.3, z), yellow)
            b.box(OBSTACLE, (side * 0.01, 0, 0.05), (0.004, 0.15, 0.2), b.paint((0.1, 0.1, 0.1)))
    return 0.25


def bag(b: Builder, rng: np.random.Generator) -> float:
    """A sack, a rucksack or a suitcase."""
    stuff = _any(b, rng)
    if rng.uniform() < 0.5:
        b.sphere(OBSTACLE, (0, 0, 0.17), (0.22, 0.18, 0.2), stuff)
        b.sphere(OBSTACLE, (0.03, 0.02, 0.36), (0.07, 0.06, 0.08), stuff)
    else:
        b.box(OBSTACLE, (0, 0, 0.36), (0.25, 0.42, 0.6), stuff)
        for y in (-0.1, 0.1):
            b.capsule(OBSTACLE, (-0.1, y, 0.66), (-0.1, y, 1.0), 0.01, b.paint((0.3, 0.3, 0.3)))
        b.capsule(OBSTACLE, (-0.1, -0.1, 1.0), (-0.1, 0.1, 1.0), 0.015, b.paint((0.1, 0.1, 0.1)))
    return 0.3


def heap(b: Builder, rng: np.random.Generator) -> float:
    """Arbitrary shapes in any color: an obstacle can be anything."""
    for _ in range(int(rng.integers(1, 4))):
        skin = _any(b, rng) if rng.uniform() < 0.6 else _carton(b, rng)
        at, size = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.08, 0.35, 3)
        what = rng.uniform()
        if what < 0.4:
            b.box(OBSTACLE, (*at, size[2]), 2 * size, skin, rng.uniform(0, 3))
        elif what < 0.7:
            b.sphere(OBSTACLE, (*at, size[2]), size, skin)
        else:
            b.cylinder(OBSTACLE, (*at, 0), (*at, 3 * size[2]), size[0], skin)
    return 0.5


def pole(b: Builder, rng: np.random.Generator) -> float:
    """A barrier post, a floor lamp or an infusion stand."""
    z = rng.uniform(0.9, 1.9)
    stuff = _any(b, rng, specular=0.7)
    b.cylinder(OBSTACLE, (0, 0, 0), (0, 0, 0.03), 0.17, stuff)
    b.capsule(OBSTACLE, (0, 0, 0), (0, 0, z), rng.uniform(0.012, 0.03), stuff)
    if rng.uniform() < 0.5:
        b.loft(OBSTACLE, [((0, 0, z - 0.1), 0.18, 0.18), ((0, 0, z + 0.12), 0.1, 0.1)], _any(b, rng))
    return 0.2


def cable(b: Builder, rng: np.random.Generator) -> float:
    """A cable or a hose lying on the floor."""
    stuff, r = _any(b, rng), rng.uniform(0.008, 0.022)
    at, heading = np.array([-0.9, 0.0, r]), rng.normal(0, 0.5)
    for _ in range(14):
        to = at + 0.16 * np.array([np.cos(heading), np.sin(heading), 0])
        b.capsule(OBSTACLE, at, to, r, stuff)
        at = to
        heading += rng.normal(0, 0.45)
    return 0.3


def step(b: Builder, rng: np.random.Generator) -> float:
    """A low step or a plinth: too high to drive over."""
    high = rng.uniform(0.05, 0.18)
    size = (rng.uniform(0.4, 1.2), rng.uniform(0.4, 1.6), high)
    maker = (textures.concrete, textures.wood)[int(rng.integers(2))]
    stone = b.material(texture=b.texture(maker(rng, 128), cube=True), specular=0.1)
    b.box(OBSTACLE, (0, 0, high / 2), size, stone)
    if rng.uniform() < 0.5:
        b.box(OBSTACLE, (size[0] / 2, 0, high), (0.05, size[1], 0.012), b.paint((0.95, 0.8, 0.1)))
    return max(size[:2]) / 2


KINDS: tuple[Callable[..., float], ...] = (
    boxes, boxes, boxes, pallet, pallet, bin_, wheelie, cone, plant, plant, extinguisher, cart, cart, ladder,
    wheelchair, wet_sign, bag, heap, pole, cable, step,
)  # fmt: skip
