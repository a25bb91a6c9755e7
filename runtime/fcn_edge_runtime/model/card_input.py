"""What the input of a file holds: channels, dtype and formula, and the functions that validate them."""

from __future__ import annotations

from dataclasses import dataclass

from fcn_edge_runtime._fields import Fields, Key

__all__ = [
    "DTYPE_SCALE",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LARGEST_PIXEL",
    "MAX_CHANNELS",
    "InputSpec",
    "read_input",
    "read_window",
]

MAX_CHANNELS = 4096
MAX_BAND_NAME = 128
DTYPE_SCALE = {"uint8": 1 / 255, "uint16": 1 / 65535, "float32": 1.0}
LARGEST_PIXEL = {"uint8": 255, "uint16": 65535}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """What the `image` input holds: x = (pixel * scale - mean) / std, per channel, channels last, RGB.

    `bands` names the channels, such as red, green, blue, nir; empty where the card does not. `window` tells
    which two values of a medical scan became the lowest and the highest pixel; `percentiles` tells it as
    percentiles of the voxels. At most one of them is there. `resolution` is the size on the ground of the
    pixels of a raster that the network was trained with, in meters.
    """

    channels: int
    dtype: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bands: tuple[str, ...] = ()
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    resolution: float | None = None

    @classmethod
    def default(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels scaled to 0..1; three channels get ImageNet's mean and std, others none."""
        rgb = channels == len(IMAGENET_MEAN)
        mean = IMAGENET_MEAN if rgb else (0.0,) * channels
        std = IMAGENET_STD if rgb else (1.0,) * channels
        return cls(channels, dtype, DTYPE_SCALE[dtype], mean, std)

    @classmethod
    def imagenet(cls, dtype: str = "uint8") -> InputSpec:
        """RGB scaled to 0..1, then ImageNet's mean and std, as torchvision's models are trained."""
        return cls(3, dtype, DTYPE_SCALE[dtype], IMAGENET_MEAN, IMAGENET_STD)

    @classmethod
    def unit(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels scaled to 0..1 and nothing else, as torchvision's `ToTensor` gives them."""
        return cls(channels, dtype, DTYPE_SCALE[dtype], (0.0,) * channels, (1.0,) * channels)

    @classmethod
    def raw(cls, channels: int = 3, dtype: str = "uint8") -> InputSpec:
        """Pixels as they are, such as 0..255."""
        return cls(channels, dtype, 1.0, (0.0,) * channels, (1.0,) * channels)

    @property
    def formula(self) -> str:
        """The formula with its numbers: "x = (pixel / 255 - 0.5) / 0.25"; lists have one number a channel."""
        pixel = "pixel"
        if self.scale != 1:
            part = 1 / self.scale
            whole = abs(part - round(part)) < 1e-6 * part
            pixel += f" / {round(part)}" if whole else f" * {self.scale:.6g}"
        if any(self.mean):
            pixel = f"({pixel} - {_per_channel(self.mean)})"
        if any(value != 1 for value in self.std):
            pixel = f"({pixel})" if "(" not in pixel and " " in pixel else pixel
            pixel += f" / {_per_channel(self.std)}"
        return f"x = {pixel}"


def _per_channel(values: tuple[float, ...]) -> str:
    """One number where all channels have the same, else a list; of many channels the first."""
    if len(set(values)) == 1:
        return f"{values[0]:.6g}"
    shown = " ".join(f"{value:.6g}" for value in values[:8])
    return f"[{shown}{' ...' if len(values) > 8 else ''}]"


def read_input(fields: Fields) -> InputSpec:
    """Validate the input of a card. Raises the error of `fields`."""
    channels = fields.integer("channels", 1, MAX_CHANNELS)
    each = f"numbers, one for each of {channels} channels"
    return InputSpec(
        channels,
        fields.one_of("dtype", tuple(DTYPE_SCALE)),
        fields.positive("scale"),
        fields.sequence("mean", Fields.number, channels, channels, each),
        fields.sequence("std", Fields.positive, channels, channels, each),
        _bands(fields, channels),
        *read_window(fields),
        fields.positive("resolution") if "resolution" in fields else None,
    )


def read_window(fields: Fields) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """The window and the percentiles of a card's input, at most one of them. Raises the error of `fields`."""
    window, percentiles = (
        fields.optional(
            key, lambda f, k: _range(f.sequence(k, Fields.number, 2, 2, "numbers: low, high"), f, k)
        )
        for key in ("window", "percentiles")
    )
    if window and percentiles:
        fields.refuse("percentiles", fields.get("percentiles"), "nothing beside a window")
    if percentiles and not (percentiles[0] >= 0 and percentiles[1] <= 100):
        fields.refuse("percentiles", fields.get("percentiles"), "numbers from 0 to 100")
    return window, percentiles


def _range(pair: tuple[float, ...], fields: Fields, key: Key) -> tuple[float, float]:
    low, high = pair
    if not low < high:
        fields.refuse(key, list(pair), "the lower number first")
    return low, high


def _bands(fields: Fields, channels: int) -> tuple[str, ...]:
    if "bands" not in fields:
        return ()
    names = f"names, one for each of {channels} channels"
    return fields.sequence(
        "bands", lambda items, i: items.line(i, MAX_BAND_NAME, 1), channels, channels, names
    )
