"""The classes of the corridor models: ids, names and colors."""

from __future__ import annotations

FLOOR, WALL, CEILING, DOOR, OBSTACLE, PERSON, ROBOT = range(7)

NAMES: tuple[str, ...] = ("floor", "wall", "ceiling", "door", "obstacle", "person", "robot")
"""Class names; the index is the id in every label image."""

COLORS: tuple[tuple[int, int, int], ...] = (
    (128, 64, 128),  # floor: the purple that Cityscapes gives to road
    (190, 190, 190),  # wall
    (70, 130, 180),  # ceiling
    (220, 160, 40),  # door
    (60, 140, 60),  # obstacle
    (220, 20, 60),  # person: the crimson that Cityscapes gives to persons
    (20, 60, 230),  # robot
)
"""RGB color of each class, for overlays and palette PNGs."""

UNLABELED = 255
"""The id of pixels that belong to none of the classes: what lies behind a window, the void."""


def palette() -> list[int]:
    """The 768 numbers of a PNG palette: the classes' colors, black elsewhere, white for unlabeled."""
    flat = [channel for color in COLORS for channel in color]
    return flat + [0] * (765 - len(flat)) + [255, 255, 255]
