"""Other robots that share the building: seven kinds in white with lights that glow, as one fleet looks."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np

from models.corridor.classes import ROBOT
from models.corridor.scene import textures

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.corridor.scene.builder import Builder


class _Skin:
    """A robot's materials: shell, dark plastic, metal, a glowing light."""

    def __init__(self, b: Builder, rng: np.random.Generator) -> None:
        shell = textures.warm_gray(rng, (0.88, 1.0))
        self.shell = b.paint(shell, specular=0.6, shininess=0.7)
        self.trim = b.paint(textures.color(rng, (0.5, 0.9), (0.5, 0.95), (0.43, 0.52)), specular=0.5)
        self.dark = b.paint((0.06, 0.06, 0.07), specular=0.5, shininess=0.6)
        gray = rng.uniform(0.4, 0.75)
        self.metal = b.paint((gray, gray, gray), specular=0.9, shininess=0.7)
        hue = rng.uniform(0.4, 0.62)  # green to blue: red and yellow lamps mean something else
        self.glow = b.paint(colorsys.hsv_to_rgb(hue, rng.uniform(0.6, 1.0), 1.0), emission=1.0)


def _wheels(b: Builder, skin: _Skin, length: float, width: float, radius: float, count: int) -> None:
    for k in range(count):
        x = (k / (count - 1) - 0.5) * length
        for side in (-1, 1):
            y = side * width / 2
            b.cylinder(ROBOT, (x, y - 0.025, radius), (x, y + 0.025, radius), radius, skin.dark)
            b.cylinder(ROBOT, (x, y - 0.028, radius), (x, y + 0.028, radius), radius * 0.5, skin.metal)


