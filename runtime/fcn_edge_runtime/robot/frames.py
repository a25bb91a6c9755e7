"""From an image message to the array that a model takes: the meaning of the encodings that are supported.

- rgb8, bgr8, rgba8, bgra8, mono8, mono16, 8UC1 and 8UC3 are read; 8UC1 is gray, and 8UC3 is blue, green, red,
  as in OpenCV and RViz. Any other encoding is refused with its name: Bayer, YUV and depth images do not hold
  colors that a network could take as they are.
- `step` may be longer than a row; padding is skipped. `is_bigendian` applies to mono16.
- Channels and bit depths are converted by the rules of `imaging/conversion.py`.
- JPEG and PNG are decoded by Pillow and recognized by their first bytes. `format` declares what the pixels
  are: Bayer mosaics and depth are refused by name, as those of raw images. EXIF orientation is not applied:
  calibration and stamp refer to the sensor's own rows and columns.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS, check_pixels
from fcn_edge_runtime.imaging.conversion import convert
from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.robot.formats import not_a_picture
from fcn_edge_runtime.robot.messages import CompressedImage, Header, Image

__all__ = ["ENCODINGS", "as_array", "image_message", "read_frame"]


@dataclass(frozen=True)
class _Encoding:
    """Indices of the stored channels in RGB(A) or gray order, and bytes per channel."""

    channels: int
    order: tuple[int, ...]
    depth: int = 1


ENCODINGS = {
    "rgb8": _Encoding(3, (0, 1, 2)),
    "bgr8": _Encoding(3, (2, 1, 0)),
    "rgba8": _Encoding(4, (0, 1, 2, 3)),
    "bgra8": _Encoding(4, (2, 1, 0, 3)),
    "mono8": _Encoding(1, (0,)),
    "mono16": _Encoding(1, (0,), 2),
    "8UC1": _Encoding(1, (0,)),
    "8UC3": _Encoding(3, (2, 1, 0)),
}
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def read_frame(message: Image | CompressedImage, spec: InputSpec, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The array of an image message, as the model takes it.

    Args:
        message: the message as it came.
        spec: the model's input, `card.input`.
        max_pixels: refuse larger images, before they are decoded.

    Returns:
        (H, W, C) of the model's dtype. It may share memory with the message.

    Raises:
        InputError: an unknown encoding, inconsistent sizes, truncated data, or channels that do not fit the
            model; the message says what was got, what was expected and what to do.
    """
    planes = as_array(message, max_pixels)
    return convert(planes, spec, remedy="images of this encoding cannot feed it")


def as_array(message: Image | CompressedImage, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of a message: (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or native uint16.

    Raises:
        InputError: as `read_frame`.
    """
    if isinstance(message, CompressedImage):
        return _decoded(message, max_pixels)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise InputError(
            f"the image's encoding is {message.encoding!r}, expected one of {', '.join(ENCODINGS)}: "
            "convert it first, with image_proc for instance"
        )
    height, width, step = message.height, message.width, message.step
    if height < 1 or width < 1:
        raise InputError(f"the image is {height} high and {width} wide, expected at least one pixel")
    check_pixels(height * width, max_pixels)
    row = width * encoding.channels * encoding.depth
    if step < row:
        raise InputError(
            f"the image's step is {step}, expected at least {row} bytes for {width} pixels of "
            f"{message.encoding}: fix the node that publishes it"
        )
    flat = np.frombuffer(message.data, np.uint8)
    if flat.size != step * height:
        raise InputError(
            f"the image holds {flat.size} bytes, expected {step * height}, {height} rows of {step}: "
            "the message is truncated, or its step is wrong"
        )
    rows = flat.reshape(height, step)[:, :row]
    if encoding.depth == 2:
        # A step may be odd, so that rows cannot be viewed as 16 bits without a copy.
        order = ">u2" if message.is_bigendian else "<u2"
        return np.ascontiguousarray(rows).view(order).astype(np.uint16)[:, :, None]
    planes = rows.reshape(height, width, encoding.channels)
    if encoding.order == tuple(range(encoding.channels)):
        return planes
    if encoding.channels == 3:
        return planes[:, :, ::-1]  # a view: a caller that needs C order copies it once
    swapped: np.ndarray = planes[:, :, list(encoding.order)]
    return swapped


def image_message(header: Header, array: np.ndarray, encoding: str) -> Image:
    """An array as a message without padding: `step` is the length of a row.

    Args:
        header: copied as it is.
        array: (H, W) or (H, W, C), uint8 or uint16, in the order of the encoding.
        encoding: one of `ENCODINGS`.
    """
    kind = ENCODINGS[encoding]
    data = np.ascontiguousarray(array, "<u2" if kind.depth == 2 else np.uint8)
    height, width = data.shape[:2]
    step = width * kind.channels * kind.depth
    return Image(header, height, width, encoding, 0, step, data.reshape(-1).view(np.uint8).data)


def _decoded(message: CompressedImage, max_pixels: int) -> np.ndarray:
    from fcn_edge_runtime.imaging.decoding import decode

    _check_format(message)
    start = bytes(message.data[: len(_PNG)])
    if not start.startswith((_JPEG, _PNG)):
        raise InputError(
            f"the compressed image ({message.format[:40]!r}) starts with {start.hex(' ') or 'nothing'}, "
            "expected a JPEG or PNG file: subscribe to the raw topic, or choose another transport"
        )
    stream = io.BytesIO(message.data)
    image = decode(stream, "the compressed image", max_pixels, ("JPEG", "PNG"), transposed=False).image
    if image.mode in {"I;16", "I;16B", "I"}:
        # PNG of 16-bit gray; Pillow before 11.3 opens it as "I".
        _check_format(message, 1)
        return np.asarray(image).astype(np.uint16)[:, :, None]
    if image.mode in {"L", "1"}:
        _check_format(message, 1)
        return np.asarray(image.convert("L"))[:, :, None]
    # Alpha is kept only where the image has it, for models of four channels.
    return np.asarray(image.convert("RGBA" if image.mode in {"RGBA", "LA", "PA"} else "RGB"))


def _check_format(message: CompressedImage, channels: int | None = None) -> None:
    if pixels := not_a_picture(message.format, channels):
        raise InputError(
            f"the compressed image's format is {message.format[:80]!r}, so its pixels are {pixels[:40]}, "
            "expected gray or color: convert it first, with image_proc for instance, or choose another topic"
        )
