"""Doors: leaf, frame, handle; shut or open, single or double, plain, panelled, glazed or of lift steel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.corridor.classes import DOOR
from models.corridor.scene import textures

if TYPE_CHECKING:
    from models.corridor.scene.builder import Builder


@dataclass(frozen=True)
class DoorStyle:
    """What the doors of one building have in common; each door may still differ a little."""

    leaf: str
    frame: str
    handle: str
    glass: str
    panel: str
    kick: str
    kind: str
    height: float
    lever: bool

    @classmethod
    def random(cls, b: Builder, rng: np.random.Generator) -> DoorStyle:
        """A style drawn at random; leaves of dark wood, blue or gray stand out, as most do by design."""
        what = rng.uniform()
        shine: dict[str, Any] = {"specular": rng.uniform(0.1, 0.6), "shininess": rng.uniform(0.1, 0.8)}
        if what < 0.6:
            leaf = b.material(texture=b.texture(textures.door_wood(rng)), **shine)
        elif what < 0.85:
            leaf = b.paint(textures.color(rng, (0.45, 0.75), (0.25, 0.6), (0.55, 0.67)), **shine)
        else:
            leaf = b.paint(textures.warm_gray(rng, (0.2, 0.42)), **shine)
        steel = rng.uniform(0.3, 0.75)
        frame = leaf if rng.uniform() < 0.5 else b.paint(textures.warm_gray(rng, (0.1, 0.5)))
        return cls(
            leaf=leaf,
            frame=frame,
            handle=b.paint((steel, steel, steel), specular=0.9, shininess=0.8),
            glass=b.paint(textures.color(rng, (0.05, 0.3), (0.1, 0.6)), specular=1.0, shininess=0.9),
            panel=leaf if rng.uniform() < 0.5 else b.paint(textures.warm_gray(rng, (0.2, 0.8)), **shine),
            kick=b.paint((steel, steel, steel * 1.03), specular=0.7, shininess=0.6),
            kind=str(
                rng.choice(["plain", "lite", "panelled", "glazed", "lift"], p=[0.38, 0.3, 0.2, 0.07, 0.05])
            ),
            height=rng.uniform(1.95, 2.25),
            lever=bool(rng.uniform() < 0.75),
        )


def door(
    b: Builder, rng: np.random.Generator, look: DoorStyle, lo: float, hi: float, wall: float, *, opened: bool
) -> float:
    """A door in a wall frame (x along the wall, y into the space) from lo to hi; returns its upper edge."""
    w = 0.06
    top = look.height
    mid = (lo + hi) / 2
    for x in (lo + w / 2, hi - w / 2):
        b.box(DOOR, (x, -wall / 2, top / 2), (w, wall + 0.04, top), look.frame)
    b.box(DOOR, (mid, -wall / 2, top - w / 2), (hi - lo, wall + 0.04, w), look.frame)
    recess = rng.uniform(-0.9 * wall, -0.03)
    inward = bool(rng.uniform() < 0.5)
    double = hi - lo > 1.4
    width = (hi - lo - 2 * w) / (2 if double else 1)
    for left in (True, False) if double else (bool(rng.uniform() < 0.5),):
        angle = 0.0
        if opened:
            angle = rng.uniform(0.25, 2.6) if rng.uniform() < 0.9 else rng.uniform(0.05, 0.3)
        if look.kind == "lift":
            slide = rng.uniform(0.5, 1.0) * width if opened else 0.0
            x = lo + w - slide if left else hi - w - width + slide
            with b.at((x, -wall * 0.7, 0)):
                _leaf(b, rng, look, width, top - w, mirrored=not left)
            continue
        hinge = lo + w if left else hi - w
        with b.at((hinge, (-0.02 if inward else -wall + 0.02) if opened else recess, 0)):
            swing = (angle if inward else -angle) * (1 if left else -1)
            with b.at((0, 0, 0), swing), b.at((0.0 if left else -width, 0, 0)):
                _leaf(b, rng, look, width, top - w, mirrored=not left)
    return top


def _leaf(  # noqa: C901, PLR0912 - a list of a door's parts, each there or not
    b: Builder, rng: np.random.Generator, look: DoorStyle, width: float, top: float, *, mirrored: bool
) -> None:
    """One leaf from x = 0 to `width` in the plane y = 0; its handle is far from x = 0 unless mirrored."""
    t = 0.042
    mid = width / 2
    if look.kind == "glazed":
        edge = 0.1
        for x in (edge / 2, width - edge / 2):
            b.box(DOOR, (x, 0, top / 2), (edge, t, top), look.leaf)
        for z in (edge, top - edge / 2, 1.0):
            b.box(DOOR, (mid, 0, z), (width, t, edge * (2 if z == edge else 1)), look.leaf)
        b.box(DOOR, (mid, 0, top / 2), (width, 0.012, top), look.glass)
    else:
        b.plate(
            DOOR, (mid, 0, top / 2), (width, top, t), "+y", look.kick if look.kind == "lift" else look.leaf
        )
    if look.kind == "lift":
        return
    if look.kind == "lite":
        high = min(0.7 + 0.5 * (look.height - 1.95), 0.9)
        offset = 0.0 if look.lever else 0.12
        b.box(
            DOOR,
            (mid + offset * (1 if mirrored else -1), 0, top - 0.3 - high / 2),
            (0.28, t + 0.012, high),
            look.glass,
        )
    if look.kind == "panelled":
        for z, high in ((0.5, 0.65), (1.4, 0.8)):
            for x in (0.3 * width, 0.7 * width):
                b.box(DOOR, (x, 0, z), (0.28 * width, t + 0.02, high), look.panel)
                b.box(DOOR, (x, 0, z), (0.2 * width, t + 0.028, high - 0.12), look.leaf)
    if rng.uniform() < 0.3:
        b.box(DOOR, (mid, 0, 0.13), (width * 0.94, t + 0.01, 0.22), look.kick)
    if rng.uniform() < 0.3:
        b.box(DOOR, (mid, 0, 1.55), (0.25, t + 0.01, 0.12), look.panel)
    x = 0.07 if mirrored else width - 0.07
    inner = 1 if mirrored else -1
    for y in (-0.06, 0.06):
        b.capsule(DOOR, (x, 0, 1.02), (x, y, 1.02), 0.011, look.handle)
        if look.lever:
            b.capsule(DOOR, (x, y, 1.02), (x + inner * 0.12, y, 1.02), 0.011, look.handle)
        else:
            b.sphere(DOOR, (x, y, 1.02), 0.03, look.handle)
