"""Visible lamps, and the light they cast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from models.corridor.classes import CEILING
from models.corridor.scene import textures

if TYPE_CHECKING:
    from models.corridor.scene.builder import Builder, Vector
    from models.corridor.scene.layout import FloorPlan


def lights(b: Builder, rng: np.random.Generator, plan: FloorPlan) -> None:
    """Ceiling lamps in a row or a grid; up to four of them cast light, the first also shadows."""
    visual = b.spec.visual
    ambient = rng.uniform(0.42, 0.58)
    visual.headlight.ambient = [ambient] * 3
    visual.headlight.diffuse = (
        [rng.uniform(0, 0.2)] * 3 if rng.uniform() < 0.85 else [rng.uniform(0.3, 0.7)] * 3
    )
    visual.headlight.specular = [rng.uniform(0, 0.2)] * 3
    tint = np.array([1.0, rng.uniform(0.9, 1.0), rng.uniform(0.78, 1.04)])
    places = _lamps(b, rng, plan, tint)
    chosen = rng.permutation(len(places))[:4]
    strength = rng.uniform(0.8, 1.4) / max(len(chosen), 1) ** 0.6
    for k, index in enumerate(chosen):
        x, y = places[int(index)]
        _lamp(
            b,
            (x, y, plan.height - 0.05),
            (rng.normal(0, 0.1), rng.normal(0, 0.1), -1),
            strength * tint,
            shadow=k == 0,
        )
    # light reflected by floor and walls: without it every ceiling would be dark
    light = b.spec.worldbody.add_light(
        pos=[plan.length / 2, plan.width / 2, 0.1], dir=[0, 0, 1], castshadow=False
    )
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.diffuse = rng.uniform(0.1, 0.45) * tint
    light.specular = [0, 0, 0]
    if rng.uniform() < 0.2:
        _sun(b, rng, plan)


def _lamps(
    b: Builder, rng: np.random.Generator, plan: FloorPlan, tint: np.ndarray
) -> list[tuple[float, float]]:
    glow = b.paint(np.clip(tint, 0, 1), emission=rng.uniform(0.7, 1.0))
    off = b.paint(textures.warm_gray(rng, (0.6, 0.9)))
    along, across = rng.uniform(1.8, 4.0), rng.uniform(2.2, 4.0)
    xs = np.arange(rng.uniform(0.5, 1.5), plan.length - 0.3, along)
    rows = max(1, round(plan.width / across))
    ys = (np.arange(rows) + 0.5) * plan.width / rows
    kind = rng.uniform()
    size = {0: (0.6, 0.6), 1: (1.2, 0.2), 2: (0.2, 1.2), 3: (0.15, 0.15)}[int(rng.integers(4))]
    size = (min(size[0], along * 0.8), min(size[1], plan.width * 0.6))
    places = []
    for x in xs:
        for y in ys:
            material = glow if rng.uniform() < 0.88 else off
            drop = 0.012 if kind < 0.7 else 0.25
            b.box(CEILING, (x, y, plan.height - drop / 2), (*size, drop if drop < 0.1 else 0.06), material)
            places.append((float(x), float(y)))
    return places or [(plan.length / 2, plan.width / 2)]


def _lamp(b: Builder, at: Vector, direction: Vector, rgb: Vector, *, shadow: bool) -> None:
    light = b.spec.worldbody.add_light(pos=at, dir=direction, castshadow=shadow)
    light.type = mujoco.mjtLightType.mjLIGHT_SPOT
    light.cutoff = 85
    light.exponent = 1.0
    light.attenuation = [1, 0.05, 0.01]
    light.diffuse = np.clip(rgb, 0, 1)
    light.specular = np.clip(np.multiply(0.4, rgb), 0, 1)


def _sun(b: Builder, rng: np.random.Generator, plan: FloorPlan) -> None:
    """A slanting light from one side, as through a row of windows; it casts no shadow of the ceiling."""
    side = float(rng.choice([-1, 1]))
    light = b.spec.worldbody.add_light(
        pos=[plan.length / 2, plan.width / 2, plan.height],
        dir=[rng.uniform(-1, 1), side, -rng.uniform(0.4, 1.2)],
    )
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.castshadow = False
    light.diffuse = rng.uniform(0.2, 0.5) * np.array([1.0, 0.95, 0.85])
