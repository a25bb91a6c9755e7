"""The pixels of one DICOM file, stored as they are or compressed, each frame checked before it is decoded.

pydicom calls the decoders: its own for run lengths, and for the codestreams of JPEG whichever is installed. A
decoder gets exactly the bytes that were checked, and one that fails or complains has the last word: another
one might fill in what is damaged.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._stdio import captured_output
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.medical.codestreams import (
    CodestreamError,
    Plane,
    check_jpeg,
    check_jpeg_2000,
    check_jpeg_ls,
    check_run_lengths,
)

__all__ = ["check_syntax", "is_compressed", "read_frames", "reason_of", "tolerant"]

_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_CHECKS: dict[str, Callable[[bytes, Plane], None]] = {
    "1.2.840.10008.1.2.5": check_run_lengths,
    "1.2.840.10008.1.2.4.50": check_jpeg,
    "1.2.840.10008.1.2.4.51": check_jpeg,
    "1.2.840.10008.1.2.4.57": check_jpeg,
    "1.2.840.10008.1.2.4.70": check_jpeg,
    "1.2.840.10008.1.2.4.80": check_jpeg_ls,
    "1.2.840.10008.1.2.4.81": check_jpeg_ls,
    "1.2.840.10008.1.2.4.90": check_jpeg_2000,
    "1.2.840.10008.1.2.4.91": check_jpeg_2000,
}
# pydicom's names of decoders, the strictest first.
_DECODERS = ("pydicom", "pyjpegls", "pylibjpeg", "pillow", "gdcm")
_OF_PIXELS = (
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)  # fmt: skip


def check_syntax(syntax: Any, file: Path) -> None:
    """Whether the transfer syntax of a file can be read here.

    Raises:
        InputError: it cannot; the message names it, and the extra that brings a decoder.
    """
    if str(syntax) in _UNCOMPRESSED:
        return
    if syntax is None:
        raise InputError(f"{file} states no transfer syntax: it is damaged, or not whole")
    name = printable(str(getattr(syntax, "name", syntax)))
    if str(syntax) not in _CHECKS:
        raise InputError(
            f"{file} is compressed ({name}), which is not read: decompress the series, with `gdcmconv --raw` "
            "or dcmdjpeg"
        )
    if not require("pydicom.pixels", "reading DICOM").get_decoder(syntax).is_available:
        require("gdcm", f"{file} is compressed ({name}), and reading it")
        raise InputError(f"{file} is compressed ({name}), and no decoder that is installed here reads it")


def is_compressed(syntax: Any) -> bool:
    """Whether a file's frames are codestreams."""
    return str(syntax) in _CHECKS


def read_frames(pydicom: Any, file: Path, places: Sequence[np.ndarray]) -> None:
    """Read the frames of a file, whose header was checked before.

    Args:
        pydicom: the module.
        file: the file.
        places: (columns, rows) of each frame, in the file's order; filled with the numbers as stored.

    Raises:
        InputError: they cannot be read, are not so many, or differ from what the header says.
    """
    try:
        with tolerant(pydicom):
            data = pydicom.dcmread(file, specific_tags=list(_OF_PIXELS))
            syntax = data.file_meta.TransferSyntaxUID
            if is_compressed(syntax):
                frames = _decoded(pydicom, data, syntax, len(places))
            else:
                frames = iter(data.pixel_array.reshape(len(places), data.Rows, data.Columns))
            for place, frame in zip(places, frames, strict=True):
                place[...] = frame.T
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files raise errors of any class in pydicom
        raise InputError(f"the pixels of {file} cannot be read ({reason_of(error)})") from None


def _decoded(pydicom: Any, data: Any, syntax: Any, count: int) -> Iterator[np.ndarray]:
    """Frame (rows, columns) after frame, each checked, wrapped alone, and decoded."""
    if "PixelData" not in data:
        raise CodestreamError("it is cut short, or its pixels are not one whole element")
    plane = Plane(int(data.Rows), int(data.Columns), int(data.BitsAllocated))
    decoder = pydicom.pixels.get_decoder(syntax)
    name = next(name for name in _DECODERS if name in decoder.available_plugins)
    tables = data.get("ExtendedOffsetTable"), data.get("ExtendedOffsetTableLengths")
    frames = pydicom.encaps.generate_frames(
        data.PixelData, number_of_frames=count, extended_offsets=tables if all(tables) else None
    )
    found = 0
    for frame in frames:
        found += 1
        if found > count:
            break
        _CHECKS[str(syntax)](frame, plane)
        with captured_output() as printed:
            decoded, _ = decoder.as_array(
                pydicom.encaps.encapsulate([frame], has_bot=False),
                index=0,
                raw=True,
                decoding_plugin=name,
                rows=plane.rows,
                columns=plane.columns,
                samples_per_pixel=1,
                photometric_interpretation="MONOCHROME2",
                number_of_frames=1,
                bits_allocated=plane.bits,
                bits_stored=int(data.BitsStored),
                pixel_representation=int(data.PixelRepresentation),
            )
        if printed[0]:  # libjpeg within gdcm goes on with gray pixels
            raise CodestreamError(f"its decoder says: {printed[0]}")
        yield decoded
    if found != count:
        raise CodestreamError(f"it has {'more' if found > count else 'fewer'} frames than {count}")


@contextlib.contextmanager
def tolerant(pydicom: Any) -> Iterator[None]:
    """Say nothing of values that break the standard, which scanners write."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def reason_of(error: BaseException) -> str:
    """The text of an error of pydicom in one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return printable(text)[:160]
