"""A georeferenced raster as the network's pixels: bands, numbers, and where there is no data.

rasterio reads it by windows, so that memory does not grow with the raster; `formats.py` says which formats.
Pixels without data are given the card's mean, which the network sees as zero: no value spreads from them, and
no tile's fill depends on another tile.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.maps.areas import Ground
from fcn_edge_runtime.maps.formats import check_block, driver_of
from fcn_edge_runtime.model.card import InputSpec

__all__ = ["Pixels", "Raster", "raster_errors", "reproject_advice", "without_place_warnings"]

Pixels = tuple[
    np.ndarray, np.ndarray | None
]  # (h, w, C), and where they are valid: None stands for everywhere

_ALPHA = "alpha"
_EXACT = {
    "uint8": ("uint8",),
    "uint16": ("uint16",),
    "float32": ("uint8", "int8", "uint16", "int16", "float32"),
}
_RGB = ("red", "green", "blue")
_CACHED = 1.15  # bytes of GDAL's cache for each of a block's
_STRIP = 256  # rows of the raster that are read at once
_MOST_SIDE = 1 << 27  # pixels of a resampled raster
_SMALLEST_EXTENT, _LARGEST_EXTENT = 1e-20, 1e20  # of a pixel, in squared units of the CRS


@contextlib.contextmanager
def raster_errors(path: object) -> Iterator[None]:
    """GDAL's errors in this block as InputError with the raster's name."""
    rasterio = require("rasterio", "reading rasters", InputError)
    try:
        yield
    except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError) as error:  # noqa: SLF001 - no other name
        cause = error.__cause__ or error
        text = " ".join(str(cause).split())
        raise InputError(f"{path} cannot be read as a raster ({text[:300]})") from None


@contextlib.contextmanager
def without_place_warnings() -> Iterator[None]:
    """Rasterio does not warn of files without a georeference in this block: `label_raster` does."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@dataclass(frozen=True, eq=False)
