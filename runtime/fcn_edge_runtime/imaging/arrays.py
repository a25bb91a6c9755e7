"""From a caller's array to the batch that the model takes: converted exactly, or refused with a hint."""

from __future__ import annotations

from typing import Any

import numpy as np

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.model.card import Card, InputSpec

__all__ = ["MAX_PIXELS", "as_batch", "check_layout", "check_pixels"]

MAX_PIXELS = 100_000_000


def as_batch(image: Any, card: Card, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, bool]:
    """Validate an image or a batch and lay it out for onnxruntime. The caller's array is never changed.

    Views of any stride, Fortran order and the other byte order are copied into native C order, which keeps
    the values; an array in native C order is used without a copy. Nothing is rounded, clipped or cast.

    Args:
        image: (H, W, C) or (N, H, W, C) of the card's dtype; for one channel also (H, W).
        card: the model's card.
        max_pixels: refuse batches with more pixels, N * H * W, than this.

    Returns:
        The batch (N, H, W, C), C-contiguous, and whether the caller gave a single image.

    Raises:
        InputError: anything else; the message says what was got, what was expected and what to do.
    """
    spec = card.input
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"the image is a {type(image).__module__}.{type(image).__name__}, expected a numpy array "
            f"{_expected(spec)}: convert it with np.asarray"
        )
    # Only for other types, because naming numpy.ma imports it.
    if type(image) is not np.ndarray and isinstance(image, np.ma.MaskedArray):
        raise InputError("the image is a masked array, expected a plain one: fill it with .filled(...)")
    single = check_layout(image, spec)
    if image.ndim == 2:
        image = image[:, :, None]
    _check_size(image, card, max_pixels)
    batch = np.ascontiguousarray(image[None] if single else image, dtype=np.dtype(spec.dtype))
    if spec.dtype == "float32" and not np.isfinite(batch).all():
        bad = int(batch.size - np.count_nonzero(np.isfinite(batch)))
        raise InputError(
            f"the image holds {bad} values that are NaN or infinite, expected finite ones: "
            "replace them, with np.nan_to_num for instance"
        )
    return batch, single


def check_layout(image: np.ndarray, spec: InputSpec, what: str = "the image") -> bool:
    """Check rank, channels and dtype, without looking at a value. Returns whether it is a single image.

    Args:
        image: (H, W, C) or (N, H, W, C), for one channel also (H, W).
        spec: the model's input, `card.input`.
        what: what messages call it.

    Raises:
        InputError: one of them is not the model's; the message says how to convert it.
    """
    # Rank before dtype: a wrong shape explains more than a wrong number format.
    single = image.ndim == 3 or (image.ndim == 2 and spec.channels == 1)
    if not single and image.ndim != 4:
        hint = _rank_hint(image, spec)
        raise InputError(f"{what} has shape {image.shape}, expected {_expected(spec)}{hint}")
    if image.ndim > 2 and image.shape[-1] != spec.channels:
        raise InputError(
            f"{what} has shape {image.shape}, expected {_expected(spec)}{_channel_hint(image, spec)}"
        )
    if image.dtype.newbyteorder("=") != np.dtype(spec.dtype):
        raise InputError(f"{what}'s dtype is {image.dtype}, expected {spec.dtype}{_dtype_hint(image, spec)}")
    return single


def check_pixels(pixels: int, max_pixels: int, what: str = "the image") -> None:
    """Raise InputError if an image has more pixels than the limit."""
    if pixels > max_pixels:
        raise InputError(
            f"{what} has {pixels} pixels, expected at most {max_pixels}: make it smaller, cut it into tiles, "
            "or raise max_pixels if memory allows"
        )


def _check_size(image: np.ndarray, card: Card, max_pixels: int) -> None:
    if image.size == 0:
        raise InputError(f"the image has shape {image.shape}, expected at least one pixel")
    height, width = image.shape[-3:-1]
    check_sides(height, width, card)
    check_pixels(image.size // image.shape[-1], max_pixels)


def check_sides(height: int, width: int, card: Card) -> None:
    """Raise InputError if an image is smaller or larger than the network takes."""
    smallest = card.geometry.smallest_size
    if min(height, width) < smallest:
        raise InputError(
            f"the image is {height} high and {width} wide, expected at least {smallest} each way, "
            "the smallest size of this network: enlarge or pad it"
        )
    largest = card.geometry.largest_size
    if largest is not None and (height > largest[0] or width > largest[1]):
        raise InputError(
            f"the image is {height} high and {width} wide, expected at most {largest[0]} high and "
            f"{largest[1]} wide: this network computes differently beyond, and its file does not; shrink or "
            "cut the image, or export with a working size"
        )


def _expected(spec: InputSpec) -> str:
    order = ", RGB" if spec.channels == 3 else ""
    return f"(H, W, {spec.channels}) or (N, H, W, {spec.channels}) {spec.dtype}{order}"


def _rank_hint(image: np.ndarray, spec: InputSpec) -> str:
    if image.ndim == 2:
        if spec.channels == 3:
            return ": for a gray image repeat it, np.repeat(image[:, :, None], 3, axis=2)"
        return f": this model needs {spec.channels} channels"
    return ""


def _channel_hint(image: np.ndarray, spec: InputSpec) -> str:
    channels = image.shape[-1]
    if image.shape[-3] == spec.channels:
        return ": the channels come first here, move them with np.moveaxis(image, -3, -1)"
    if channels == 4 and spec.channels == 3:
        return ": drop the alpha channel with image[..., :3]"
    if channels == 1 and spec.channels == 3:
        return ": repeat the gray channel with np.repeat(image, 3, axis=-1)"
    if image.ndim == 3 and spec.channels == 1:
        return ": for a stack of gray images add the channel with image[..., None]"
    return ""


def _dtype_hint(image: np.ndarray, spec: InputSpec) -> str:
    if spec.dtype == "float32":
        if image.dtype.kind == "f":
            return ": convert it with image.astype(np.float32)"
        return f": convert it with image.astype(np.float32), scaled so that value * {spec.scale:g} runs to 1"
    if image.dtype.kind == "f":
        top = np.iinfo(spec.dtype).max
        return f": if it runs from 0 to 1, convert it with np.rint(image * {top}).astype(np.{spec.dtype})"
    if image.dtype.newbyteorder("=") in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        way = "image // 257" if spec.dtype == "uint8" else "image * np.uint16(257)"
        return f": if it spans its whole range, convert it with ({way}).astype(np.{spec.dtype})"
    return f": convert it with image.astype(np.{spec.dtype}), once it holds 0 to {np.iinfo(spec.dtype).max}"
