"""Reads image files as arrays that a model takes. Pillow decodes them; it is imported when it is used.

The complete rules:

- PNG, JPEG, BMP, TIFF and WebP are read, and `.npy` arrays. A file holds one image: animations and multi-page
  files are refused; the first image of a camera's MPO is read, and of a TIFF with overviews.
- The limit on pixels is checked before decoding.
- EXIF orientation is applied, so that labels match what a person sees.
- 1 bit becomes 0 and 255, palettes are looked up, CMYK and YCbCr become RGB by Pillow's formula.
- Channels and bit depths are then converted by the rules of `conversion.py`: gray and RGB, with or without
  alpha, fit models of one and three channels; models of two and four channels take gray + alpha and RGBA.
- 16-bit gray is read with all bits and never stretched: 12-bit data in it is dark, as `read_picture` reports.
- Pillow reads only the upper 8 bits of 16-bit colors, so that these are refused where the model takes more.
- Float images are read unchanged, by float32 models of one channel only.
- `.npy` arrays are (H, W, C), or (H, W) for one channel, in the model's dtype: the way for any other data.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, check_pixels
from fcn_edge_runtime.imaging.conversion import convert, is_dark, windowed
from fcn_edge_runtime.model.card import InputSpec

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "Decoded",
    "Picture",
    "decoded",
    "import_pillow",
    "read_image",
    "read_picture",
]

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy")
_EIGHT_BIT = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_AS_STORED = ("L", "LA", "RGB", "RGBA", "RGBX")  # every other mode is converted by Pillow first
_MOST_OVERVIEWS = 64
_PILLOW_LIMIT = threading.Lock()
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
    return read_picture(path, spec, max_pixels).pixels


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as a model takes it, and as people see it.

    Attributes:
        pixels: (H, W, C) of the model's dtype.
        shown: for overlays: the same; or (H, W, 3) uint8 whose values were spread over the whole range, where
            the file's 16-bit values use only a small part of theirs.
        dark: in words, which part of the range that is; empty if it is not so.
    """

    pixels: np.ndarray
    shown: np.ndarray
    dark: str = ""


