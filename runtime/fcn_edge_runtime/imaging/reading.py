"""Picture files in, as the model takes them. Decoding is Pillow's, imported when it is used.

The rules, all of them:

- PNG, JPEG, BMP, TIFF and WebP are read, and `.npy` arrays; one picture a file: animations and documents of
  many pages are refused, and of a camera's MPO the first picture is taken.
- The limit on pixels is checked before anything is decoded.
- EXIF orientation is applied, so that the labels match what a person sees.
- Three channels: gray is repeated, palettes are looked up, CMYK is converted by Pillow's formula, an alpha
  channel is dropped and the colors stay as stored, 1 bit becomes 0 and 255.
- One channel: colors become luma, (299 R + 587 G + 114 B) / 1000.
- Two and four channels: pictures that store just these (gray + alpha; RGBA), band by band.
- 16-bit gray spans 0..65535: for uint8 it is divided by 257 and rounded. Colors of 16 bits a channel are
  read as their upper 8 bits, so they are refused where the model takes more.
- uint16 gets 8-bit values times 257. float32 gets values so that value * scale runs from 0 to 1. Float
  pictures are only taken as they are, by float32 models of one channel.
- `.npy` arrays hold (H, W, C), or (H, W) for one channel, in the model's dtype. All other bands go this way.
"""

from __future__ import annotations

import os
import stat
import warnings
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, check_pixels
from fcn_edge_runtime.imaging.conversion import convert
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["EXTENSIONS", "FORMATS", "import_pillow", "read_image"]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy")
_EIGHT_BIT = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_AS_STORED = ("L", "LA", "RGB", "RGBA", "RGBX")  # every other mode is converted by Pillow first
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def import_pillow() -> Any:
    """Pillow's Image module.

    Raises:
        InputError: Pillow is not installed.
    """
    return require("PIL.Image", "reading and writing images")


def read_image(path: str | os.PathLike[str], spec: InputSpec, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read one picture as the model takes it, by the rules of this module.

    Args:
        path: a picture or a `.npy` file.
        spec: the model's input, `card.input`.
        max_pixels: refuse larger pictures, before they are decoded.

    Returns:
        (H, W, C) of the model's dtype; a `.npy` array as it is, for the segmenter to judge.

    Raises:
        InputError: it is missing, no picture of these formats, damaged, too large, or of a kind that has no
            exact way into this model.
    """
    name = os.fspath(path)
    _require_file(name)
    if name.lower().endswith(".npy"):
        return _read_array(name, spec, max_pixels)
    image = _decoded(name, max_pixels)
    return _converted(image, spec, name)


def _require_file(name: str) -> None:
    """A pipe or a device would be waited for, or read, without end."""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - a str may hold what Path refuses
    except FileNotFoundError:
        raise InputError(f"there is no image {name}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"the image {name!r} cannot be opened ({error})") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{name} is a folder, pipe or device, expected an image file")


def _read_array(name: str, spec: InputSpec, max_pixels: int) -> np.ndarray:
    try:
        # Mapped, so that a header that declares more than the file holds is found before memory is taken.
        mapped = np.load(name, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - a damaged header raises whatever it leads to
        raise InputError(f"{name} is no array that can be read ({_reason(error)})") from None
    if not isinstance(mapped, np.ndarray) or mapped.ndim not in {2, 3}:
        raise InputError(
            f"{name} has shape {getattr(mapped, 'shape', None)}, expected (H, W, {spec.channels})"
        )
    check_pixels(mapped.shape[0] * mapped.shape[1], max_pixels, name)
    array = np.array(mapped)
    return array[:, :, None] if array.ndim == 2 else array


def _decoded(name: str, max_pixels: int) -> Any:
    """The picture, decoded and turned upright."""
    image_module = import_pillow()
    from PIL import ImageOps

    try:
        with warnings.catch_warnings(record=True) as said, image_module.open(name, formats=FORMATS) as image:
            # Our own limit holds; Pillow only warns at its first one.
            check_pixels(image.width * image.height, max_pixels, name)
            _require_one_picture(image, name)
            deep = _is_deep(image)  # asked before decoding, which forgets it
            image.load()
            picture = _Picture(ImageOps.exif_transpose(image), image.format or "", deep)
    except InputError:
        raise
    except image_module.UnidentifiedImageError:
        raise InputError(
            f"{name} is no picture of a known format, expected {', '.join(FORMATS)}: convert it"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders of damaged files raise whatever they lead to
        raise InputError(f"{name} is damaged or cut short ({_reason(error)})") from None
    doubts = [w.message for w in said if w.category is UserWarning]
    # Pillow goes on without the tags of a TIFF that it cannot read, and these say what the pixels mean.
    if picture.kind == "TIFF" and doubts:
        raise InputError(f"{name} is damaged or cut short ({doubts[0]})")
    return picture


class _Picture:
    """A decoded picture, and what only its file told: the format, and whether colors had 16 bits."""

    def __init__(self, image: Any, kind: str, deep: bool) -> None:  # noqa: FBT001 - a fact, not a switch
        self.image, self.kind, self.deep = image, kind, deep


def _require_one_picture(image: Any, name: str) -> None:
    if image.format == "TIFF":
        try:
            image.seek(1)  # counting them all would follow a chain of any length
        except EOFError:
            several = False
        else:
            several = True
        image.seek(0)
    else:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    if several:
        raise InputError(f"{name} holds several pictures, expected one: save each in a file of its own")


def _is_deep(image: Any) -> bool:
    """Whether the file stores colors of 16 bits a channel, which Pillow reads as their upper 8."""
    return image.mode not in _SIXTEEN_BIT and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )


def _converted(picture: _Picture, spec: InputSpec, name: str) -> np.ndarray:
    image = picture.image
    mode = image.mode
    if mode == "F" and spec.dtype == "float32" and spec.channels == 1:
        return np.asarray(image, np.float32)[:, :, None]
    if mode in _SIXTEEN_BIT or (mode == "I" and picture.kind == "PNG"):  # Pillow before 11.3 says "I"
        planes = _sixteen_bits(np.asarray(image), name)
    elif mode not in _EIGHT_BIT:
        raise InputError(
            f"{name} stores pixels of Pillow's mode {mode!r}, which has no exact way into a model of "
            f"{spec.channels} channels {spec.dtype}: save the array as .npy"
        )
    elif picture.deep and spec.dtype != "uint8":
        raise InputError(
            f"{name} stores colors of 16 bits, of which only 8 can be read here, and the model takes "
            f"{spec.dtype}: save the array as .npy"
        )
    else:
        planes = np.asarray(image if mode in _AS_STORED else image.convert("L" if mode == "1" else "RGB"))
    if planes.ndim == 2:
        planes = planes[:, :, None]
    return convert(planes, spec, name, "save the array (H, W, C) as .npy")


def _sixteen_bits(gray: np.ndarray, name: str) -> np.ndarray:
    if gray.min() < 0 or gray.max() > 65535:
        raise InputError(f"{name} holds values from {gray.min()} to {gray.max()}, expected 0 to 65535")
    return gray.astype(np.uint16)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:160] + " ..."
