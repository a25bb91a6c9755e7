"""The format of an image file by its first bytes, also of those that are not read, so that they are named."""

from __future__ import annotations

__all__ = ["kind_of"]

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff\xf7": "JPEG-LS",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0\x08\0\0\0": "TIFF",
    b"MM\0+\0\x08\0\0": "TIFF",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\0\0\1\0": "ICO",
    b"v/1\1": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"DDS ": "DDS",
    b"qoif": "QOI",
    b"<svg": "SVG",
    b"<?xml": "XML",
    b"\x93NUMPY": "numpy",
    b"PK\3\4": "ZIP",
    b"\x1f\x8b": "gzip",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}


def kind_of(start: bytes) -> str:
    """The name of a file's format, Pillow's for those that are read; empty if it is not known.

    Args:
        start: its first bytes, 16 or more.
    """
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], "video")
    if start[:1] == b"P" and start[1:2] in b"1234567Ff" and start[2:3].isspace():
        return "PNM"
    return next((kind for begin, kind in _STARTS.items() if start.startswith(begin)), "")