def read_picture(path: str | os.PathLike[str], spec: InputSpec, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read one image as `read_image` does, with what an overlay shows of it.

    Raises:
        InputError: as `read_image`.
    """
    name = os.fspath(path)
    if name.lower().endswith(".npy"):
        _require_file(name)
        planes = pixels = _read_array(name, spec, max_pixels)
    else:
        planes, pixels = _converted(decoded(name, max_pixels), spec, name)
    if planes.dtype != np.uint16 or not is_dark(planes, spec):
        return Picture(pixels, pixels)
    top = int(planes.max())
    bits = top.bit_length()
    dark = (
        f"values 0..{2**bits - 1} of 0..65535: the network sees a nearly black image. If the data has "
        f"{bits} bits, multiply it by {2 ** (16 - bits)} before"
    )
    return Picture(pixels, windowed(planes), f"{name} holds {dark}")


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


def decoded(
    name: str,
    max_pixels: int,
    formats: Sequence[str] = FORMATS,
    *,
    transposed: bool = True,
) -> Decoded:
    """An image file, decoded by Pillow.

    Args:
        name: its path.
        max_pixels: refuse larger images, before they are decoded.
        formats: that are read, by Pillow's names.
        transposed: apply the EXIF orientation.

    Raises:
        InputError: it is missing, damaged, too large, or of another format.
    """
    image_module = import_pillow()
    _require_file(name)
    try:
        with warnings.catch_warnings(record=True) as caught:
            try:
                picture = _load(name, name, max_pixels, formats, transposed=transposed)
            except image_module.DecompressionBombError as error:
                picture = _load_oversized(name, max_pixels, formats, error, transposed=transposed)
            except ValueError as error:
                if "MAX_TEXT" not in str(error):
                    raise
                from fcn_edge_runtime.imaging.png import without_profile_and_texts

                with without_profile_and_texts(name) as stream:
                    picture = _load(stream, name, max_pixels, formats, transposed=transposed)
    except InputError:
        raise
    except image_module.UnidentifiedImageError:
        raise InputError(
            f"{name} is not an image of a known format, expected {', '.join(formats)}: convert it"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise errors of any class on damaged files
        raise InputError(f"{name} is damaged or truncated ({_reason(error)})") from None
    complaints = [w.message for w in caught if w.category is UserWarning]
    # Pillow skips TIFF tags that it cannot read, but they define the meaning of the pixels.
    if picture.kind == "TIFF" and complaints:
        raise InputError(f"{name} is damaged or truncated ({complaints[0]})")
    return picture


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded image with facts that only its file has.

    Attributes:
        image: Pillow's, loaded.
        kind: the format, by Pillow's name.
        deep: whether its colors had 16 bits, of which Pillow reads the upper 8.
    """

    image: Any
    kind: str
    deep: bool


def _load(file: Any, name: str, max_pixels: int, formats: Sequence[str], *, transposed: bool) -> Decoded:
    from PIL import ImageOps

    with import_pillow().open(file, formats=formats) as image:
        # Our own limit applies; Pillow only warns at its first one.
        check_pixels(image.width * image.height, max_pixels, name)
        _require_one_image(image, name)
        deep = _is_deep(image)  # checked before decoding, which discards it
        image.load()
        loaded = ImageOps.exif_transpose(image) if transposed else image.copy()
        return Decoded(loaded, image.format or "", deep)


def _load_oversized(
    name: str, max_pixels: int, formats: Sequence[str], error: Exception, *, transposed: bool
) -> Decoded:
    """An image above Pillow's own limit, which only a global variable of Pillow can raise.

    It is raised where the caller allows more pixels than Pillow does, and only while this image is read.
    """
    module = import_pillow()
    with _PILLOW_LIMIT:
        before = module.MAX_IMAGE_PIXELS
        if before is not None and max_pixels > 2 * before:
            module.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2  # Pillow refuses above twice this number
            try:
                return _load(name, name, max_pixels, formats, transposed=transposed)
            except module.DecompressionBombError as second:
                error = second
            finally:
                module.MAX_IMAGE_PIXELS = before
    number = re.search(r"\((\d+) pixels\)", str(error))
    if number is not None:
        check_pixels(int(number[1]), max_pixels, name)
    raise InputError(f"{name} has too many pixels ({_reason(error)})")


def _require_one_image(image: Any, name: str) -> None:
    if image.format == "TIFF":
        several = _has_pages(image)
    else:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    if several:
        raise InputError(f"{name} holds several images, expected one: save each in its own file")


def _has_pages(image: Any) -> bool:
    """Whether a TIFF holds more than one image, its overviews (as of COGs) and transparency masks apart.

    The tag NewSubfileType marks them: bit 0 a reduced image of another one, bit 2 a mask (TIFF 6.0, p. 36);
    before it, SubfileType 2 was a reduced image. A chain may have any length: 64 are looked at.
    """
    several = False
    for number in range(1, _MOST_OVERVIEWS + 2):
        try:
            image.seek(number)
        except EOFError:
            break
        new, old = image.tag_v2.get(254, 0), image.tag_v2.get(255, 1)
        if number > _MOST_OVERVIEWS or not (int(new) & 0b101 or old == 2):
            several = True
            break
    image.seek(0)
    return several


def _is_deep(image: Any) -> bool:
    """Whether the file has 16-bit colors, of which Pillow reads the upper 8 bits."""
    return image.mode not in _SIXTEEN_BIT and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )


def _converted(picture: Decoded, spec: InputSpec, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as they are in the file, (H, W, C), and as the model takes them."""
    image = picture.image
    mode = image.mode
    if mode == "F" and spec.dtype == "float32" and spec.channels == 1:
        values = np.asarray(image, np.float32)[:, :, None]
        return values, values
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
    return planes, convert(planes, spec, name, "save the array (H, W, C) as .npy")


def _sixteen_bits(gray: np.ndarray, name: str) -> np.ndarray:
    if gray.min() < 0 or gray.max() > 65535:
        raise InputError(f"{name} holds values from {gray.min()} to {gray.max()}, expected 0 to 65535")
    return gray.astype(np.uint16)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:160] + " ..."
