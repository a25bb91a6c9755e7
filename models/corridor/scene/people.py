"""Articulated people: a skeleton in a pose, dressed."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.corridor.classes import PERSON
from models.corridor.scene import textures
from models.corridor.scene.builder import rotation

if TYPE_CHECKING:
    from models.corridor.scene.builder import Builder, Matrix


@dataclass(frozen=True)
class Pose:
    """Joint angles in radians, left and right; forward bends are positive."""

    lean: float = 0.0
    hips: tuple[float, float] = (0.0, 0.0)
    knees: tuple[float, float] = (0.0, 0.0)
    spread: float = 0.06
    shoulders: tuple[float, float] = (0.0, 0.0)
    abduction: tuple[float, float] = (0.12, 0.12)
    elbows: tuple[float, float] = (0.15, 0.15)
    lying: float = 0.0


def pose(rng: np.random.Generator, kind: str) -> Pose:  # noqa: PLR0911 - one return for each kind reads best
    """A random pose of a kind: stand, walk, sit, bend, crouch, reach, talk, carry or lie."""
    n = rng.normal
    arms = (n(0, 0.15), n(0, 0.15))
    if kind == "walk":
        s = rng.uniform(0.15, 0.6) * rng.choice([-1, 1])
        knees = (rng.uniform(0.05, 0.3) + max(-s, 0), rng.uniform(0.05, 0.3) + max(s, 0))
        return Pose(rng.uniform(0, 0.15), (s, -s), knees, 0.03, (-0.8 * s, 0.8 * s), elbows=(0.4, 0.4))
    if kind == "sit":
        hip = rng.uniform(1.35, 1.65)
        reach = (rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.9))
        elbow = (rng.uniform(0.5, 1.4), rng.uniform(0.5, 1.4))
        return Pose(
            n(0.05, 0.15),
            (hip, hip),
            (n(1.5, 0.2), n(1.5, 0.2)),
            rng.uniform(0.05, 0.25),
            reach,
            elbows=elbow,
        )
    if kind == "bend":
        return Pose(
            rng.uniform(0.6, 1.4), (0.1, 0.1), (0.3, 0.3), 0.1, (rng.uniform(0, 0.9), rng.uniform(0, 0.9))
        )
    if kind == "crouch":
        hip = rng.uniform(1.7, 2.1)
        return Pose(rng.uniform(0.2, 0.6), (hip, hip - 0.4), (2.2, 1.9), 0.15, (0.7, 0.6), elbows=(0.6, 0.6))
    if kind == "reach":
        up = rng.uniform(1.2, 3.0)
        return Pose(n(0, 0.08), shoulders=(up, n(0.2, 0.3)), elbows=(rng.uniform(0, 0.5), 0.3))
    if kind == "talk":
        return Pose(n(0, 0.08), shoulders=(n(0.4, 0.3), n(0.4, 0.3)), elbows=(n(1.6, 0.4), n(1.6, 0.4)))
    if kind == "carry":
        return Pose(n(-0.05, 0.05), shoulders=(0.35, 0.35), elbows=(1.25, 1.25))
    if kind == "lie":
        side = rng.choice([-1.0, 1.0])
        return Pose(0.05, (n(0.2, 0.3), n(0.2, 0.3)), (0.4, 0.5), 0.1, (n(0.4, 0.5), n(0.4, 0.5)), lying=side)
    return Pose(n(0, 0.06), (n(0, 0.08), n(0, 0.08)), (0.05, 0.08), rng.uniform(0.03, 0.15), arms)


@dataclass(frozen=True)
class _Clothes:
    top: str
    bottom: str
    skin: str
    hair: str
    shoes: str
    eyes: str


def _clothes(b: Builder, rng: np.random.Generator) -> _Clothes:
    skin = colorsys.hsv_to_rgb(rng.uniform(0.03, 0.08), rng.uniform(0.25, 0.6), rng.uniform(0.25, 0.95))
    hair = colorsys.hsv_to_rgb(
        rng.uniform(0.03, 0.12), rng.uniform(0.0, 0.7), rng.choice([0.08, 0.2, 0.45, 0.75])
    )
    top = b.material(texture=b.texture(textures.cloth(rng)), specular=0.05)
    same = rng.uniform() < 0.15
    dark = colorsys.hsv_to_rgb(
        rng.choice([0.6, 0.63, 0.08, 0.0]), rng.uniform(0, 0.6), rng.uniform(0.05, 0.45)
    )
    return _Clothes(
        top=top,
        bottom=top
        if same
        else b.paint(dark if rng.uniform() < 0.75 else textures.color(rng, (0, 0.8), (0.1, 0.9))),
        skin=b.paint(skin, specular=0.15),
        hair=b.paint(hair, specular=0.3),
        shoes=b.paint(textures.color(rng, (0, 0.7), (0.03, 0.95 if rng.uniform() < 0.3 else 0.3))),
        eyes=b.paint((0.08, 0.06, 0.05)),
    )


def person(b: Builder, rng: np.random.Generator, kind: str) -> None:
    """A person at the frame's origin, facing x, touching z = 0 (seated: on a seat about 0.45 m high)."""
    bent = pose(rng, kind)
    s = rng.uniform(1.5, 1.95) / 1.75 if rng.uniform() < 0.92 else rng.uniform(1.0, 1.4) / 1.75
    wide = s * rng.uniform(0.88, 1.28)
    wear = _clothes(b, rng)
    skeleton = _skeleton(bent, s)
    low = min(point[2] for name, point in skeleton.items() if name.startswith(("ankle", "knee", "hand")))
    if bent.lying:
        lift = (0.0, 0.0, 0.16 * wide)
        with b.at(lift, pitch=bent.lying * 1.57), b.at((-0.0, 0, -0.6 * s)):
            _draw(b, rng, skeleton, bent, wear, s, wide, kind)
    else:
        with b.at((0, 0, -low + 0.08 * s)):
            _draw(b, rng, skeleton, bent, wear, s, wide, kind)


