"""What a raster's file is, before GDAL opens it: its driver, and that all it leads to are files.

GDAL tries 150 drivers on a file, whatever its name. Some connect to servers that the file names, some read
any other file of the machine, and blocks of any size are decoded whole. So only the formats below are opened,
each by its own driver, and what lies beside a file or is named by it must be files of these formats.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fcn_edge_runtime._files import read_regular
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.structure.jpeg import jpeg_structure
from fcn_edge_runtime.imaging.structure.kinds import kind_of
from fcn_edge_runtime.imaging.structure.png import png_structure
from fcn_edge_runtime.imaging.structure.structure import Damage, TooMuchWork
from fcn_edge_runtime.imaging.structure.tiff import raster_layout
from fcn_edge_runtime.maps.mosaic import Reference, is_mosaic, mosaic_references

__all__ = ["check_block", "driver_of"]

_MOST_BLOCK = 128 << 20  # bytes: a block is decoded whole
_DRIVERS = {"TIFF": "GTiff", "JPEG 2000": "JP2OpenJPEG", "PNG": "PNG", "JPEG": "JPEG"}
_MOST_PIXELS = 100_000_000  # of PNG and JPEG, which are decoded from their beginning for each row of tiles
_MOST_DEPTH = 4  # mosaics of mosaics
_MOST_SOURCES = 60_000  # three bands of 20,000 files
_MOST_COVER = 16.0  # times that all sources together cover a mosaic
_MOST_SIDECAR = 16 << 20  # bytes of XML beside a file: statistics, tables


def driver_of(name: str) -> str:
    """The GDAL driver that opens a raster.

    Args:
        name: of a file; or a URL or another name of GDAL's, which is where the user wants to connect: a
            GeoTIFF is expected there.

    Raises:
        InputError: it is not a regular file of a known format; it leads to what is not; it takes more
            memory or time than good files.
    """
    if not os.path.lexists(name) and ("://" in name or name.startswith("/vsi")):
        return "GTiff"
    return _Checked().file(name)


class _Checked:
    """Files that were looked at, and how often they are read: a mosaic may name one file many times."""

    def __init__(self) -> None:
        self._mosaics: dict[str, tuple[int, float]] = {}
        self._files: set[str] = set()

    def file(self, name: str) -> str:
        driver = _driver(name)
        if driver == "VRT":
            self._mosaic(name, ())
        elif name not in self._files:
            self._files.add(name)
            _check_layout(name, driver)
            _check_beside(name)
        return driver

    def _mosaic(self, name: str, above: tuple[str, ...]) -> tuple[int, float]:
        """How many sources a mosaic reads, and how often they cover it, with those of mosaics within."""
        key = os.path.realpath(name)
        if key in self._mosaics:
            return self._mosaics[key]
        if key in above or len(above) >= _MOST_DEPTH:
            raise InputError(
                f"{name} is a mosaic of mosaics, more than {_MOST_DEPTH} deep: make one of their files"
            )
        _check_beside(name)
        count, cover = 0, 0.0
        for reference in mosaic_references(name):
            inner, times = self._source(name, reference, (*above, key))
            count, cover = count + inner, cover + reference.share * times
            if count > _MOST_SOURCES or cover > _MOST_COVER:
                raise InputError(
                    f"{name} reads more than {_MOST_SOURCES} sources, or covers itself more than "
                    f"{_MOST_COVER:.0f} times: make a file of it with gdal_translate"
                )
        self._mosaics[key] = count, cover
        return count, cover

    def _source(self, mosaic: str, reference: Reference, above: tuple[str, ...]) -> tuple[int, float]:
        try:
            if _driver(reference.path) == "VRT":
                return self._mosaic(reference.path, above)
            self.file(reference.path)
        except InputError as error:
            raise InputError(f"{mosaic} cannot be read: {error}") from None
        return 1, 1.0


def _driver(name: str) -> str:
    """The driver of a regular file, by its first bytes."""
    try:
        if not stat.S_ISREG(Path(name).stat().st_mode):
            raise InputError(f"{name} is not a file, expected a raster")
        with Path(name).open("rb") as file:
            start = file.read(4096)
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if is_mosaic(start):
        return "VRT"
    kind = kind_of(start)
    if kind not in _DRIVERS:
        what = f"is a {kind} file" if kind else "is not a raster of a known format"
        raise InputError(
            f"{name} {what}, expected {', '.join(_DRIVERS)} or a VRT: convert it with gdal_translate"
        )
    return _DRIVERS[kind]


def _check_layout(name: str, driver: str) -> None:
    try:
        with Path(name).open("rb") as file:
            if driver == "GTiff":
                layout = raster_layout(file)
                check_block(name, layout.block)
                _check_metadata(name, layout.metadata)
            elif driver != "JP2OpenJPEG":
                structure = (png_structure if driver == "PNG" else jpeg_structure)(file)
                if structure.width * structure.height > _MOST_PIXELS:
                    raise InputError(
                        f"{name} has {structure.height}x{structure.width} pixels in one piece, expected at "
                        f"most {_MOST_PIXELS // 10**6} million: make tiles of it with gdal_translate "
                        "-co TILED=YES"
                    )
    except TooMuchWork as error:
        raise InputError(f"{name} has {error}: write it again with gdal_translate") from None
    except Damage as error:
        raise InputError(f"{name} is damaged or truncated ({error})") from None


def check_block(name: str, size: int) -> None:
    """Refuse a raster whose largest block, which is decoded whole, has so many bytes.

    Raises:
        InputError: they are too many.
    """
    if size > _MOST_BLOCK:
        raise InputError(
            f"{name} has blocks of {size >> 20} MB, which are decoded whole, expected at most "
            f"{_MOST_BLOCK >> 20}: write it again with gdal_translate -co TILED=YES"
        )


def _check_metadata(name: str, text: bytes) -> None:
    if b"OVERVIEW_FILE" in text:
        raise InputError(
            f"{name} has its overviews in another file that it names: write it again with gdal_translate"
        )


def _check_beside(name: str) -> None:
    """What GDAL opens besides a file: overviews and masks, which are TIFF files, and XML."""
    for ending in (".ovr", ".OVR", ".msk", ".MSK"):
        other = name + ending
        if os.path.lexists(other):
            if _driver(other) != "GTiff":
                raise InputError(f"{other} is not a TIFF of overviews or a mask of {name}: remove it")
            _check_layout(other, "GTiff")
    other = name + ".aux.xml"
    if os.path.lexists(other):
        try:
            _check_metadata(other, read_regular(other, _MOST_SIDECAR))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{other} cannot be read ({getattr(error, 'strerror', None) or error}): remove it"
            ) from None
