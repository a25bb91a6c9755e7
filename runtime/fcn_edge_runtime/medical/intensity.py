"""Values of a volume, such as Hounsfield units, as the pixels that a model takes.

A card says what was done before training: a `window`, two values that became the lowest and the highest
pixel; or `percentiles`, the same two as percentiles of the volume's voxels, for scanners without units.
Voxels of the lowest value, which is air, or what a tool removed, are left out of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.medical.volume import Volume
from fcn_edge_runtime.model.card_input import LARGEST_PIXEL, InputSpec

__all__ = ["Window", "window_of"]

_SAMPLE = 4_000_000  # voxels of which percentiles are taken, evenly spaced over the volume


@dataclass(frozen=True)
class Window:
    """Which values become the lowest and the highest pixel; None passes values on as they are."""

    spec: InputSpec
    limits: tuple[float, float] | None

    def pixels(self, values: np.ndarray, name: str) -> np.ndarray:
        """A slice (H, W) float32 as an image (H, W, channels) of the model's dtype.

        Raises:
            InputError: there is no window, and the values are not pixels of the model.
        """
        top = LARGEST_PIXEL.get(self.spec.dtype)
        if self.limits is not None:
            low, high = self.limits
            values = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
            values = np.rint(values * top) if top else values / np.float32(self.spec.scale)
        elif top and ((values < 0) | (values > top) | (values != np.rint(values))).any():
            raise InputError(
                f"{name} holds values from {values.min():g} to {values.max():g}, and the card does "
                f"not say which become pixels, 0 to {top}: give --window LOW,HIGH or --percentiles LOW,HIGH"
            )
        image = values.astype(self.spec.dtype)[..., None]
        return np.repeat(image, self.spec.channels, axis=-1)


def window_of(
    volume: Volume,
    spec: InputSpec,
    window: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
) -> Window:
    """The window for a volume: what is given, else what the card says.

    Raises:
        UsageError: both are given, or an invalid range.
        InputError: the model takes other images than gray ones, or the volume has one value alone.
    """
    if spec.channels not in (1, 3):
        raise InputError(
            f"the model takes images of {spec.channels} channels, and slices of {volume.name} are gray"
        )
    if window is not None and percentiles is not None:
        raise UsageError("window and percentiles are two ways to say the same: give one")
    if window is None and percentiles is None:
        window, percentiles = spec.window, spec.percentiles
    if window is not None:
        if not window[0] < window[1]:
            raise UsageError(f"the window is {window[0]:g},{window[1]:g}, expected the lower value first")
        return Window(spec, window)
    if percentiles is None:
        return Window(spec, None)
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise UsageError(
            f"the percentiles are {percentiles[0]:g},{percentiles[1]:g}, expected 0 to 100, the lower first"
        )
    return Window(spec, _limits(volume, percentiles))


def _limits(volume: Volume, percentiles: tuple[float, float]) -> tuple[float, float]:
    step = max(1, round((volume.stored.size / _SAMPLE) ** (1 / 3)))
    sample = volume.values(volume.stored[::step, ::step, ::step]).ravel()
    inside = sample[sample > sample.min()]
    low, high = np.percentile(inside, percentiles) if inside.size else (0.0, 0.0)
    if not low < high:
        raise InputError(f"{volume.name} has hardly two different values, expected a scan")
    return float(low), float(high)
