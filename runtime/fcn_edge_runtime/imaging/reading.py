"""Reads image files as arrays that a model takes. Pillow decodes them; it is imported when it is used.

The complete rules:

- PNG, JPEG, BMP, TIFF and WebP are read, and `.npy` arrays. A file holds one image: animations and multi-page
  files are refused; the first image of a camera's MPO is read.
- The limit on pixels is checked before decoding.
- EXIF orientation is applied, so that labels match what a person sees.
- 1 bit becomes 0 and 255, palettes are looked up, CMYK and YCbCr become RGB by Pillow's formula.
- Channels and bit depths are then converted by the rules of `conversion.py`: gray and RGB, with or without
  alpha, fit models of one and three channels; models of two and four channels take gray + alpha and RGBA.
- 16-bit gray is read with all bits. Pillow reads only the upper 8 bits of 16-bit colors, so that these are
  refused where the model takes more than 8.
- Float images are read unchanged, by float32 models of one channel only.
- `.npy` arrays are (H, W, C), or (H, W) for one channel, in the model's dtype: the way for any other data.
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
    """Read one image as the model takes it, by the rules of this module.

    Args:
        path: an image or `.npy` file.
        spec: the model's input, `card.input`.
        max_pixels: refuse larger images, before they are decoded.

    Returns:
        (H, W, C) of the model's dtype; a `.npy` array unchanged, which the segmenter validates.

    Raises:
        InputError: it is missing, damaged, too large, has another format, or has pixels that cannot be
            converted exactly for this model.
    """
    name = os.fspath(path)
    _require_file(name)
    if name.lower().endswith(".npy"):
        return _read_array(name, spec, max_pixels)
    image = _decoded(name, max_pixels)
    return _converted(image, spec, name)


def _require_file(name: str) -> None:
    """Refuse pipes and devices, which could block forever or have no end."""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - a str may hold characters that Path refuses
    except FileNotFoundError:
        raise InputError(f"there is no image {name}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"the image {name!r} cannot be opened ({error})") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{name} is a folder, pipe or device, expected an image file")


def _read_array(name: str, spec: InputSpec, max_pixels: int) -> np.ndarray:
    try:
        # Mapped, so that a header that declares more than the file holds is found before memory is allocated.
        mapped = np.load(name, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - damaged headers raise errors of any class
        raise InputError(f"{name} is not a readable array ({_reason(error)})") from None
    if not isinstance(mapped, np.ndarray) or mapped.ndim not in {2, 3}:
        raise InputError(
            f"{name} has shape {getattr(mapped, 'shape', None)}, expected (H, W, {spec.channels})"
        )
    check_pixels(mapped.shape[0] * mapped.shape[1], max_pixels, name)
    array = np.array(mapped)
    return array[:, :, None] if array.ndim == 2 else array


def _decoded(name: str, max_pixels: int) -> Any:
    """The image, decoded and with its EXIF orientation applied."""
    image_module = import_pillow()
    from PIL import ImageOps

    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            image_module.open(name, formats=FORMATS) as image,
        ):
            # Our own limit applies; Pillow only warns at its first one.
            check_pixels(image.width * image.height, max_pixels, name)
            _require_one_image(image, name)
            deep = _is_deep(image)  # checked before decoding, which discards it
            image.load()
            picture = _Picture(ImageOps.exif_transpose(image), image.format or "", deep)
    except InputError:
        raise
    except image_module.UnidentifiedImageError:
        raise InputError(
            f"{name} is not an image of a known format, expected {', '.join(FORMATS)}: convert it"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise errors of any class on damaged files
        raise InputError(f"{name} is damaged or truncated ({_reason(error)})") from None
    complaints = [w.message for w in caught if w.category is UserWarning]
    # Pillow skips TIFF tags that it cannot read, but they define the meaning of the pixels.
    if picture.kind == "TIFF" and complaints:
        raise InputError(f"{name} is damaged or truncated ({complaints[0]})")
    return picture


class _Picture:
    """A decoded image with facts that only its file has: the format, and whether colors had 16 bits."""

    def __init__(self, image: Any, kind: str, deep: bool) -> None:  # noqa: FBT001 - a fact, not an option
        self.image, self.kind, self.deep = image, kind, deep


def _require_one_image(image: Any, name: str) -> None:
    if image.format == "TIFF":
        try:
            image.seek(1)  # counting all pages would follow a chain of any length
        except EOFError:
            several = False
        else:
            several = True
        image.seek(0)
    else:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    if several:
        raise InputError(f"{name} holds several images, expected one: save each in its own file")


def _is_deep(image: Any) -> bool:
    """Whether the file has 16-bit colors, of which Pillow reads the upper 8 bits."""
    return image.mode not in _SIXTEEN_BIT and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )


def _converted(picture: _Picture, spec: InputSpec, name: str) -> np.ndarray:
    image = picture.image
    mode = image.mode
    if mode == "F" and spec.dtype == "float32" and spec.channels == 1:
        return np.asarray(image, np.float32)[:, :, None]
    if mode in _SIXTEEN_BIT or (mode == "I" and picture.kind == "PNG"):  # Pillow before 11.3 opens it as "I"
        planes = _sixteen_bits(np.asarray(image), name)
    elif mode not in _EIGHT_BIT:
        raise InputError(
            f"{name} has pixels of Pillow's mode {mode!r}, which cannot be converted exactly for a model of "
            f"{spec.channels} channels {spec.dtype}: save the array as .npy"
        )
    elif picture.deep and spec.dtype != "uint8":
        raise InputError(
            f"{name} has colors of 16 bits, of which only 8 can be read, and the model takes {spec.dtype}: "
            "save the array as .npy"
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
