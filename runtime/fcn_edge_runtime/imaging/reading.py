"""Reads image files as arrays that a model takes. Pillow decodes them; it is imported when it is used.

The complete rules:

- PNG, JPEG, BMP, TIFF and WebP are read, and `.npy` arrays. A file holds one image: animations and multi-page
  files are refused; the first image of a camera's MPO is read, and of a TIFF with overviews.
- The limit on pixels is checked before decoding, and so is the work that decoding makes: the scans of a JPEG,
  the strips and tiles of a TIFF (uncompressed, LZW, deflate, PackBits, zstd, JPEG), the chunks of a PNG.
- An image is read only if all its pixels are there. Profiles, texts and EXIF, apart from the orientation, are
  never decoded.
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
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, check_layout, check_pixels
from fcn_edge_runtime.imaging.conversion import convert, is_dark, windowed
from fcn_edge_runtime.imaging.decoding import FORMATS, SIXTEEN_BIT, Decoded, decode, import_pillow
from fcn_edge_runtime.model.card import InputSpec

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "Decoded",
    "Picture",
    "decoded",
    "import_pillow",
    "picture_of",
    "read_image",
    "read_picture",
]

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy")
_EIGHT_BIT = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_AS_STORED = ("L", "LA", "RGB", "RGBA", "RGBX")  # every other mode is converted by Pillow first
_MOST_HEADER = 10_000  # bytes of a .npy header, as numpy takes at most


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
    return _picture(planes, pixels, spec, name)


def picture_of(stream: BinaryIO, name: str, spec: InputSpec, max_pixels: int = MAX_PIXELS) -> Picture:
    """The same of the bytes of an image file.

    Args:
        stream: its bytes, seekable.
        name: what messages call it.
        spec: the model's input.
        max_pixels: refuse larger images, before they are decoded.

    Raises:
        InputError: as `read_image`.
    """
    return _picture(*_converted(decode(stream, name, max_pixels), spec, name), spec, name)


def _picture(planes: np.ndarray, pixels: np.ndarray, spec: InputSpec, name: str) -> Picture:
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
    """All that the header declares is checked before a value is read."""
    try:
        _check_header(name)
        # Mapped, so that a header that declares more than the file holds is found before memory is allocated.
        mapped = np.load(name, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - damaged headers raise errors of any class
        raise InputError(f"{name} is not a readable array ({_reason(error)})") from None
    if mapped.ndim not in {2, 3}:
        raise InputError(f"{name} has shape {mapped.shape}, expected (H, W, {spec.channels})")
    check_layout(mapped, spec, name)
    check_pixels(mapped.shape[0] * mapped.shape[1], max_pixels, name)
    array = np.array(mapped)
    return array[:, :, None] if array.ndim == 2 else array


def _check_header(name: str) -> None:
    """Refuse a long header: numpy reads it whole before it looks at its length, which may be 4 GB."""
    with open(name, "rb") as stream:  # noqa: PTH123 - a str may hold characters that Path refuses
        start = stream.read(12)
    if not start.startswith(b"\x93NUMPY"):
        raise ValueError("it does not start as a .npy file")
    length = int.from_bytes(start[8:10] if start[6:7] == b"\1" else start[8:12], "little")
    if length > _MOST_HEADER:
        raise ValueError(f"a header of {length} bytes, expected at most {_MOST_HEADER}")


def decoded(
    name: str,
    max_pixels: int,
    formats: Sequence[str] = FORMATS,
    *,
    transposed: bool = True,
) -> Decoded:
    """An image file, decoded by Pillow; see `decode`.

    Raises:
        InputError: it is missing, or as for `decode`.
    """
    import_pillow()
    _require_file(name)
    try:
        with open(name, "rb") as stream:  # noqa: PTH123 - a str may hold characters that Path refuses
            return decode(stream, name, max_pixels, formats, transposed=transposed)
    except OSError as error:
        raise InputError(f"the image {name} cannot be read ({error.strerror or error})") from None


def _converted(picture: Decoded, spec: InputSpec, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as they are in the file, (H, W, C), and as the model takes them."""
    image = picture.image
    mode = image.mode
    if mode == "F" and spec.dtype == "float32" and spec.channels == 1:
        values = np.asarray(image, np.float32)[:, :, None]
        return values, values
    if mode in SIXTEEN_BIT or (mode == "I" and picture.kind == "PNG"):  # Pillow before 11.3 opens it as "I"
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
