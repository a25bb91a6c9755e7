"""Decodes image files and messages with Pillow, within bounds that hold before Pillow sees them.

A file's own structure is read first (`structure/`): its format by its content, its size, its orientation, and
the work that decoding it makes. Pillow is then given only the parts that define pixels. Afterwards a picture
must have all its pixels: decoders fill what is missing with black or gray.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._stdio import captured_output
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.arrays import check_pixels
from fcn_edge_runtime.imaging.structure.bmp import bmp_structure
from fcn_edge_runtime.imaging.structure.jpeg import jpeg_structure
from fcn_edge_runtime.imaging.structure.kinds import kind_of
from fcn_edge_runtime.imaging.structure.parts import Parts
from fcn_edge_runtime.imaging.structure.png import png_structure
from fcn_edge_runtime.imaging.structure.structure import Damage, Structure, TooMuchWork
from fcn_edge_runtime.imaging.structure.tiff import bands_of, tiff_structure
from fcn_edge_runtime.imaging.structure.webp import webp_structure

__all__ = ["FORMATS", "SIXTEEN_BIT", "Decoded", "decode", "import_pillow", "is_turned"]

_STRUCTURES: dict[str, Callable[[BinaryIO], Structure]] = {
    "PNG": png_structure,
    "JPEG": jpeg_structure,
    "BMP": bmp_structure,
    "TIFF": tiff_structure,
    "WEBP": webp_structure,
}
FORMATS = tuple(_STRUCTURES)
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of gray
_MOST_BANDS = 4  # of an image that people look at: colors and alpha
_LIBTIFF = re.compile(r"\w*: .*\.$")  # how its messages look: module, text, period
_PILLOW_LIMIT = threading.Lock()
_TURNS = {  # Pillow's names
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def import_pillow() -> Any:
    """Pillow's Image module.

    Raises:
        InputError: Pillow is not installed.
    """
    return require("PIL.Image", "reading and writing images")


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


def decode(
    stream: BinaryIO,
    name: str,
    max_pixels: int,
    formats: Sequence[str] = FORMATS,
    *,
    transposed: bool = True,
) -> Decoded:
    """Decode an image file or message.

    Beyond what a good image of the same size takes, a bad one takes at most 2 s and 200 MB.

    Args:
        stream: its bytes, seekable.
        name: what messages call it.
        max_pixels: refuse larger images, before they are decoded.
        formats: that are read, of `FORMATS`.
        transposed: apply the EXIF orientation.

    Raises:
        InputError: it is damaged, incomplete, too large, of another format, or makes more work than a good
            image.
    """
    import_pillow()
    stream.seek(0)
    kind = kind_of(stream.read(64))
    if kind not in formats:
        what = f"is a {kind} file" if kind else "is not an image of a known format"
        raise InputError(f"{name} {what}, expected {', '.join(formats)}: convert it")
    try:
        structure = _STRUCTURES[kind](stream)
        _check(structure, name, max_pixels)
        return _by_pillow(stream, kind, structure, transposed=transposed)
    except InputError:
        raise
    except TooMuchWork as error:
        _refuse_bands(stream, kind, name, _MOST_BANDS)
        raise InputError(f"{name} has {error}: save it again as PNG, with a program that you trust") from None
    except MemoryError:
        raise InputError(
            f"{name} has {structure.width}x{structure.height} pixels, for which the memory is not enough: "
            "make it smaller, or cut it into tiles"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise errors of any class on damaged files
        if isinstance(error, import_pillow().UnidentifiedImageError):
            _refuse_bands(stream, kind, name, 0)
        reason = str(error) or type(error).__name__
        raise InputError(f"{name} is damaged or truncated ({reason[:160]})") from None


def is_turned(path: Path) -> bool:
    """Whether the EXIF or XMP data of an image file turn or mirror its pixels; False where it is damaged."""
    try:
        with path.open("rb") as stream:
            kind = kind_of(stream.read(64))
            stream.seek(0)
            return kind in _STRUCTURES and _STRUCTURES[kind](stream).orientation in _TURNS
    except Exception:  # noqa: BLE001 - a damaged file is reported when it is read
        return False


def _refuse_bands(stream: BinaryIO, kind: str, name: str, most: int) -> None:
    """Raise InputError for a TIFF file of more bands, whose first directory is whole: GDAL reads it."""
    with contextlib.suppress(Damage, TooMuchWork):
        bands, bits = bands_of(stream) if kind == "TIFF" else (0, 0)
        if bands > most:
            raise InputError(
                f"{name} has {bands} bands of {bits} bits, expected gray or colors of 8 bits or gray of 16: "
                "label it with `fcn-edge map`, which takes any bands"
            )


def _check(structure: Structure, name: str, max_pixels: int) -> None:
    check_pixels(structure.width * structure.height, max_pixels, name)
    if structure.several:
        raise InputError(f"{name} holds several images, expected one: save each in its own file")


def _by_pillow(stream: BinaryIO, kind: str, structure: Structure, *, transposed: bool) -> Decoded:
    module = import_pillow()
    given: Any = stream
    if structure.parts is not None:
        given = io.BufferedReader(Parts(stream, structure.parts), 1 << 16)
    pixels = structure.width * structure.height
    with warnings.catch_warnings(record=True) as caught, _allowed(pixels):
        given.seek(0)
        with module.open(given, formats=(kind,)) as image:
            if sorted(image.size) != sorted((structure.width, structure.height)):
                raise Damage(f"two sizes: {structure.width}x{structure.height}, {image.width}x{image.height}")
            deep = _is_deep(image)  # checked before decoding, which discards it
            with _printed_errors() if structure.prints else contextlib.nullcontext():
                image.load()
            if not structure.is_whole(image):
                raise Damage("pixels are missing at its end")
            turn = _TURNS.get(structure.orientation) if transposed else None
            loaded = image.transpose(module.Transpose[turn]) if turn else image
    # Pillow skips TIFF tags that it cannot read, but they define the meaning of the pixels.
    complaints = [w.message for w in caught if w.category is UserWarning]
    if kind == "TIFF" and complaints:
        raise Damage(str(complaints[0]))
    return Decoded(loaded, kind, deep)


@contextlib.contextmanager
def _allowed(pixels: int) -> Iterator[None]:
    """Let Pillow open an image of so many pixels: its own limit is a global variable, twice of it refused."""
    module = import_pillow()
    if module.MAX_IMAGE_PIXELS is None or pixels <= 2 * module.MAX_IMAGE_PIXELS:
        yield
        return
    with _PILLOW_LIMIT:
        before = module.MAX_IMAGE_PIXELS
        module.MAX_IMAGE_PIXELS = (pixels + 1) // 2
        try:
            yield
        finally:
            module.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def _printed_errors() -> Iterator[None]:
    """Raise what libtiff prints to stderr: some of its codecs go on after errors, and fill with white."""
    with captured_output() as printed:
        yield
    lines = printed[0].splitlines()
    errors = [line for line in lines if _LIBTIFF.match(line)]
    if errors:
        raise Damage(errors[0])
    if lines:  # of other threads
        sys.stderr.write(printed[0])


def _is_deep(image: Any) -> bool:
    """Whether the file has 16-bit colors, of which Pillow reads the upper 8 bits."""
    return image.mode not in SIXTEEN_BIT and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