def _skeleton(bent: Pose, s: float) -> dict[str, Matrix]:
    """The joints' places, pelvis at the origin."""
    points: dict[str, Matrix] = {}
    trunk = rotation(pitch=bent.lean)
    for k, side in enumerate((1, -1)):
        hip = np.array([0, side * 0.09 * s, 0])
        leg = rotation(pitch=-bent.hips[k], roll=side * bent.spread)
        knee = hip + leg @ [0, 0, -0.43 * s]
        shin = leg @ rotation(pitch=bent.knees[k])
        ankle = knee + shin @ [0, 0, -0.41 * s]
        shoulder = trunk @ [0, side * 0.19 * s, 0.46 * s]
        arm = trunk @ rotation(pitch=-bent.shoulders[k], roll=side * bent.abduction[k])
        elbow = shoulder + arm @ [0, 0, -0.29 * s]
        hand = elbow + arm @ rotation(pitch=-bent.elbows[k]) @ [0, 0, -0.26 * s]
        toe = ankle + (
            rotation(pitch=-bent.hips[k] + bent.knees[k]) @ [0.17 * s, 0, -0.05 * s]
            if bent.lying
            else np.array([0.17 * s, side * 0.03, -0.045 * s])
        )
        names = ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "hand")
        points.update(
            {f"{n}{k}": p for n, p in zip(names, (hip, knee, ankle, toe, shoulder, elbow, hand), strict=True)}
        )
    return points


