"""GDAL's virtual rasters (VRT): XML that names the files which it is made of.

GDAL would also run programs, read any file as raw pixels, and connect to servers that a VRT names. Read are
mosaics, subsets and reprojected rasters of files, as gdalbuildvrt, gdal_translate and gdalwarp write them:
elements and attributes are those below, and each name must be a file's. GDAL takes attributes for elements
and the other way round, so both are lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from fcn_edge_runtime._files import read_regular
from fcn_edge_runtime.errors import InputError

__all__ = ["Reference", "is_mosaic", "mosaic_references"]

_MOST_BYTES = 32 << 20
_MOST_ELEMENTS = 1_000_000
_MOST_DEPTH = 24
_LONGEST_NAME = 4096
_START = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?<VRTDataset[\s>]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SOURCES = {"SimpleSource", "ComplexSource", "AveragedSource"}
_NAMES = {"SourceFilename", "SourceDataset"}
_ELEMENTS = _SOURCES | _NAMES | {
    "VRTDataset", "VRTRasterBand", "SRS", "GeoTransform", "GCPList", "GCP", "Metadata", "MDI", "MaskBand",
    "ColorInterp", "NoDataValue", "HideNoDataValue", "Description", "UnitType", "Offset", "Scale",
    "CategoryNames", "Category", "ColorTable", "Entry", "Histograms", "HistItem", "HistMin", "HistMax",
    "BucketCount", "IncludeOutOfRange", "Approximate", "HistCounts", "Overview", "OverviewList",
    "SourceBand", "SourceProperties", "SrcRect", "DstRect", "NODATA", "UseMaskBand", "ScaleOffset",
    "ScaleRatio", "LUT", "Exponent", "SrcMin", "SrcMax", "DstMin", "DstMax", "Clamp", "ColorTableComponent",
    "BlockXSize", "BlockYSize", "GDALWarpOptions", "WarpMemoryLimit", "ResampleAlg", "WorkingDataType",
    "Option", "Transformer", "ApproxTransformer", "MaxError", "BaseTransformer", "GenImgProjTransformer",
    "SrcGeoTransform", "SrcInvGeoTransform", "DstGeoTransform", "DstInvGeoTransform",
    "ReprojectTransformer", "ReprojectionTransformer", "SourceSRS", "TargetSRS", "Options", "BandList",
    "BandMapping", "SrcNoDataReal", "SrcNoDataImag", "DstNoDataReal", "DstNoDataImag", "SrcAlphaBand",
    "DstAlphaBand", "MultiBand",
}  # fmt: skip
_ATTRIBUTES = {
    "rasterXSize", "rasterYSize", "subClass", "dataType", "band", "blockXSize", "blockYSize",
    "relativeToVRT", "shared", "xOff", "yOff", "xSize", "ySize", "RasterXSize", "RasterYSize", "DataType",
    "BlockXSize", "BlockYSize", "key", "domain", "format", "dataAxisToSRSAxisMapping", "coordinateEpoch",
    "resampling", "Id", "Info", "Pixel", "Line", "X", "Y", "Z", "Projection", "c1", "c2", "c3", "c4",
    "name", "src", "dst", "resample", "factor", "encoding",
}  # fmt: skip
_CLASSES = {"VRTSourcedRasterBand", "VRTWarpedDataset", "VRTWarpedRasterBand"}
# A driver's prefix, a URL, a file system of GDAL's, XML in place of a name. One letter is a Windows drive.
_NO_FILE = re.compile(r"[A-Za-z][\w+.-]+:|/vsi|<|\s|$")
_NAMING_KEYS = ("OVERVIEW_FILE", "_DATASET")  # of metadata: of overviews, and of arrays of coordinates
_PLACES = ("xOff", "yOff", "xSize", "ySize")


@dataclass(frozen=True)
class Reference:
    """A file that a mosaic names.

    Attributes:
        path: of the file.
        share: of a band's pixels that it is read for.
    """

    path: str
    share: float


def is_mosaic(start: bytes) -> bool:
    """Whether a file that starts so is a VRT."""
    return _START.match(start.removeprefix(_BYTE_ORDER_MARK)) is not None


def mosaic_references(name: str) -> Iterator[Reference]:
    """Every file that a VRT reads, once for each band that does.

    Raises:
        InputError: it is not a mosaic of files, or longer than one.
    """
    try:
        reading = _Reading(Path(name).parent)
        reading.parse(read_regular(name, _MOST_BYTES))
    except (expat.ExpatError, ValueError) as error:
        raise InputError(f"{name} is not a VRT ({error})") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from None
    except _Refusal as refusal:
        raise InputError(
            f"{name} {refusal}: make a GeoTIFF of it with gdal_translate, if you trust it"
        ) from None
    yield from reading.found()


class _Refusal(Exception):  # noqa: N818 - never reaches a user: an InputError is made of it
    """The message continues "FILE"."""


@dataclass
class _Reading:
    """Follows the elements of a VRT."""

    folder: Path
    depth: int = 0
    elements: int = 0
    width: float = 0.0
    height: float = 0.0
    bands: int = 0
    text: list[str] | None = None
    relative: bool = False
    share: float | None = None  # of the source that is open, once it is known
    within: bool = False  # a source
    before: int = 0  # names when it was opened
    names: list[tuple[str, float]] = field(default_factory=list)

    def parse(self, data: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = self._within_a_name
        parser.StartCdataSectionHandler = self._within_a_name
        parser.ProcessingInstructionHandler = self._within_a_name
        parser.StartDoctypeDeclHandler = self._doctype
        parser.Parse(data, True)

    def found(self) -> Iterator[Reference]:
        for path, share in self.names:
            yield Reference(path, share / max(self.bands, 1))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth, self.elements = self.depth + 1, self.elements + 1
        if self.depth > _MOST_DEPTH or self.elements > _MOST_ELEMENTS:
            raise _Refusal("has more elements than a mosaic")
        if tag not in _ELEMENTS or self.text is not None:
            raise _Refusal(f"has an element {tag[:60]!r}, which a mosaic of files has not")
        for key, value in attributes.items():
            if key not in _ATTRIBUTES or (key == "subClass" and value not in _CLASSES):
                raise _Refusal(f"has {key[:60]}={value[:60]!r}, which a mosaic of files has not")
        self._keep(tag, attributes)

    def _keep(self, tag: str, attributes: dict[str, str]) -> None:
        """What an element says of sizes, places and names."""
        if tag == "VRTDataset":
            self.width, self.height = (_number(attributes, key) for key in ("rasterXSize", "rasterYSize"))
        elif tag in ("VRTRasterBand", "MaskBand"):
            self.bands += 1
        elif tag in _SOURCES:
            self.share, self.within, self.before = None, True, len(self.names)
        elif tag == "DstRect" and self.within:
            if self.share is not None:
                raise _Refusal("has a source with two places")
            _, _, wide, high = (_number(attributes, key) for key in _PLACES)
            inside = min(abs(wide), self.width) * min(abs(high), self.height)
            self.share = inside / max(self.width * self.height, 1.0)
        elif tag == "MDI" and attributes.get("key", "").endswith(_NAMING_KEYS):
            raise _Refusal("names another file in its metadata")
        elif tag in _NAMES:
            self.text, self.relative = [], attributes.get("relativeToVRT", "0").strip() != "0"

    def _end(self, tag: str) -> None:
        self.depth -= 1
        if tag in _NAMES:
            self.names.append((self._path("".join(self.text or [])), 1.0))
            self.text = None
        elif tag in _SOURCES:
            share, self.within = 1.0 if self.share is None else self.share, False
            names = self.names[self.before :]
            self.names[self.before :] = [(path, share) for path, _ in names]

    def _path(self, name: str) -> str:
        if (
            _NO_FILE.match(name)
            or name != name.strip()
            or len(name) > _LONGEST_NAME
            or not name.isprintable()
        ):
            raise _Refusal(f"names {name[:80]!r}, expected a file")
        return str(self.folder / name) if self.relative else name

    def _characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def _within_a_name(self, *_: Any) -> None:
        if self.text is not None:
            raise _Refusal("has more than a name where it names a file")

    def _doctype(self, *_: Any) -> None:
        raise _Refusal("has a document type")


def _number(attributes: dict[str, str], key: str) -> float:
    value = float(attributes.get(key, "nan"))
    if not -1e12 < value < 1e12:
        raise _Refusal(f"has {key}={attributes.get(key, '')[:40]!r}, expected a number")
    return value
