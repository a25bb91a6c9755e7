"""The scene under construction: shapes in nested frames, each with a material and a class."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Vector = Sequence[float] | NDArray[np.floating]
    Matrix = NDArray[np.float64]

VOID = 255.0


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Matrix:
    """The 3x3 rotation that rolls about x, then pitches about y, then yaws about z (radians)."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    product: Matrix = about_z @ about_y @ about_x
    return product


def _upright(z: Matrix) -> Matrix:
    """A rotation whose third axis is the unit vector `z`."""
    side = np.cross([1.0, 0, 0] if abs(z[0]) < 0.9 else [0, 1.0, 0], z)
    side /= max(float(np.linalg.norm(side)), 1e-9)
    turn: Matrix = np.stack([side, np.cross(z, side), z], 1)
    return turn


class Builder:
    """Collects the scene into a `mujoco.MjSpec`.

    Every shape takes its class id first; `VOID` marks what has none. Positions are meters in the current
    frame (`with builder.at(...)`), x forward, y left, z up. Nothing moves: all shapes hang on the world.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.spec = mujoco.MjSpec()
        self.spec.nuser_geom = 1
        self._frames: list[tuple[Matrix, Matrix]] = [(np.eye(3), np.zeros(3))]
        self._count = 0

    @contextmanager
    def at(self, position: Vector, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Iterator[None]:
        """Everything built inside is placed in a frame at `position`, turned by the angles."""
        turn, origin = self._frames[-1]
        self._frames.append((turn @ rotation(yaw, pitch, roll), origin + turn @ np.asarray(position, float)))
        try:
            yield
        finally:
            self._frames.pop()

    def texture(self, image: NDArray[np.uint8], *, cube: bool = False) -> str:
        """Registers a square image; a cube texture shows it on each of the six sides of a shape."""
        name = self._name("t")
        n = image.shape[0]
        texture = self.spec.add_texture(name=name, width=n, nchannel=3)
        texture.type = mujoco.mjtTexture.mjTEXTURE_CUBE if cube else mujoco.mjtTexture.mjTEXTURE_2D
        texture.height = 6 * n if cube else n
        data = np.ascontiguousarray(np.tile(image, (6, 1, 1)) if cube else image)
        texture.data = data.tobytes()
        return name

    def material(
        self,
        rgb: Vector = (1, 1, 1),
        texture: str = "",
        repeat: tuple[float, float] = (1, 1),
        *,
        reflectance: float = 0.0,
        specular: float = 0.2,
        shininess: float = 0.3,
        emission: float = 0.0,
    ) -> str:
        """A surface: color (RGB in 0..1), texture repeated over each shape that wears it, and shine."""
        name = self._name("m")
        material = self.spec.add_material(
            name=name,
            rgba=[*np.clip(rgb, 0, 1), 1.0],
            reflectance=reflectance,
            specular=specular,
            shininess=shininess,
            emission=emission,
            texuniform=False,
            texrepeat=repeat,
        )
        if texture:
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture
        return name

    def paint(self, rgb: Vector, **shine: Any) -> str:
        """A material of one color."""
        return self.material(rgb, **shine)

    def box(self, label: float, center: Vector, size: Vector, material: str, yaw: float = 0.0) -> None:
        """A box of full edge lengths `size`."""
        self._add(label, "BOX", np.asarray(size, float) / 2, center, rotation(yaw), material)

    def plate(
        self, label: float, center: Vector, size: tuple[float, float, float], normal: str, surface: str
    ) -> None:
        """A thin box (width, height, thickness) whose face, its texture upright, looks along `normal`.

        `normal` is one of `+x -x +y -y +z -z`.
        """
        axis = {"x": 0, "y": 1, "z": 2}[normal[1]]
        n = np.zeros(3)
        n[axis] = 1.0 if normal[0] == "+" else -1.0
        up = np.array([0, 1.0, 0]) if axis == 2 else np.array([0, 0, 1.0])
        turn = np.stack([np.cross(up, n), up, n], axis=1)
        self._add(label, "BOX", np.asarray(size, float) / 2, center, turn, surface)

    def sphere(
        self, label: float, center: Vector, radii: Vector | float, material: str, yaw: float = 0.0
    ) -> None:
        """A ball, or an ellipsoid of three radii."""
        r = np.broadcast_to(np.asarray(radii, float), (3,))
        self._add(label, "ELLIPSOID", r, center, rotation(yaw), material)

    def capsule(self, label: float, a: Vector, b: Vector, radius: float, material: str) -> None:
        """A rod from a to b with round ends."""
        self._rod("CAPSULE", label, a, b, radius, material)

    def cylinder(self, label: float, a: Vector, b: Vector, radius: float, material: str) -> None:
        """A rod from a to b with flat ends."""
        self._rod("CYLINDER", label, a, b, radius, material)

    def loft(
        self, label: float, rings: Sequence[tuple[Vector, float, float]], material: str, sides: int = 14
    ) -> None:
        """A smooth closed skin over horizontal rings `(center, radius x, radius y)`, bottom to top."""
        angle = np.arange(sides) * 2 * np.pi / sides
        circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], 1)
        turn, origin = self._frames[-1]
        points = [np.asarray(c, float) + circle * [rx, ry, 0] for c, rx, ry in rings]
        ends = [np.asarray(rings[0][0], float)[None], np.asarray(rings[-1][0], float)[None]]
        vertices = np.concatenate([*points, *ends]) @ turn.T + origin
        k = np.arange(sides)
        following = (k + 1) % sides
        faces = []
        for level in range(len(rings) - 1):
            low, high = level * sides, (level + 1) * sides
            faces += [
                np.stack([low + k, low + following, high + following], 1),
                np.stack([low + k, high + following, high + k], 1),
            ]
        top, bottom = (len(rings) - 1) * sides, len(rings) * sides
        faces.append(np.stack([np.full(sides, bottom), following, k], 1))
        faces.append(np.stack([np.full(sides, bottom + 1), top + k, top + following], 1))
        name = self._name("mesh")
        heights = vertices[:, 2]
        span = max(float(np.ptp(heights)), 1e-6)
        around = np.concatenate([np.tile(k / sides * 2, len(rings)), [0.0, 0.0]])
        uv = np.stack([around, (heights - heights.min()) / span], 1)
        self.spec.add_mesh(
            name=name,
            uservert=vertices.astype(np.float32).ravel(),
            userface=np.concatenate(faces).astype(np.int32).ravel(),
            usertexcoord=uv.astype(np.float32).ravel(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        self.spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=name,
            material=material,
            contype=0,
            conaffinity=0,
            userdata=[label],
        )

    def limb(
        self, label: float, a: Vector, b: Vector, ra: float, rb: float, material: str, sides: int = 10
    ) -> None:
        """A rounded skin from a to b, `ra` thick at a and `rb` at b: an arm, a leg, a bottle's neck."""
        start, along = np.asarray(a, float), np.asarray(b, float) - np.asarray(a, float)
        length = max(float(np.linalg.norm(along)), 1e-3)
        outer, origin = self._frames[-1]
        self._frames.append((outer @ _upright(along / length), origin + outer @ start))
        mid = (0.62 * ra + 0.38 * rb) * 1.06
        rings = [
            (-0.75 * ra, 0.6 * ra),
            (-0.35 * ra, 0.93 * ra),
            (0.0, ra),
            (0.35 * length, mid),
            (length, rb),
            (length + 0.4 * rb, 0.9 * rb),
            (length + 0.8 * rb, 0.55 * rb),
        ]
        self.loft(label, [((0, 0, z), r, r) for z, r in rings], material, sides)
        self._frames.pop()

    def world(self, point: Vector) -> Matrix:
        """A point of the current frame in the world's coordinates."""
        turn, origin = self._frames[-1]
        placed: Matrix = origin + turn @ np.asarray(point, float)
        return placed

    def _rod(self, kind: str, label: float, a: Vector, b: Vector, radius: float, material: str) -> None:
        start, end = np.asarray(a, float), np.asarray(b, float)
        along = end - start
        length = max(float(np.linalg.norm(along)), 1e-4)
        self._add(
            label,
            kind,
            np.array([radius, length / 2, 0]),
            (start + end) / 2,
            _upright(along / length),
            material,
        )

    def _add(
        self, label: float, kind: str, size: Matrix, center: Vector, turn: Matrix, material: str
    ) -> None:
        outer, origin = self._frames[-1]
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, (outer @ turn).ravel())
        self.spec.worldbody.add_geom(
            type=getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"),
            size=size,
            pos=origin + outer @ np.asarray(center, float),
            quat=quat,
            material=material,
            contype=0,
            conaffinity=0,
            userdata=[label],
        )

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"
