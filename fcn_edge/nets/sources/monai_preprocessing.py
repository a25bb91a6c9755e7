"""What the preprocessing of a MONAI bundle does to an image, as far as a file can do the same.

MONAI's readers give arrays with the width first, so the network of a bundle that loads images by them sees
each image transposed: sizes in a bundle are (width, height).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Preprocessing", "read_preprocessing"]

# Transforms that change neither the values nor the size of an image that is given as bytes or floats.
_HARMLESS = (
    "LoadImage",
    "EnsureChannelFirst",
    "EnsureType",
    "CastToType",
    "ToTensor",
    "ToDevice",
    "AsDiscrete",
)
LARGEST_BYTE = 255


@dataclass(frozen=True)
class Preprocessing:
    """What a bundle does before its network.

    Attributes:
        input: dtype, scale, mean and std, as in a card file; empty where it does not tell.
        working_size: to which it resizes images, "480x736"; None is their own.
        transposed: whether the network sees images with the width first.
        notes: what it does and the file does not, in words.
    """

    input: Mapping[str, Any]
    working_size: str | None
    transposed: bool
    notes: tuple[str, ...]


def read_preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """Read `preprocessing` of configs/inference.json: nothing of it is run."""
    given = config.get("preprocessing")
    transforms = given.get("transforms") if isinstance(given, dict) else None
    named = [
        (str(t.get("_target_", "")).rpartition(".")[2], t)
        for t in (transforms if isinstance(transforms, list) else [])
        if isinstance(t, dict)
    ]
    transposed = any(name.startswith("LoadImage") for name, _ in named)
    factor, offset, known, floats = 1.0, 0.0, False, False
    working: str | None = None
    notes = []
    for name, t in named:
        if name.startswith("ScaleIntensityRange") and (
            ends := _numbers(t, "a_min", "a_max", "b_min", "b_max")
        ):
            low, high, bottom, top = ends
            gain = (top - bottom) / (high - low) if high != low else 0.0
            factor, offset, known = factor * gain, (offset - low) * gain + bottom, True
            floats = floats or low < 0 or high > LARGEST_BYTE
            if t.get("clip") and (low > 0 or high < LARGEST_BYTE):
                notes.append(f"its preprocessing clips values to {low:g} to {high:g}; the file does not")
        elif name.startswith("NormalizeIntensity") and (ends := _numbers(t, "subtrahend", "divisor")):
            factor, offset, known = factor / ends[1], (offset - ends[0]) / ends[1], True
        elif name.startswith("Resize") and (size := _size(t.get("spatial_size"))):
            width, height = size if transposed else size[::-1]
            working = f"{height}x{width}"
            notes.append(
                "its preprocessing resizes by a filter of its own; the file does so bilinearly, antialiased"
            )
        elif not name.startswith(_HARMLESS):
            notes.append(f"its preprocessing has {name}, which the file does not do")
    if not known or factor == 0:
        return Preprocessing({}, working, transposed, tuple(notes))
    scale = 1.0 if floats else 1 / LARGEST_BYTE
    std = scale / factor
    input_of = {"dtype": "float32" if floats else "uint8", "scale": scale, "mean": -offset * std, "std": std}
    return Preprocessing(input_of, working, transposed, tuple(notes))


def _numbers(transform: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    """The values of some options; none where one is missing, or is no number or zero as a divisor."""
    found = [transform.get(name) for name in names]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in found):
        return ()
    return () if "divisor" in names and found[-1] == 0 else tuple(map(float, found))  # type: ignore[arg-type]  # all are numbers


def _size(value: Any) -> list[int]:
    """Two sides; empty for anything else."""
    good = (
        isinstance(value, list) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)
    )
    return value if good else []
