"""Placement: people, robots, furniture along walls, clutter, signs on walls, pipes under ceilings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.corridor.classes import CEILING, OBSTACLE, WALL
from models.corridor.scene import clutter, furniture, textures
from models.corridor.scene.layout import SIDES
from models.corridor.scene.people import person
from models.corridor.scene.robots import robot

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.corridor.scene.builder import Builder
    from models.corridor.scene.camera import View
    from models.corridor.scene.layout import FloorPlan

POSES = ("stand", "walk", "walk", "talk", "reach", "bend", "crouch", "carry", "lie", "sit")
POSE_ODDS = (0.22, 0.19, 0.17, 0.14, 0.07, 0.04, 0.03, 0.04, 0.02, 0.08)


class _Room:
    """The free floor of the main space, as circles already taken."""

    def __init__(self, plan: FloorPlan, views: list[View], rng: np.random.Generator) -> None:
        self.plan, self.views, self.rng = plan, views, rng
        self.taken = [(v.position[0], v.position[1], 0.7) for v in views]

    def free(self, x: float, y: float, radius: float) -> bool:
        inside = radius * 0.6 <= x <= self.plan.length - radius * 0.6 and (
            min(radius * 0.6, 0.3) <= y <= self.plan.width - min(radius * 0.6, 0.3)
        )
        return inside and all((x - a) ** 2 + (y - c) ** 2 > (radius + r) ** 2 for a, c, r in self.taken)

    def spot(self, radius: float, near: float = 1.0, far: float = 7.0) -> tuple[float, float] | None:
        """A free place where some view looks, `near` to `far` meters from it; it is taken at once."""
        for _ in range(24):
            view = self.views[int(self.rng.integers(len(self.views)))]
            bearing = view.yaw + self.rng.uniform(-0.5, 0.5) * view.across
            distance = near + (far - near) * self.rng.beta(1.2, 2.2)
            x = view.position[0] + distance * np.cos(bearing)
            y = view.position[1] + distance * np.sin(bearing)
            if self.free(x, y, radius):
                self.taken.append((x, y, radius))
                return float(x), float(y)
        return None


def populate(b: Builder, rng: np.random.Generator, plan: FloorPlan, views: list[View]) -> None:
    """Fills the main space of a plan that is seen from `views`."""
    room = _Room(plan, views, rng)
    _columns(b, rng, room)
    for _ in range(_number(rng, (0.05, 0.3, 0.4, 0.25))):
        _someone(b, rng, room)
    for _ in range(_number(rng, (0.05, 0.4, 0.4, 0.15))):
        spot = room.spot(0.5, 1.2, 4.2)
        if spot:
            with b.at((*spot, 0), rng.uniform(-np.pi, np.pi)):
                robot(b, rng)
    _walls(b, rng, room)
    crowd = rng.uniform(0.3, 1.0) * (5 if plan.kind == "corridor" else 8)
    for _ in range(round(crowd * 0.6)):
        _put(b, rng, room, clutter.KINDS)
    if plan.kind != "corridor":
        for _ in range(round(crowd * 0.4)):
            _put(b, rng, room, furniture.FREE_STANDING)
    _overhead(b, rng, plan)


def _number(rng: np.random.Generator, odds: tuple[float, ...]) -> int:
    return int(rng.choice(len(odds), p=odds))


def _someone(b: Builder, rng: np.random.Generator, room: _Room) -> None:
    kind = str(rng.choice(POSES, p=POSE_ODDS))
    spot = room.spot(1.1 if kind == "lie" else 0.4, 1.4, 5.0)
    if not spot:
        return
    with b.at((*spot, 0), rng.uniform(-np.pi, np.pi)):
        if kind == "sit":
            with b.at((-0.02, 0, 0), -np.pi / 2):
                furniture.chair(b, rng)
        person(b, rng, kind)


def _put(b: Builder, rng: np.random.Generator, room: _Room, makers: tuple[Callable[..., float], ...]) -> None:
    """Chooses a thing, then a place that is wide enough for most of its kind."""
    maker = makers[int(rng.integers(len(makers)))]
    spot = room.spot(0.2 if maker is clutter.cable else 0.5, 1.1, 5.5)
    if spot:
        with b.at((*spot, 0), rng.uniform(-np.pi, np.pi)):
            maker(b, rng)


def _columns(b: Builder, rng: np.random.Generator, room: _Room) -> None:
    """Pillars, which belong to the walls."""
    if room.plan.kind != "hall" or rng.uniform() < 0.65:
        return
    skin = b.material(texture=b.texture(textures.WALLS[int(rng.integers(len(textures.WALLS)))](rng)))
    half = rng.uniform(0.15, 0.35)
    round_ = rng.uniform() < 0.4
    for x in np.arange(2.5, room.plan.length - 1, rng.uniform(3.5, 6)):
        for y in (0.3, 0.7):
            at = (float(x), y * room.plan.width)
            if not room.free(*at, half * 1.5):
                continue
            room.taken.append((*at, half * 1.5))
            if round_:
                b.cylinder(WALL, (*at, 0), (*at, room.plan.height), half, skin)
            else:
                b.box(WALL, (*at, room.plan.height / 2), (2 * half, 2 * half, room.plan.height), skin)


def _walls(b: Builder, rng: np.random.Generator, room: _Room) -> None:
    """Furniture with its back to blank wall; signs, rails and switches on the wall."""
    plan = room.plan
    tidy = rng.uniform(0.1, 0.75)
    rail = b.paint(textures.warm_gray(rng, (0.2, 0.8)), specular=0.5) if rng.uniform() < 0.2 else None
    for side in SIDES:
        origin, yaw = plan.wall_frame(side)
        for bay in plan.walls[side]:
            middle = (bay.start + bay.end) / 2
            with b.at(origin, yaw):
                if bay.kind != "blank":
                    if rng.uniform() < 0.5:  # a plate beside the door
                        b.box(
                            WALL, (bay.hi + 0.12, 0.006, 1.25), (0.09, 0.012, 0.09), b.paint((0.9, 0.9, 0.88))
                        )
                    continue
                if rail and bay.end - bay.start > 0.6:
                    b.capsule(WALL, (bay.start + 0.1, 0.06, 0.92), (bay.end - 0.1, 0.06, 0.92), 0.02, rail)
                _hang(b, rng, bay.start, bay.end)
                narrow = plan.width < 2.2 and side in ("south", "north")
                if rng.uniform() > tidy * (0.4 if narrow else 1.0):
                    continue
                depth = 0.22 if narrow else 0.36
                x, y, _ = b.world((middle, depth, 0))
                if room.free(x, y, 0.3):
                    makers = (
                        (clutter.KINDS if narrow else furniture.AGAINST_WALL)
                        if rng.uniform() < 0.8
                        else clutter.KINDS
                    )
                    with b.at((middle, depth + 0.05, 0), rng.normal(0, 0.04)):
                        radius = makers[int(rng.integers(len(makers)))](b, rng)
                    room.taken.append((x, y, min(radius, 0.9)))


def _hang(b: Builder, rng: np.random.Generator, lo: float, hi: float) -> None:
    """A poster, a board or an extinguisher's bracket."""
    span = hi - lo
    if span < 0.7 or rng.uniform() < 0.65:
        return
    if rng.uniform() < 0.15:
        with b.at((lo + span * rng.uniform(0.2, 0.8), 0.12, 0.6)):
            clutter.extinguisher(b, rng)
        return
    w, h = rng.uniform(0.25, min(1.2, span)), rng.uniform(0.25, 0.7)
    if rng.uniform() < 0.25:
        face = b.paint((0.95, 0.96, 0.96), specular=0.6)
    else:
        face = b.material(texture=b.texture(textures.picture(rng)))
    x, z = lo + span * rng.uniform(0.3, 0.7), rng.uniform(1.3, 1.7)
    b.box(WALL, (x, 0.008, z), (w + 0.05, 0.014, h + 0.05), b.paint([rng.uniform(0.05, 0.9)] * 3))
    b.plate(WALL, (x, 0.012, z), (w, h, 0.014), "+y", face)


