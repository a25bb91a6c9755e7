"""Position and direction of the robot's camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.corridor.scene.layout import FloorPlan


@dataclass(frozen=True)
class View:
    """A pinhole camera: meters and radians; yaw 0 looks along x, positive pitch looks down."""

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    fovy: float

    @property
    def across(self) -> float:
        """The horizontal field of view at 4:3."""
        return 2 * float(np.arctan(np.tan(self.fovy / 2) * 4 / 3))

    def axes(self) -> list[float]:
        """The camera's right and up axes, as MuJoCo's `xyaxes`."""
        forward = np.array(
            [
                np.cos(self.yaw) * np.cos(self.pitch),
                np.sin(self.yaw) * np.cos(self.pitch),
                -np.sin(self.pitch),
            ]
        )
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        c, s = np.cos(self.roll), np.sin(self.roll)
        return [*(c * right + s * up), *(c * up - s * right)]


def views(rng: np.random.Generator, plan: FloorPlan, count: int) -> list[View]:
    """`count` views in a main space, most of them looking down its length, as a moving robot does."""
    chosen: list[View] = []
    while len(chosen) < count:
        view = _view(rng, plan)
        if _sight(plan, view) > (3.0 if rng.uniform() < 0.9 else 1.8):
            chosen.append(view)
    return chosen


def _sight(plan: FloorPlan, view: View) -> float:
    """Meters from the camera to the wall that it faces."""
    dx, dy = np.cos(view.yaw), np.sin(view.yaw)
    x, y, _ = view.position
    to_x = ((plan.length if dx > 0 else 0.0) - x) / dx if abs(dx) > 1e-6 else np.inf
    to_y = ((plan.width if dy > 0 else 0.0) - y) / dy if abs(dy) > 1e-6 else np.inf
    return float(min(to_x, to_y))


def _view(rng: np.random.Generator, plan: FloorPlan) -> View:
    edge = min(0.5, plan.width / 3)
    y = rng.uniform(edge, plan.width - edge)
    ahead = rng.uniform() < 0.5
    if plan.kind == "corridor":
        x = rng.uniform(0.4, 0.75 * plan.length)
        yaw = rng.normal(0, 0.3) if rng.uniform() < 0.8 else rng.uniform(-1.6, 1.6)
        if not ahead:
            x, yaw = plan.length - x, yaw + np.pi
    else:
        x = rng.uniform(0.5, plan.length - 0.5)
        yaw = np.arctan2(plan.width / 2 - y, plan.length / 2 - x) + rng.normal(0, 0.6)
    height = rng.uniform(0.3, 0.8) if rng.uniform() < 0.6 else rng.uniform(0.8, 1.4)
    pitch = rng.normal(0.04, 0.06) + 0.14 * max(height - 0.5, 0)
    roll = rng.normal(0, 0.015) if rng.uniform() < 0.9 else rng.normal(0, 0.06)
    return View(
        (float(x), float(y), height), float(yaw), float(pitch), float(roll), np.radians(rng.uniform(48, 70))
    )