def _draw(
    b: Builder,
    rng: np.random.Generator,
    at: dict[str, Matrix],
    bent: Pose,
    wear: _Clothes,
    s: float,
    w: float,
    kind: str,
) -> None:
    short_sleeves, shorts = rng.uniform() < 0.35, rng.uniform() < 0.12
    straight = kind in ("stand", "walk", "talk", "carry", "reach")
    for k in (0, 1):
        thigh = wear.bottom
        b.limb(PERSON, at[f"hip{k}"], at[f"knee{k}"], 0.088 * w, 0.06 * w, thigh)
        b.limb(
            PERSON,
            at[f"knee{k}"],
            at[f"ankle{k}"],
            0.058 * w,
            0.042 * w,
            wear.skin if shorts else wear.bottom,
        )
        b.limb(
            PERSON,
            at[f"ankle{k}"] - [0.03 * s, 0, 0.03 * s],
            at[f"toe{k}"],
            0.045 * s,
            0.038 * s,
            wear.shoes,
            8,
        )
        b.limb(PERSON, at[f"shoulder{k}"], at[f"elbow{k}"], 0.056 * w, 0.043 * w, wear.top)
        forearm = wear.skin if short_sleeves else wear.top
        b.limb(PERSON, at[f"elbow{k}"], at[f"hand{k}"], 0.042 * w, 0.03 * w, forearm)
        b.sphere(PERSON, at[f"hand{k}"], (0.045 * s, 0.035 * s, 0.06 * s), wear.skin)
    with b.at((0, 0, 0), pitch=bent.lean):
        rings = [
            (-0.10, 0.095, 0.14), (-0.02, 0.125, 0.175), (0.14, 0.105, 0.15), (0.30, 0.12, 0.175),
            (0.42, 0.11, 0.19), (0.485, 0.085, 0.165), (0.52, 0.05, 0.07),
        ]  # fmt: skip
        b.loft(PERSON, [((0, 0, z * s), rx * w, ry * w) for z, rx, ry in rings], wear.top)
        b.loft(PERSON, [((0, 0, z * s), 0.128 * w, 0.178 * w) for z in (-0.11, -0.03, 0.03)], wear.bottom)
        b.limb(PERSON, (0, 0, 0.5 * s), (0.015 * s, 0, 0.6 * s), 0.052 * s, 0.05 * s, wear.skin)
        with b.at(
            (0.02 * s, 0, 0.69 * s), yaw=rng.normal(0, 0.4), pitch=rng.normal(0.05, 0.15) - 0.5 * bent.lean
        ):
            _head(b, rng, wear, s)
        if rng.uniform() < 0.15:
            pack = b.paint(textures.color(rng, (0, 0.8), (0.05, 0.7)))
            b.sphere(PERSON, (-0.19 * w, 0, 0.26 * s), (0.12, 0.15, 0.24), pack)
    if straight and rng.uniform() < 0.22:
        hem = -rng.uniform(0.3, 0.75) * s
        cloth = wear.top if rng.uniform() < 0.6 else wear.bottom
        flare = rng.uniform(0.16, 0.24) + (0.06 if kind == "walk" else 0)
        b.loft(PERSON, [((0, 0, hem), flare * w, 0.22 * w), ((0, 0, -0.05 * s), 0.15 * w, 0.19 * w),
                        ((0, 0, 0.12 * s), 0.115 * w, 0.16 * w)], cloth)  # fmt: skip
    if kind == "carry":
        size = rng.uniform(0.25, 0.45, 3)
        middle = (at["hand0"] + at["hand1"]) / 2 + [size[0] / 2 - 0.05, 0, 0.05]
        box = b.material(texture=b.texture(textures.cardboard(rng), cube=True))
        b.box(PERSON, middle, size, box)


def _head(b: Builder, rng: np.random.Generator, wear: _Clothes, s: float) -> None:
    b.sphere(PERSON, (0, 0, 0), (0.098 * s, 0.078 * s, 0.125 * s), wear.skin)
    b.sphere(PERSON, (0.095 * s, 0, -0.012 * s), (0.022 * s, 0.014 * s, 0.025 * s), wear.skin)
    for y in (-1, 1):
        b.sphere(PERSON, (0, y * 0.078 * s, -0.01 * s), (0.02 * s, 0.012 * s, 0.03 * s), wear.skin)
        b.sphere(PERSON, (0.085 * s, y * 0.03 * s, 0.022 * s), 0.011 * s, wear.eyes)
    what = rng.uniform()
    if what < 0.75:
        b.sphere(PERSON, (-0.022 * s, 0, 0.035 * s), (0.097 * s, 0.086 * s, 0.115 * s), wear.hair)
        if what < 0.25:  # long hair
            b.sphere(PERSON, (-0.055 * s, 0, -0.06 * s), (0.06 * s, 0.085 * s, 0.16 * s), wear.hair)
    elif what < 0.9:  # a cap, a helmet or a surgical hood
        cap = b.paint(textures.color(rng, (0, 0.9), (0.2, 1.0)), specular=0.5)
        b.sphere(PERSON, (-0.005 * s, 0, 0.05 * s), (0.112 * s, 0.095 * s, 0.1 * s), cap)
        b.sphere(PERSON, (0.08 * s, 0, 0.06 * s), (0.08 * s, 0.07 * s, 0.012 * s), cap)
    if rng.uniform() < 0.12:
        mask = b.paint((0.75, 0.88, 0.95))
        b.sphere(PERSON, (0.05 * s, 0, -0.05 * s), (0.06 * s, 0.062 * s, 0.05 * s), mask)