class Raster:
    """An open raster.

    Attributes:
        path: as it was given.
        height: in pixels, as is the width.
        width: see above.
        bands: the numbers of the bands that are read, from 1, in the network's order.
        crs: rasterio's CRS, or None.
        transform: from columns and rows to the CRS.
        spec: of the network's input.
    """

    path: str
    height: int
    width: int
    bands: tuple[int, ...]
    crs: Any
    transform: Any
    spec: InputSpec
    _file: Any
    _source: Any
    _whole: bool
    _lock: threading.Lock = field(default_factory=threading.Lock)  # GDAL's datasets take one thread at a time

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        path: str | os.PathLike[str],
        spec: InputSpec,
        *,
        bands: Sequence[int | str] = (),
        resolution: float | None = None,
        stored: bool = False,
    ) -> Iterator[Raster]:
        """Open a raster for a network.

        Args:
            path: of a file, or a URL or another name of GDAL's for a GeoTIFF.
            spec: of the network's input.
            bands: numbers from 1, or names; empty takes those of the card's names, then red, green and blue,
                then all of them.
            resolution: resample to so many meters a pixel; None reads the pixels as they are.
            stored: read the stored numbers also where the file gives a scale and an offset for them.

        Raises:
            InputError: it cannot be read, or its numbers are not the network's.
            UsageError: the bands do not fit the network, or there is no meter in its CRS.
        """
        rasterio = require("rasterio", "reading rasters", InputError)
        name = os.fspath(path)
        with contextlib.ExitStack() as stack:
            with raster_errors(name), without_place_warnings():
                file = stack.enter_context(rasterio.open(name, driver=driver_of(name)))
                _check_blocks(file, name)
            if not file.count:
                raise InputError(
                    f"{name} holds no bands but {len(file.subdatasets)} rasters, expected one raster"
                )
            chosen = _chosen(file, spec, bands, name)
            _check_numbers(file, chosen, spec, name, stored=stored)
            with raster_errors(name):
                source = (
                    file if resolution is None else stack.enter_context(_resampled(file, resolution, name))
                )
            from rasterio.enums import MaskFlags

            whole = all(source.mask_flag_enums[band - 1] == [MaskFlags.all_valid] for band in chosen)
            yield cls(
                name, source.height, source.width, chosen, source.crs,
                source.transform, spec, file, source, whole and spec.dtype != "float32",
            )  # fmt: skip

    def read(self, rows: slice, columns: slice) -> Pixels:
        """The pixels (h, w, C) of a window, and where they are valid (h, w); None stands for everywhere.

        Several threads may read.

        Raises:
            InputError: the file is damaged, or was cut short.
        """
        found = self.empty(rows.stop - rows.start, columns.stop - columns.start)
        self.read_into(rows, columns, *found)
        return found

    def empty(self, height: int, width: int) -> Pixels:
        """Arrays for so many pixels."""
        pixels = np.empty((height, width, len(self.bands)), self.spec.dtype)
        return pixels, None if self._whole else np.empty((height, width), bool)

    def read_into(self, rows: slice, columns: slice, pixels: np.ndarray, valid: np.ndarray | None) -> None:
        """The same into arrays as `empty` gives them, or parts of these."""
        # Strip by strip, so that what GDAL gives, band by band, is still in the processor's cache when it is
        # copied.
        first = rows.start
        while first < rows.stop:
            last = min(rows.stop, (first // _STRIP + 1) * _STRIP)
            part = slice(first - rows.start, last - rows.start)
            self._read(slice(first, last), columns, pixels[part], None if valid is None else valid[part])
            first = last

    def _read(self, rows: slice, columns: slice, pixels: np.ndarray, valid: np.ndarray | None) -> None:
        """Read a window into arrays for its pixels, and for where they are valid."""
        from rasterio.windows import Window

        window, bands = Window.from_slices(rows, columns), list(self.bands)
        with self._lock, raster_errors(self.path):
            planes = self._source.read(bands, window=window)
            masks = None if valid is None else self._source.read_masks(bands, window=window)
        for channel, plane in enumerate(planes):  # twice as fast as one copy
            pixels[..., channel] = plane
        if masks is not None and valid is not None:
            valid[:] = self._valid(planes, masks)
            if not valid.all():
                pixels[~valid] = self._fill()

    def keep_strips(self, rows: int, most: int) -> None:
        """Have GDAL keep so many rows of a raster in strips, if these take so many bytes at most.

        A strip is as wide as the raster, and is decoded whole for each window that has a part of it.
        """
        shapes, kinds = self._source.block_shapes, self._source.dtypes
        if not all(wide >= self.width for _, wide in shapes):
            return
        high = max(high for high, _ in shapes)
        pixels = (rows + 2 * high) * self.width
        wanted = int(_CACHED * pixels * sum(np.dtype(kind).itemsize for kind in kinds))
        if wanted <= most:
            import rasterio

            rasterio.env.setenv(GDAL_CACHEMAX=wanted)

    def lost(self) -> tuple[str, ...]:
        """What the result cannot keep of this raster's georeference."""
        return tuple(
            text
            for text, there in (("ground control points", self.gcps[0]), ("RPCs", self._file.rpcs))
            if there and self._source is not self._file
        )

    @property
    def gcps(self) -> tuple[list[Any], Any]:
        """Ground control points and their CRS."""
        found: tuple[list[Any], Any] = self._file.gcps
        return found

    @property
    def rpcs(self) -> Any:
        """Rational polynomial coefficients, or None."""
        return self._file.rpcs

    @property
    def lacks(self) -> str | None:
        """What it lacks to lie on Earth, in a word or two; None if it does."""
        if self.gcps[0] or self.rpcs is not None:
            return None
        if self.transform.is_identity:
            return "georeference"
        return "CRS" if self.crs is None else None

    def fingerprint(self) -> dict[str, Any]:
        """What changes when the raster's files change: sizes and times, not contents."""
        files = []
        for name in self._file.files:
            with contextlib.suppress(OSError):
                status = Path(name).stat()
                files.append([os.path.realpath(name), status.st_size, status.st_mtime_ns])
        shape = [self.height, self.width, list(self.bands)]
        return {"files": files, "shape": shape, "transform": list(self.transform)[:6]}

    def _valid(self, planes: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """A pixel has data where any band has; of float models where all bands have finite numbers."""
        if self.spec.dtype != "float32":
            return np.asarray(masks.any(axis=0))
        return np.asarray(masks.all(axis=0) & np.isfinite(planes).all(axis=0))

    def _fill(self) -> np.ndarray:
        mean = np.array(self.spec.mean) / self.spec.scale
        if self.spec.dtype == "float32":
            return mean.astype(np.float32)
        return np.clip(np.rint(mean), 0, np.iinfo(self.spec.dtype).max).astype(self.spec.dtype)


def _chosen(file: Any, spec: InputSpec, bands: Sequence[int | str], name: str) -> tuple[int, ...]:
    """The numbers of the bands for the network."""
    colors = [kind.name for kind in file.colorinterp]
    there = [number for number, color in enumerate(colors, 1) if color != _ALPHA]
    names: dict[str, int] = {}
    for number in reversed(there):
        names[colors[number - 1]] = number
    for number in reversed(there):
        if file.descriptions[number - 1]:
            names[file.descriptions[number - 1].strip().lower()] = number
    if bands:
        chosen = [_numbered(band, names, file, name) for band in bands]
    elif spec.bands and all(band.lower() in names for band in spec.bands):
        chosen = [names[band.lower()] for band in spec.bands]
    elif spec.channels == len(_RGB) and all(color in names for color in _RGB):
        chosen = [names[color] for color in _RGB]
    else:
        chosen = there
    if len(chosen) != spec.channels:
        expected = f" ({', '.join(spec.bands)})" if spec.bands else ""
        raise UsageError(
            f"{name} has the bands {_listed(file)}; the network takes {spec.channels}{expected}: "
            "name them in its order, such as --bands 4,3,2"
        )
    return tuple(chosen)


def _numbered(band: int | str, names: dict[str, int], file: Any, name: str) -> int:
    number = int(band) if str(band).isdecimal() else names.get(str(band).lower(), 0)
    if not 1 <= number <= file.count:
        raise UsageError(f"{name} has no band {band!r}, it has the bands {_listed(file)}")
    return number


def _check_blocks(file: Any, name: str) -> None:
    """No block, which is decoded whole, takes much memory, and a pixel has an extent."""
    sizes = (
        height * width * np.dtype(dtype).itemsize
        for (height, width), dtype in zip(file.block_shapes, file.dtypes, strict=True)
        if not dtype.startswith("complex_int")
    )
    check_block(name, max(sizes, default=0))
    extent = abs(file.transform.determinant)
    if not _SMALLEST_EXTENT < extent < _LARGEST_EXTENT:
        raise InputError(
            f"{name} says that a pixel covers {extent:g} units of its CRS: georeference it again"
        )


def _listed(file: Any) -> str:
    """The bands with numbers and names, as in "1 red, 2 green"."""
    shown = [
        f"{number} {file.descriptions[number - 1] or kind.name}"
        for number, kind in enumerate(file.colorinterp[:20], 1)
    ]
    return ", ".join(shown) + (f" and {file.count - 20} more" if file.count > 20 else "")


def _check_numbers(file: Any, bands: tuple[int, ...], spec: InputSpec, name: str, *, stored: bool) -> None:
    found = {file.dtypes[band - 1] for band in bands}
    if not found <= set(_EXACT[spec.dtype]):
        raise InputError(
            f"{name} holds {', '.join(sorted(found))}, expected {spec.dtype}, the network's type: convert it "
            f"as the training data was{_conversion(found, spec.dtype)}"
        )
    scaled = [band for band in bands if (file.scales[band - 1], file.offsets[band - 1]) != (1.0, 0.0)]
    if scaled and not stored:
        scale, offset = file.scales[scaled[0] - 1], file.offsets[scaled[0] - 1]
        # Integers would round 0.0001 of a number to nothing.
        convert = "convert them with gdal_translate -unscale -ot Float32, or " * (spec.dtype == "float32")
        raise InputError(
            f"{name} gives its numbers a scale of {scale:g} and an offset of {offset:g}, which the network's "
            f"own scale does not know: {convert}give --stored-values if it was trained on the stored numbers"
        )


_GDAL = {"uint8": "Byte", "uint16": "UInt16", "float32": "Float32"}


def _conversion(found: set[str], wanted: str) -> str:
    """How GDAL converts numbers of these types, as the end of a sentence; nothing where it cannot."""
    if any(kind.startswith("complex") for kind in found):
        return ""
    command = f", for instance with gdal_translate -ot {_GDAL[wanted]}"
    if wanted == "float32" or all(np.can_cast(kind, wanted) for kind in found):
        return f"{command}, which keeps the numbers"
    most = np.iinfo(wanted).max
    return f"{command} -scale LOW HIGH 0 {most}, where LOW and HIGH became 0 and {most} there"


def reproject_advice(center: tuple[float, float]) -> str:
    """What to do with a raster in degrees around such a (longitude, latitude): meters in its UTM zone."""
    longitude, latitude = center
    zone = int((longitude + 180) // 6) % 60 + (32601 if latitude >= 0 else 32701)
    return f"reproject it first, for instance with gdalwarp -t_srs EPSG:{zone}"


def _resampled(file: Any, resolution: float, name: str) -> Any:
    """The raster at so many meters a pixel on the ground, at its center, resampled when it is read."""
    ground = Ground.of(file)
    if ground is None:
        lack = "no CRS" if file.crs is None else "no place on Earth"
        raise UsageError(f"--resolution is in meters, and {name} has {lack}: georeference it first")
    if not file.crs.is_projected:
        raise UsageError(
            f"--resolution is in meters, and {name} has degrees: {reproject_advice(ground.center)}"
        )
    from rasterio.enums import Resampling
    from rasterio.transform import Affine
    from rasterio.vrt import WarpedVRT

    transform, (wide, high) = file.transform, ground.pixel
    shrink = max(resolution / wide, resolution / high)
    wanted = [n * size / resolution for n, size in ((file.width, wide), (file.height, high))]
    if max(wanted) > _MOST_SIDE:
        raise UsageError(
            f"{name} at {resolution:g} meters a pixel has {wanted[1]:.3g}x{wanted[0]:.3g} pixels, expected "
            f"at most {_MOST_SIDE} a side: give the resolution that the network was trained at"
        )
    width, height = (max(1, round(pixels)) for pixels in wanted)
    across, down = file.width / width, file.height / height
    scaled = Affine(
        transform.a * across, transform.b * down, transform.c,
        transform.d * across, transform.e * down, transform.f,
    )  # fmt: skip
    resampling = Resampling.average if shrink > 1 else Resampling.bilinear
    return WarpedVRT(file, crs=file.crs, transform=scaled, width=width, height=height, resampling=resampling)