def vacuum(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A cleaning disc."""
    r, h = rng.uniform(0.16, 0.27), rng.uniform(0.08, 0.16)
    b.cylinder(ROBOT, (0, 0, 0.02), (0, 0, h), r, skin.shell)
    b.cylinder(ROBOT, (0, 0, 0.03), (0, 0, 0.06), r + 0.006, skin.dark)
    b.cylinder(ROBOT, (-0.3 * r, 0, h), (-0.3 * r, 0, h + 0.035), 0.055, skin.dark)
    b.cylinder(ROBOT, (0.5 * r, 0, h), (0.5 * r, 0, h + 0.004), 0.03, skin.glow)


def carrier(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A logistics platform; alone, with a rack, with a tote or with a screen mast."""
    length, width, height = rng.uniform(0.6, 1.2), rng.uniform(0.45, 0.75), rng.uniform(0.22, 0.4)
    b.box(ROBOT, (0, 0, height / 2 + 0.03), (length, width, height - 0.06), skin.shell)
    for x in (-1, 1):
        b.cylinder(ROBOT, (x * length / 2, 0, 0.06), (x * length / 2, 0, height), width / 2.01, skin.shell)
    b.box(ROBOT, (0, 0, height * 0.45), (length + 0.02, width + 0.012, 0.04), skin.glow)
    b.box(ROBOT, (0, 0, 0.08), (length + 0.1, width + 0.008, 0.07), skin.dark)
    b.cylinder(
        ROBOT,
        (length / 2 + width / 3, 0, height * 0.5),
        (length / 2 + width / 3, 0, height * 0.75),
        0.06,
        skin.dark,
    )
    _wheels(b, skin, length * 0.6, width * 0.92, 0.075, 2)
    top = rng.uniform()
    if top < 0.3:
        z = rng.uniform(0.9, 1.6)
        for u in (-0.45, 0.45):
            for v in (-0.45, 0.45):
                b.box(ROBOT, (u * length, v * width, (height + z) / 2), (0.03, 0.03, z - height), skin.metal)
        for level in np.linspace(height + 0.25, z, int(rng.integers(2, 5))):
            b.box(ROBOT, (0, 0, level), (length * 0.95, width * 0.95, 0.025), skin.trim)
    elif top < 0.5:
        b.box(ROBOT, (0, 0, height + 0.18), (length * 0.8, width * 0.85, 0.34), skin.trim)
    elif top < 0.7:
        b.cylinder(ROBOT, (-0.3 * length, 0, height), (-0.3 * length, 0, 1.05), 0.025, skin.metal)
        b.box(ROBOT, (-0.3 * length, 0, 1.15), (0.03, 0.3, 0.22), skin.dark)
    else:
        b.cylinder(ROBOT, (0, 0, height - 0.03), (0, 0, height + 0.03), width * 0.3, skin.dark)


def telepresence(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A screen on a pole on a wheeled base."""
    z = rng.uniform(1.0, 1.5)
    b.loft(
        ROBOT, [((0, 0, 0.03), 0.24, 0.24), ((0, 0, 0.1), 0.23, 0.23), ((0, 0, 0.18), 0.06, 0.06)], skin.shell
    )
    b.cylinder(ROBOT, (0, 0, 0.1), (0, 0, z), rng.uniform(0.018, 0.04), skin.metal)
    screen = b.material(texture=b.texture(textures.picture(rng, 64)), emission=0.5)
    b.box(ROBOT, (0, 0, z + 0.1), (0.03, 0.3, 0.24), skin.dark)
    b.plate(ROBOT, (0.017, 0, z + 0.1), (0.27, 0.21, 0.004), "+x", screen)
    _wheels(b, skin, 0.2, 0.4, 0.07, 2)


def arm(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A manipulator on a mobile base."""
    height = rng.uniform(0.35, 0.7)
    b.box(ROBOT, (0, 0, height / 2 + 0.04), (0.65, 0.5, height - 0.08), skin.shell)
    b.box(ROBOT, (0, 0, height * 0.7), (0.66, 0.51, 0.05), skin.glow)
    b.box(ROBOT, (0, 0, 0.07), (0.6, 0.52, 0.09), skin.dark)
    _wheels(b, skin, 0.45, 0.5, 0.09, 2)
    at = np.array([0.1, 0.0, height])
    yaw = rng.uniform(-np.pi, np.pi)
    tilt = 0.0
    for length, radius in (
        (0.2, 0.075),
        (rng.uniform(0.3, 0.5), 0.055),
        (rng.uniform(0.25, 0.45), 0.045),
        (0.15, 0.04),
    ):
        direction = np.array([np.sin(tilt) * np.cos(yaw), np.sin(tilt) * np.sin(yaw), np.cos(tilt)])
        end = at + length * direction
        end[2] = max(end[2], 0.1)
        b.capsule(ROBOT, at, end, radius, skin.shell)
        b.sphere(ROBOT, end, radius * 1.25, skin.trim)
        at = end
        tilt += rng.uniform(0.3, 1.3)
    for side in (-1, 1):
        b.box(ROBOT, at + np.array([0.05, side * 0.04, 0]), (0.12, 0.015, 0.03), skin.dark)


def quadruped(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A four-legged robot."""
    z, length = rng.uniform(0.35, 0.6), rng.uniform(0.5, 0.85)
    b.box(ROBOT, (0, 0, z), (length, 0.24, 0.15), skin.shell)
    b.capsule(ROBOT, (-length / 2, 0, z), (length / 2, 0, z), 0.085, skin.shell)
    b.box(ROBOT, (length / 2 + 0.06, 0, z + 0.02), (0.14, 0.18, 0.11), skin.dark)
    b.box(ROBOT, (0, 0, z + 0.1), (0.25, 0.16, 0.07), skin.glow)
    stride = rng.uniform(0.1, 0.6)
    for x in (-1, 1):
        for y in (-1, 1):
            hip = np.array([x * length * 0.42, y * 0.17, z])
            knee = hip + np.array([-0.5 * z * np.sin(0.7 + stride * x * y * 0.4), 0.02 * y, -0.5 * z])
            foot = np.array([hip[0] + 0.1 * stride * x * y, hip[1], 0.03])
            b.sphere(ROBOT, hip, 0.065, skin.trim)
            b.limb(ROBOT, hip, knee, 0.05, 0.032, skin.shell, 8)
            b.limb(ROBOT, knee, foot, 0.028, 0.018, skin.dark, 8)


def delivery(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A six-wheeled box with a lid."""
    h = rng.uniform(0.35, 0.6)
    with b.at((0, 0, 0.12)):
        b.loft(ROBOT, [((0, 0, 0), 0.3, 0.22), ((0, 0, 0.05), 0.38, 0.27), ((0, 0, h), 0.36, 0.26),
                       ((0, 0, h + 0.06), 0.28, 0.2)], skin.shell, 20)  # fmt: skip
        b.loft(ROBOT, [((0, 0, h * 0.6), 0.385, 0.275), ((0, 0, h * 0.7), 0.382, 0.272)], skin.dark, 20)
    b.box(ROBOT, (0.35, 0, 0.2), (0.08, 0.25, 0.04), skin.glow)
    _wheels(b, skin, 0.55, 0.56, 0.1, 3)
    if rng.uniform() < 0.6:
        b.cylinder(ROBOT, (-0.3, 0.1, 0.3), (-0.3, 0.1, 1.2), 0.008, skin.dark)
        b.box(ROBOT, (-0.36, 0.1, 1.15), (0.12, 0.005, 0.08), skin.trim)


def waiter(b: Builder, rng: np.random.Generator, skin: _Skin) -> None:
    """A tall service robot: a body with trays or a face."""
    z = rng.uniform(0.9, 1.4)
    if rng.uniform() < 0.5:
        b.loft(
            ROBOT,
            [((0, 0, 0.03), 0.25, 0.23), ((0, 0, 0.25), 0.26, 0.24), ((0, 0, 0.3), 0.2, 0.2)],
            skin.shell,
            18,
        )
        for y in (-1, 1):
            b.box(ROBOT, (-0.1, y * 0.2, z / 2 + 0.1), (0.08, 0.03, z - 0.2), skin.shell)
        for level in np.linspace(0.5, z - 0.15, 3):
            b.cylinder(ROBOT, (0, 0, level), (0, 0, level + 0.025), 0.22, skin.trim)
        b.box(ROBOT, (-0.05, 0, z), (0.1, 0.38, 0.25), skin.dark)
    else:
        rings = [(0.03, 0.26), (0.12, 0.27), (0.4, 0.2), (0.65 * z, 0.15), (0.8 * z, 0.19), (0.86 * z, 0.08)]
        b.loft(ROBOT, [((0, 0, h), r, r) for h, r in rings], skin.shell, 18)
        b.sphere(ROBOT, (0.02, 0, z), (0.16, 0.17, 0.15), skin.shell)
        b.sphere(ROBOT, (0.09, 0, z + 0.01), (0.1, 0.13, 0.09), skin.dark)
        for y in (-1, 1):
            b.sphere(ROBOT, (0.185, y * 0.05, z + 0.02), 0.02, skin.glow)
            b.limb(ROBOT, (0, y * 0.2, 0.75 * z), (0.1, y * 0.25, 0.45 * z), 0.05, 0.04, skin.trim)
    b.box(ROBOT, (0.2, 0, 0.2), (0.1, 0.2, 0.03), skin.glow)
    _wheels(b, skin, 0.25, 0.46, 0.06, 2)


KINDS: tuple[Callable[..., None], ...] = (
    vacuum, carrier, carrier, telepresence, arm, quadruped, delivery, waiter, waiter,
)  # fmt: skip


def robot(b: Builder, rng: np.random.Generator) -> None:
    """A robot of a random kind at the frame's origin, facing x."""
    KINDS[int(rng.integers(len(KINDS)))](b, rng, _Skin(b, rng))
