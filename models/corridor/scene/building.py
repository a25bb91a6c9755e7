"""Floors, walls with their openings, ceilings, and the spaces behind the openings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.corridor.classes import CEILING, FLOOR, WALL
from models.corridor.scene import textures
from models.corridor.scene.builder import VOID
from models.corridor.scene.doors import DoorStyle, door
from models.corridor.scene.layout import bays

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from models.corridor.scene.builder import Builder
    from models.corridor.scene.layout import Bay, FloorPlan

THICKNESS = 0.14


@dataclass(frozen=True)
class Surface:
    """A texture, the meters that one copy of it covers, and its shine."""

    texture: str
    meters: tuple[float, float]
    reflectance: float = 0.0
    specular: float = 0.1
    shininess: float = 0.2

    def on(self, b: Builder, width: float, height: float) -> str:
        """The material for a face of this size (meters)."""
        return b.material(
            texture=self.texture,
            repeat=(width / self.meters[0], height / self.meters[1]),
            reflectance=self.reflectance,
            specular=self.specular,
            shininess=self.shininess,
        )


@dataclass(frozen=True)
class Style:
    """The materials of one space."""

    floor: Surface
    wall: Surface
    ceiling: Surface
    skirting: tuple[float, float, float] | None
    dado: tuple[float, float, float, float] | None


def _surface(
    b: Builder,
    rng: np.random.Generator,
    makers: tuple[Callable[..., textures.Texture], ...],
    meters: tuple[float, float],
) -> Surface:
    maker = makers[int(rng.integers(len(makers)))]
    size = rng.uniform(*meters)
    return Surface(b.texture(maker(rng)), (size, size), 0.0, rng.uniform(0, 0.5), rng.uniform(0, 0.9))


def style(b: Builder, rng: np.random.Generator) -> Style:
    """A random style: muted floors, light walls, lighter ceilings, as in real buildings."""
    floor = _surface(b, rng, textures.FLOORS, (0.8, 3.5))
    if rng.uniform() < 0.5:
        floor = Surface(
            floor.texture, floor.meters, rng.uniform(0.05, 0.22), rng.uniform(0.1, 0.8), rng.uniform(0.3, 1)
        )
    wall = _surface(b, rng, textures.WALLS, (1.2, 3.5))
    ceiling = _surface(b, rng, textures.CEILINGS, (1.15, 1.3))
    skirting = textures.color(rng, (0, 0.4), (0.05, 0.95)) if rng.uniform() < 0.6 else None
    dado = None
    if rng.uniform() < 0.15:
        dado = (*textures.color(rng, (0.05, 0.3), (0.5, 0.9)), rng.uniform(0.8, 1.4))
    return Style(floor, wall, ceiling, skirting, dado)


def space(
    b: Builder,
    rng: np.random.Generator,
    size: tuple[float, float, float],
    look: Style,
    walls: dict[str, list[Bay]],
    doors: DoorStyle,
    *,
    depth: int,
) -> None:
    """A room (length, width, height) with its corner at the frame's origin; sides not in `walls` stay open.

    `depth` is how many more spaces may be nested behind the openings of this one.
    """
    length, width, height = size
    t = THICKNESS
    b.plate(
        FLOOR, (length / 2, width / 2, -0.05), (length, width, 0.1), "+z", look.floor.on(b, length, width)
    )
    b.plate(
        CEILING,
        (length / 2, width / 2, height + 0.05),
        (length + 2 * t, width + 2 * t, 0.1),
        "-z",
        look.ceiling.on(b, length + 2 * t, width + 2 * t),
    )
    frames = {
        "south": ((0.0, 0.0, 0.0), 0.0, length),
        "east": ((length, 0.0, 0.0), 1.5707963, width),
        "north": ((length, width, 0.0), 3.1415927, length),
        "west": ((0.0, width, 0.0), 4.712389, width),
    }
    for side, parts in walls.items():
        origin, yaw, run = frames[side]
        with b.at(origin, yaw):
            _wall(b, rng, run, height, look, parts, doors, depth)


def _wall(
    b: Builder,
    rng: np.random.Generator,
    run: float,
    height: float,
    look: Style,
    parts: list[Bay],
    doors: DoorStyle,
    depth: int,
) -> None:
    at = -THICKNESS
    for bay in parts:
        if bay.kind == "blank" or (bay.kind in ("open_door", "passage") and depth == 0):
            continue
        _solid(b, at, bay.lo, height, look)
        top = _opening(b, rng, bay, height, look, doors, depth)
        if top < height - 0.01:
            _panel(b, bay.lo, bay.hi, top, height, look)
        at = bay.hi
    _solid(b, at, run + THICKNESS, height, look)


def _opening(
    b: Builder, rng: np.random.Generator, bay: Bay, height: float, look: Style, doors: DoorStyle, depth: int
) -> float:
    """Fills one opening; returns the height of its upper edge."""
    if bay.kind == "window":
        sill = rng.uniform(0.5, 1.1) if rng.uniform() < 0.8 else 0.05
        top = min(height - 0.1, rng.uniform(1.9, 2.4))
        _panel(b, bay.lo, bay.hi, 0.0, sill, look)
        _window(b, rng, bay, sill, top)
        return top
    middle, wide = (bay.lo + bay.hi) / 2, bay.hi - bay.lo
    sill_plate = (middle, -THICKNESS / 2, -0.05)
    b.plate(FLOOR, sill_plate, (wide, THICKNESS, 0.1), "+z", look.floor.on(b, wide, THICKNESS))
    if bay.kind == "door":
        return door(b, rng, doors, bay.lo, bay.hi, THICKNESS, opened=False)
    top = height if bay.kind == "passage" and rng.uniform() < 0.5 else min(rng.uniform(2.0, 2.4), height)
    if bay.kind == "open_door":
        top = door(b, rng, doors, bay.lo, bay.hi, THICKNESS, opened=True)
    _behind(b, rng, bay, height, look, doors, depth)
    return top


def _behind(
    b: Builder, rng: np.random.Generator, bay: Bay, height: float, look: Style, doors: DoorStyle, depth: int
) -> None:
    """The room or the crossing corridor behind an opening."""
    start, end = (bay.lo, bay.hi) if bay.kind == "passage" else (bay.start + 0.1, bay.end - 0.1)
    far = rng.uniform(3.0, 10.0) if bay.kind == "passage" else rng.uniform(2.0, 5.0)
    other = look if rng.uniform() < 0.4 else Style(look.floor, look.wall, look.ceiling, look.skirting, None)
    if rng.uniform() < 0.35:
        other = style(b, rng)
    walls = {"south": bays(rng, end - start, 0.5), "east": bays(rng, far, 0.4), "west": bays(rng, far, 0.4)}
    with b.at((start, -THICKNESS - far, 0)):
        space(b, rng, (end - start, far, height), other, walls, doors, depth=depth - 1)


def _solid(b: Builder, lo: float, hi: float, height: float, look: Style) -> None:
    """A piece of wall from floor to ceiling, with its skirting and its painted lower half."""
    if hi - lo < 0.01:
        return
    _panel(b, lo, hi, 0.0, height, look)
    if look.dado:
        *rgb, top = look.dado
        b.box(WALL, ((lo + hi) / 2, 0.002, top / 2), (hi - lo, 0.006, top), b.paint(rgb))
    if look.skirting:
        b.box(WALL, ((lo + hi) / 2, 0.006, 0.05), (hi - lo, 0.014, 0.1), b.paint(look.skirting))


def _panel(b: Builder, lo: float, hi: float, low: float, high: float, look: Style) -> None:
    if hi - lo < 0.01 or high - low < 0.01:
        return
    center = ((lo + hi) / 2, -THICKNESS / 2, (low + high) / 2)
    b.plate(WALL, center, (hi - lo, high - low, THICKNESS), "+y", look.wall.on(b, hi - lo, high - low))


def _window(b: Builder, rng: np.random.Generator, bay: Bay, sill: float, top: float) -> None:
    """A frame with bars, and the world outside as a bright picture that has no class."""
    lo, hi = bay.lo, bay.hi
    outside = b.material(
        texture=b.texture(textures.outdoors(rng)), emission=rng.uniform(0.4, 1.0), specular=0
    )
    middle = ((lo + hi) / 2, -THICKNESS - 0.05, (sill + top) / 2)
    b.plate(VOID, middle, (hi - lo + 0.3, top - sill + 0.3, 0.02), "+y", outside)
    frame = b.paint(textures.warm_gray(rng, (0.1, 1.0)))
    w = rng.uniform(0.03, 0.07)
    uprights = 2 + int((hi - lo) / rng.uniform(0.6, 1.5))
    for k in range(uprights):
        x = lo + w / 2 + (hi - lo - w) * k / (uprights - 1)
        b.box(WALL, (x, -0.06, (sill + top) / 2), (w, 0.06, top - sill), frame)
    for z in (sill + w / 2, top - w / 2):
        b.box(WALL, ((lo + hi) / 2, -0.06, z), (hi - lo, 0.06, w), frame)
    if sill > 0:
        b.box(WALL, ((lo + hi) / 2, 0.03, sill), (hi - lo + 0.1, 0.2, 0.03), frame)
    if rng.uniform() < 0.2:
        slats = b.paint(textures.warm_gray(rng, (0.5, 0.95)))
        z = top
        while z > sill + rng.uniform(0, 0.9) * (top - sill):
            b.box(WALL, ((lo + hi) / 2, -0.02, z), (hi - lo, 0.03, 0.02), slats)
            z -= 0.05


def building(b: Builder, rng: np.random.Generator, made: FloorPlan) -> Style:
    """The whole building of a plan; returns the main space's style."""
    look = style(b, rng)
    doors = DoorStyle.random(b, rng)
    space(b, rng, (made.length, made.width, made.height), look, made.walls, doors, depth=1)
    return look
