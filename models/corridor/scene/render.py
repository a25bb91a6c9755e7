"""From a seed to a frame: builds the scene, renders image and classes with MuJoCo, applies the sensor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

os.environ.setdefault("MUJOCO_GL", "osmesa")  # on a machine with a GPU, MUJOCO_GL=egl is faster

import mujoco

from models.corridor.classes import UNLABELED
from models.corridor.scene.builder import Builder
from models.corridor.scene.building import building
from models.corridor.scene.camera import View, views
from models.corridor.scene.layout import plan
from models.corridor.scene.lighting import lights
from models.corridor.scene.populate import populate
from models.corridor.scene.sensor import sense

if TYPE_CHECKING:
    from numpy.typing import NDArray

VIEWS_PER_SCENE = 3
"""Frames 3k, 3k+1 and 3k+2 are three views of scene k: a scene costs as much as a view."""


@dataclass(frozen=True)
class Frame:
    """`image` is `(H, W, 3) uint8` RGB, `labels` is `(H, W) uint8` with class ids and 255 for unlabeled."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def scene(number: int) -> tuple[mujoco.MjModel, list[View]]:
    """The compiled scene `number` with its views; a pure function of the number."""
    rng = np.random.default_rng([20261122, number])
    b = Builder(rng)
    b.spec.visual.quality.shadowsize = 1024
    b.spec.visual.quality.offsamples = 4
    b.spec.visual.quality.numslices = 16
    b.spec.visual.quality.numstacks = 10
    b.spec.visual.map.znear = 0.002
    b.spec.visual.map.zfar = 4.0
    b.spec.stat.extent = 15.0
    b.spec.stat.center = [0, 0, 0]
    b.spec.compiler.saveinertial = False
    made = plan(rng)
    building(b, rng, made)
    lights(b, rng, made)
    looks = views(rng, made, VIEWS_PER_SCENE)
    populate(b, rng, made, looks)
    for view in looks:
        camera = b.spec.worldbody.add_camera(pos=view.position, fovy=float(np.degrees(view.fovy)))
        camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
        camera.alt.xyaxes = view.axes()
    return b.spec.compile(), looks


class _Stage:
    """A compiled scene with its graphics context, kept for the neighboring frames of the same scene."""

    def __init__(self, number: int, width: int, height: int) -> None:
        self.model, _ = scene(number)
        self.model.vis.global_.offwidth, self.model.vis.global_.offheight = width, height
        self.data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, self.data)
        self.renderer = mujoco.Renderer(self.model, height, width)
        self.classes = np.append(self.model.geom_user[:, 0], UNLABELED).astype(np.uint8)

    def draw(self, camera: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """The picture, the depth in meters and the class ids."""
        r = self.renderer
        r.update_scene(self.data, camera)
        image = r.render().copy()
        r.enable_depth_rendering()
        depth = r.render().copy()
        r.disable_depth_rendering()
        r.enable_segmentation_rendering()
        ids = r.render()[..., 0].copy()
        r.disable_segmentation_rendering()
        return image, depth, self.classes[ids]


_stage: dict[tuple[int, int, int], _Stage] = {}


def frame(seed: int, width: int = 320, height: int = 240) -> Frame:
    """The frame of a seed (0 or more), always the same bytes on one machine.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, got {seed}")
    number, camera = divmod(seed, VIEWS_PER_SCENE)
    key = (number, width, height)
    if key not in _stage:
        for old in _stage.values():
            old.renderer.close()
        _stage.clear()
        _stage[key] = _Stage(number, width, height)
    image, depth, labels = _stage[key].draw(camera)
    rng = np.random.default_rng([20261123, seed])
    return Frame(sense(rng, image, depth), labels)
