"""Changes parts of an image by class: blurs, replaces or grays the background, tints or cuts out a class.

Every effect takes an image (H, W, 3) uint8 RGB and a mask (H, W) of the pixels to keep or color, and returns
a new image. A mask of bool keeps pixels inside and outside exact; they mix only within `feather` pixels of
its edge. A soft mask, float32 from 0 to 1, mixes each pixel by its own share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.imaging.conversion import luma
from fcn_edge_runtime.imaging.reading import import_pillow
from fcn_edge_runtime.model.card import Card

__all__ = [
    "EFFECTS",
    "Effect",
    "blur_background",
    "class_mask",
    "cutout",
    "gray_background",
    "replace_background",
    "soft_mask",
    "tint",
]

EFFECTS = ("blur-background", "replace-background", "gray-background", "tint")


@dataclass(frozen=True, eq=False)
class Effect:
    """One effect with its settings, for any number of images and frames; `Segmentation.apply` uses it.

    Attributes:
        name: "blur-background", "replace-background", "gray-background" or "tint".
        classes: names of the classes that are kept, or tinted.
        background: for replace-background: a color, or an image (H, W, 3) uint8 RGB, scaled to cover.
        color: of a tint; None takes the color of the first class.
        radius: of the blur, in pixels; None takes `radius_share`.
        radius_share: of the blur, as a share of the image's longer side: alike for images of every size.
        feather: softness of the edge, in pixels.
    """

    name: str
    classes: tuple[str, ...]
    background: np.ndarray | tuple[int, int, int] = (255, 255, 255)
    color: tuple[int, int, int] | None = None
    radius: float | None = None
    radius_share: float = 0.015
    feather: float = 1

    def check(self, card: Card) -> None:
        """Check before the first image that the effect fits a model.

        Raises:
            UsageError: the effect is unknown, or the model has no such class.
        """
        if self.name not in EFFECTS:
            raise UsageError(f"there is no effect {self.name!r}: expected one of {', '.join(EFFECTS)}")
        if not self.classes:
            known = ", ".join(c.name for c in card.classes[:30])
            raise UsageError(f"{self.name} needs a class: expected one of {known}")
        if isinstance(self.classes, str):
            raise UsageError(f"classes is {self.classes!r}, expected a tuple of names such as ('person',)")
        class_mask(np.zeros((1, 1), np.uint8), card, self.classes)
        if self.radius is not None and not 0 < self.radius <= 1000:
            raise UsageError(f"the radius is {self.radius}, expected more than 0 and at most 1000 pixels")
        if self.radius is None and not 0 < self.radius_share <= 0.1:
            raise UsageError(
                f"the radius is {self.radius_share:.2%} of the side, expected more than 0 % to 10 %"
            )

    def __call__(
        self, picture: np.ndarray, labels: np.ndarray, card: Card, confidence: np.ndarray | None = None
    ) -> np.ndarray:
        """The image (H, W, 3) uint8 RGB, changed according to its labels (H, W).

        With the confidence (H, W) of a model of two classes edges are as soft as it is uncertain.
        """
        mask = soft_mask(labels, confidence, card, self.classes)
        if self.name == "blur-background":
            return blur_background(picture, mask, self._radius(picture), self.feather)
        if self.name == "replace-background":
            return replace_background(picture, mask, self.background, self.feather)
        if self.name == "gray-background":
            return gray_background(picture, mask, self.feather)
        first = card.class_named(self.classes[0])
        color = self.color or (first.color if first is not None else (255, 0, 0))
        return tint(picture, mask, color, feather=self.feather)

    def softens(self, card: Card) -> bool:
        """Whether the confidence of this model makes its edges soft, see `soft_mask`."""
        return _is_one_of_two(card, self.classes)

    def _radius(self, picture: np.ndarray) -> float:
        """Of the blur, in pixels of this picture."""
        if self.radius is not None:
            return self.radius
        return float(max(self.radius_share * max(picture.shape[:2]), 0.5))


def class_mask(labels: np.ndarray, card: Card, names: Sequence[str]) -> np.ndarray:
    """Where labels (H, W) are one of the named classes: (H, W) bool.

    Raises:
        UsageError: the card has no class of that name; the message lists its classes.
    """
    mask = np.zeros(labels.shape, bool)
    for name in names:
        entry = card.class_named(name)
        if entry is None:
            known = ", ".join(c.name for c in card.classes[:30])
            raise UsageError(f"the model has no class {name!r}: expected one of {known}")
        mask |= labels == entry.id
    return mask


def soft_mask(
    labels: np.ndarray, confidence: np.ndarray | None, card: Card, names: Sequence[str]
) -> np.ndarray:
    """How much each pixel belongs to the named class of two: (H, W) float32; else `class_mask`.

    0 up to a probability of 1/4, 1 from 3/4 on, and a smooth step between, which passes 1/2 where the label
    changes: as soft as edges are, without a ghost of what is merely a little uncertain.

    Only the confidence of two classes tells the probability of both. Labels that a threshold made against it
    have confidence below one half: the threshold is what was asked for, and its mask stays hard.

    Raises:
        UsageError: as `class_mask`.
    """
    mask = class_mask(labels, card, names)
    if confidence is None or not _is_one_of_two(card, names) or confidence.min() < 0.5:
        return mask
    share = np.clip(2 * np.where(mask, confidence, 1 - confidence) - np.float32(0.5), 0, 1)
    soft: np.ndarray = share * share * (3 - 2 * share)
    return soft


def _is_one_of_two(card: Card, names: Sequence[str]) -> bool:
    return len(card.classes) == 2 and len({name.casefold() for name in names}) == 1


def blur_background(
    picture: np.ndarray, mask: np.ndarray, radius: float = 12, feather: float = 0
) -> np.ndarray:
    """Everything outside of the mask blurred by a Gaussian of `radius` pixels.

    Masked pixels are excluded from the blur, so that no halo surrounds them.
    """
    if not 0 < radius <= 1000:
        raise InputError(f"the radius is {radius}, expected more than 0 and at most 1000 pixels")
    image = import_pillow().fromarray(np.dstack([picture, 255 - _bytes(mask)]))
    # RGBa holds colors multiplied by alpha: blurred so, and divided again, masked pixels have no weight.
    soft = image.convert("RGBa").filter(_gaussian(radius)).convert("RGBA")
    return _mixed(picture, np.asarray(soft)[..., :3], mask, feather)


def replace_background(
    picture: np.ndarray, mask: np.ndarray, background: np.ndarray | tuple[int, int, int], feather: float = 0
) -> np.ndarray:
    """Everything outside of the mask replaced by a color, or by an image that is scaled to cover."""
    if isinstance(background, tuple):
        other = np.broadcast_to(np.array(background, np.uint8), picture.shape)
    else:
        other = _covering(background, picture.shape[0], picture.shape[1])
    return _mixed(picture, other, mask, feather)


def gray_background(picture: np.ndarray, mask: np.ndarray, feather: float = 0) -> np.ndarray:
    """Everything outside of the mask in gray: luma by ITU-R BT.601, in integers."""
    gray = np.repeat(luma(picture)[..., None], 3, axis=-1)
    return _mixed(picture, gray, mask, feather)


def tint(
    picture: np.ndarray,
    mask: np.ndarray,
    color: tuple[int, int, int],
    strength: float = 0.5,
    feather: float = 0,
) -> np.ndarray:
    """Masked pixels mixed with a color; strength 0 changes nothing, 1 replaces them."""
    if not 0 <= strength <= 1:
        raise InputError(f"the strength is {strength}, expected 0 to 1")
    values = np.arange(256, dtype=np.float32)
    planes = [
        np.rint(values + (target - values) * np.float32(strength)).astype(np.uint8)[picture[..., channel]]
        for channel, target in enumerate(color)
    ]
    return _mixed(np.stack(planes, axis=-1), picture, mask, feather)


def cutout(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Masked pixels as (H, W, 4) uint8 RGBA, transparent black elsewhere."""
    return np.dstack([picture * mask[..., None], _bytes(mask)])


