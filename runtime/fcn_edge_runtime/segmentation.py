"""What a segmented image is: labels and logits, and ways to look at them with numpy alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.imaging.areas import Area, areas_of, color_table
from fcn_edge_runtime.imaging.conversion import is_dark, windowed
from fcn_edge_runtime.model.card import Card, InputSpec

if TYPE_CHECKING:
    from fcn_edge_runtime.imaging.effects import Effect
    from fcn_edge_runtime.imaging.regions import Region

__all__ = ["Segmentation", "as_picture", "check_threshold", "outputs_for_threshold", "require_every_label"]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One segmented image, or a batch of them: then every array has N in front.

    Attributes:
        labels: (H, W) uint8, or uint16 above 255 classes: the class of each pixel.
        card: the model's card: names and colors of the classes.
        provider: the execution provider that ran it, by onnxruntime's name.
        milliseconds: the time of the network, without reading the image.
        confidence: (H, W) float32: the winner's probability; None if the file does not compute it.
        probabilities: (classes, H, W) float32, or None.
        logits: (classes, H, W) float32, or None.
    """

    labels: np.ndarray
    card: Card
    provider: str
    milliseconds: float
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    logits: np.ndarray | None = None

    def thresholded(self, threshold: float) -> Segmentation:
        """The same scores with labels that need a probability of at least `threshold`.

        With two classes, a pixel is class 1 where the probability of class 1 reaches the threshold, and
        class 0 elsewhere; `confidence` becomes the probability of the new label. With more classes, a pixel
        whose label is less probable than the threshold becomes unlabeled.

        Args:
            threshold: above 0 and below 1. The labels of a model of two classes are those of 0.5.

        Raises:
            UsageError: the threshold is out of range, or neither `confidence` nor `probabilities` was
                computed.
        """
        check_threshold(threshold)
        require_every_label(self.card)
        confidence = self._confidence()
        if len(self.card.classes) != 2:
            sure = confidence >= np.float32(threshold)
            labels = np.where(sure, self.labels, self.labels.dtype.type(self.card.unlabeled))
            return replace(self, labels=labels)
        if self.probabilities is not None:
            first = self.probabilities[..., -1, :, :]
        else:
            first = np.where(self.labels == 1, confidence, 1 - confidence)
        labels = (first >= np.float32(threshold)).astype(self.labels.dtype)
        if self.confidence is None:
            return replace(self, labels=labels)
        return replace(self, labels=labels, confidence=np.where(labels == 1, first, 1 - first))

    def _confidence(self) -> np.ndarray:
        """The winner's probability at each pixel."""
        if self.confidence is not None:
            return self.confidence
        if self.probabilities is None:
            raise UsageError(
                "a threshold needs confidence or probabilities, and neither was computed: open the model "
                "with one of them in `outputs`"
            )
        top: np.ndarray = self.probabilities.max(axis=-3)
        return top if self.probabilities.shape[-3] > 1 else np.maximum(top, 1 - top)

    def apply(self, image: np.ndarray, effect: Effect) -> np.ndarray:
        """The image, changed by an effect on the classes that it names: (H, W, 3) uint8 RGB.

        Where a model of two classes computed `confidence`, edges are soft: the probability is their opacity.

        Args:
            image: the image that was segmented.
            effect: what to change, and where.

        Raises:
            UsageError: the effect does not exist, or the model has no class of that name.
            InputError: this is a batch, the image and the labels differ in size, or Pillow, which blurs, is
                not installed.
        """
        effect.check(self.card)
        self._require_one()
        return effect(self._picture(image), self.labels, self.card, self.confidence)

    def colored(self) -> np.ndarray:
        """The labels in the colors of their classes: (H, W, 3) uint8 RGB."""
        painted: np.ndarray = color_table(self.card)[self.labels]
        return painted

    def overlay(self, image: np.ndarray, alpha: float = 0.5) -> np.ndarray:
        """The image with the colors of its classes laid over it: (H, W, 3) uint8 RGB.

        The image stays unchanged where the color of a class is black, as it is for backgrounds, and where
        pixels are unlabeled.

        Args:
            image: the image that was segmented, of the same height and width (and batch).
            alpha: 0 shows only the image, 1 only the colors.

        Raises:
            InputError: the image and the labels differ in size, or alpha is not in 0 to 1.
        """
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha is {alpha}, expected 0 to 1")
        picture = self._picture(image)
        colors = color_table(self.card)
        # Integers in units of 1/256: the same result on every machine. 255 * 256 + 128 fits 16 bits.
        weights = np.full(len(colors), round(alpha * 256), np.int32)
        weights[(colors == 0).all(axis=1)] = 0
        weights[self.card.unlabeled] = 0
        blended = picture.astype(np.uint16)
        # `take` needs half of the time of an index in brackets.
        blended *= (256 - weights).astype(np.uint16).take(self.labels)[..., None]
        blended += (colors * weights[:, None] + 128).astype(np.uint16).take(self.labels, axis=0)
        blended >>= 8
        return blended.astype(np.uint8)

    def objects(self, min_area: int = 1) -> tuple[Region, ...]:
        """Connected regions with class, box, centroid, area and mask, the largest first. Needs SciPy.

        Args:
            min_area: in pixels; smaller regions are left out.

        Raises:
            InputError: this is a batch, or SciPy is not installed.
        """
        from fcn_edge_runtime.imaging.regions import regions

        return regions(self.labels, self.card, min_area)

    def cutout(self, image: np.ndarray, *classes: str) -> np.ndarray:
        """The pixels of the named classes as (H, W, 4) uint8 RGBA, transparent elsewhere.

        Args:
            image: the image that was segmented.
            classes: their names; case is ignored.

        Raises:
            UsageError: the model has no class of that name.
            InputError: the image and the labels differ in size.
        """
        from fcn_edge_runtime.imaging.effects import class_mask, cutout

        self._require_one()
        return cutout(self._picture(image), class_mask(self.labels, self.card, classes))

    def to_supervision(self) -> Any:
        """The classes as `supervision.Detections`: one mask each, with its name. Needs supervision.

        `confidence` is the mean over each mask, where it was computed. Unlabeled pixels are in no mask.

        Raises:
            InputError: this is a batch, or supervision is not installed.
        """
        from fcn_edge_runtime.imaging.annotations import detections

        self._require_one()
        try:
            from supervision import Detections
        except ImportError as error:
            raise InputError(f"supervision cannot be imported ({error}): `pip install supervision`") from None
        return Detections(**detections(self.labels, self.card, self.confidence))

    def areas(self) -> tuple[Area, ...]:
        """Pixels and share of every class, in order of ids; unlabeled pixels last.

        A batch is counted as a whole. Pixels add up to all pixels, and shares to 1.
        """
        return areas_of(self.labels, self.card)

    def _require_one(self) -> None:
        if self.labels.ndim != 2:
            raise InputError(
                f"got a batch of {len(self.labels)} images, expected one: segment each separately"
            )

    def _picture(self, image: np.ndarray) -> np.ndarray:
        """The image as (..., 3) uint8 RGB, verified to have the labels' size."""
        picture = as_picture(image, self.card.input, self.labels.ndim)
        if picture.shape[:-1] != self.labels.shape:
            raise InputError(
                f"the image has shape {image.shape}, expected that of the labels, {self.labels.shape}: "
                "give the image that was segmented"
            )
        return picture


