"""Colors and areas of the classes in a label image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.model.card import Card

__all__ = ["UNLABELED_COLOR", "Area", "areas_from_counts", "areas_of", "color_table"]

# PASCAL VOC's color for "void".
UNLABELED_COLOR = (224, 224, 192)


@dataclass(frozen=True)
class Area:
    """The part of an image that one class covers.

    Attributes:
        id: the value in `labels`.
        name: the class, or "unlabeled".
        color: red, green, blue.
        pixels: the number of its pixels.
        share: their share of all pixels, 0 to 1.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    pixels: int
    share: float


def areas_of(labels: np.ndarray, card: Card) -> tuple[Area, ...]:
    """Pixels and share of every class, in order of ids; unlabeled pixels last.

    Args:
        labels: of any shape, uint8 or uint16. The pixels add up to its size, and the shares to 1.
        card: the model's card.
    """
    return areas_from_counts(np.bincount(labels.ravel(), minlength=card.unlabeled + 1), card)


def areas_from_counts(counts: np.ndarray, card: Card) -> tuple[Area, ...]:
    """The same of the number of pixels of every possible label: (256,) or (65536,) integers."""
    total = int(counts.sum())
    entries = [(c.id, c.name, c.color) for c in card.classes]
    entries.append((card.unlabeled, "unlabeled", UNLABELED_COLOR))
    return tuple(
        Area(number, name, color, int(counts[number]), float(counts[number] / total))
        for number, name, color in entries
    )


def color_table(card: Card) -> np.ndarray:
    """A color for every possible label: (256 or 65536, 3) uint8; a label without a class is unlabeled."""
    table = np.tile(np.array(UNLABELED_COLOR, np.uint8), (card.unlabeled + 1, 1))
    for entry in card.classes:
        table[entry.id] = entry.color
    return table