def _mixed(inside: np.ndarray, outside: np.ndarray, mask: np.ndarray, feather: float) -> np.ndarray:
    if mask.shape != inside.shape[:2]:
        raise InputError(f"the image is {inside.shape[:2]}, the labels {mask.shape}: expected equal sizes")
    if not 0 <= feather <= 100:
        raise InputError(f"feather is {feather}, expected 0 to 100 pixels")
    if feather == 0 and mask.dtype == bool:
        return np.where(mask[..., None], inside, outside)
    module = import_pillow()
    weight = module.fromarray(_bytes(mask))
    if feather:
        weight = weight.filter(_gaussian(feather))
    first, second = (module.fromarray(np.ascontiguousarray(part)) for part in (inside, outside))
    return np.asarray(module.composite(first, second, weight))


def _bytes(mask: np.ndarray) -> np.ndarray:
    """A mask as 0 to 255."""
    return np.rint(mask * np.float32(255)).astype(np.uint8)


def _gaussian(radius: float) -> Any:
    from PIL import ImageFilter

    return ImageFilter.GaussianBlur(radius)


def _covering(background: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image scaled to cover height x width and cropped at its center."""
    module = import_pillow()
    scale = max(height / background.shape[0], width / background.shape[1])
    size = (max(width, round(background.shape[1] * scale)), max(height, round(background.shape[0] * scale)))
    scaled = np.asarray(module.fromarray(np.ascontiguousarray(background)).resize(size))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    covering: np.ndarray = scaled[top : top + height, left : left + width]
    return covering