def require_every_label(card: Card) -> None:
    """Raise UsageError for a model that leaves pixels unlabeled by itself: it has no labels to threshold."""
    if card.unlabeled_by:
        raise UsageError(
            f"the model was exported with {card.unlabeled_by} and leaves pixels unlabeled by itself: "
            "expected no threshold"
        )


def check_threshold(threshold: float) -> None:
    """Raise UsageError unless a threshold is a number above 0 and below 1."""
    number = isinstance(threshold, (int, float, np.floating)) and not isinstance(threshold, bool)
    if not number or not 0 < threshold < 1:
        raise UsageError(f"the threshold is {threshold!r}, expected a number above 0 and below 1")


def outputs_for_threshold(offered: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the outputs that a model offers a threshold needs.

    Raises:
        UsageError: it offers none of them.
    """
    found = [output for output in ("confidence", "probabilities") if output in offered]  # the smaller first
    if not found:
        raise UsageError(
            f"a threshold needs probabilities, and the model computes {', '.join(offered)}: "
            "export it again with --outputs labels,confidence"
        )
    return (found[0],)


def as_picture(image: np.ndarray, spec: InputSpec, rank: int = 2) -> np.ndarray:
    """A model's input converted for display: (H, W, 3) uint8 RGB.

    One channel is shown as gray, more than three by their first three. uint16 is scaled to 0..255, from its
    bits in use where these are fewer than 16 (12-bit data); floats are scaled so that pixel * scale = 1 is
    white, and clipped.

    Args:
        image: (H, W, C), or (N, H, W, C) with `rank` 3; a missing channel axis is added.
        spec: the model's input.
        rank: number of dimensions of the image's labels.

    Raises:
        InputError: the array has another rank or dtype than an image.
    """
    if image.ndim == rank:
        image = image[..., None]
    if image.ndim != rank + 1 or image.shape[-1] not in {1, 3, spec.channels}:
        raise InputError(
            f"the image has shape {image.shape}, expected the image that was segmented, "
            f"with {spec.channels} channels"
        )
    image = np.repeat(image, 3, axis=-1) if image.shape[-1] < 3 else image[..., :3]
    if image.dtype == np.uint8:
        return image
    if image.dtype.newbyteorder("=") == np.uint16:
        if is_dark(image, spec) or spec.scale > 2 / 65535:
            return windowed(image)
        return (image >> 8).astype(np.uint8)
    if image.dtype.kind == "f":
        scaled = np.nan_to_num(image.astype(np.float32) * np.float32(255 * spec.scale))
        shown: np.ndarray = np.clip(np.rint(scaled), 0, 255)
        return shown.astype(np.uint8)
    raise InputError(f"the image's dtype is {image.dtype}, expected uint8, uint16 or float32")