def _overhead(b: Builder, rng: np.random.Generator, plan: FloorPlan) -> None:
    """Pipes, ducts, beams and signs under the ceiling; they count as ceiling."""
    if rng.uniform() < 0.3:
        skin = b.paint(textures.warm_gray(rng, (0.3, 0.9)), specular=0.6)
        for _ in range(int(rng.integers(1, 4))):
            y, r = rng.uniform(0.1, 0.9) * plan.width, rng.uniform(0.03, 0.16)
            z = plan.height - r - rng.uniform(0.02, 0.15)
            b.cylinder(CEILING, (0, y, z), (plan.length, y, z), r, skin)
    if rng.uniform() < 0.15:
        beam = b.paint(textures.warm_gray(rng, (0.3, 0.95)))
        for x in np.arange(1.0, plan.length, rng.uniform(2, 4)):
            b.box(CEILING, (x, plan.width / 2, plan.height - 0.12), (0.2, plan.width, 0.24), beam)
    if rng.uniform() < 0.3:
        sign = b.paint((0.05, rng.uniform(0.5, 0.8), 0.25), emission=0.7)
        x = rng.uniform(0.2, 0.9) * plan.length
        b.box(CEILING, (x, plan.width / 2, plan.height - 0.18), (0.04, 0.4, 0.2), sign)
    if rng.uniform() < 0.05 and plan.kind == "hall":
        rope = b.paint((0.2, 0.2, 0.2))
        b.capsule(
            OBSTACLE,
            (plan.length / 2, plan.width / 2, 1.2),
            (plan.length / 2, plan.width / 2, plan.height),
            0.02,
            rope,
        )
