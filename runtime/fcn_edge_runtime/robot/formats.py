"""What `CompressedImage.format` declares about the pixels of a compressed image.

compressed_image_transport writes "SOURCE; CODEC compressed TARGET": the pixels are stored as TARGET, or as
SOURCE where TARGET is empty. compressedDepth writes "SOURCE; compressedDepth CODEC". Other publishers write
the codec alone, such as "jpeg". Source: image_transport_plugins, compressed_publisher.cpp.
"""

from __future__ import annotations

import re

__all__ = ["not_a_picture"]

_PICTURES = re.compile(r"(rgb|bgr|rgba|bgra|mono)(8|16)|8uc[134]")
_OTHERS = re.compile(r"bayer_\w+|(8|16|32|64)[usf]c\d*|yuv\w*|yuyv\w*|uyvy\w*|nv\d\d|compresseddepth|depth")
_LONGEST = 200  # characters; publishers need 40
_CODECS = re.compile(r"(image/|\.)?(jpe?g|png|mjpe?g)")


def not_a_picture(declared: str, channels: int | None = None) -> str:
    """The name of the pixels that a format declares, if they are not gray or color as a camera shows it.

    Args:
        declared: `CompressedImage.format`.
        channels: of the decoded image: a mosaic or depth that became color has 3. None before it is decoded.

    Returns:
        such as "bayer_rggb8" or "16UC1"; empty if the pixels are a picture, or nothing is declared.
    """
    words = [word for word in re.split(r"[;,\s]+", declared[:_LONGEST]) if word]
    lower = [word.casefold() for word in words]
    if "compresseddepth" in lower:
        return f"{words[0]} (compressedDepth)" if lower[0] != "compresseddepth" else words[0]
    target = words[lower.index("compressed") + 1 :] if "compressed" in lower else []
    others = [word for word in words if not _is_picture(word) and _OTHERS.fullmatch(word.casefold())]
    if target:
        if not _is_picture(target[0]):
            return target[0]
        return others[0] if others and channels == 1 else ""
    if others:
        return others[0]
    known = _is_picture(words[0]) or _CODECS.fullmatch(lower[0]) if words else True
    return words[0] if ";" in declared and not known else ""


def _is_picture(word: str) -> bool:
    return _PICTURES.fullmatch(word.casefold()) is not None
