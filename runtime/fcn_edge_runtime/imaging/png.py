"""A PNG read around its color profile and its texts, which may be larger than Pillow takes."""

from __future__ import annotations

import bisect
import io
import struct
from itertools import accumulate
from pathlib import Path

__all__ = ["without_profile_and_texts"]

_SKIPPED = (b"iCCP", b"zTXt", b"tEXt", b"iTXt")
_ORIENTATION = (b"Raw profile type ", b"XML:com.adobe.xmp\0")  # texts that may say how to turn the image


def without_profile_and_texts(path: str) -> io.BufferedReader:
    """A PNG file without iCCP and text chunks, apart from texts that may hold the orientation.

    Nothing is copied: the stream reads the file at the chunks that are kept.

    Raises:
        OSError: the file cannot be read.
    """
    stream = Path(path).open("rb")  # noqa: SIM115 - closed with the reader that is returned
    try:
        return io.BufferedReader(_Parts(stream, _kept(stream)))
    except BaseException:
        stream.close()
        raise


def _kept(stream: io.BufferedReader) -> list[tuple[int, int]]:
    """(start, end) of the parts of the file that are kept, in order."""
    size = stream.seek(0, io.SEEK_END)
    parts, at = [(0, 8)], 8
    while at < size:
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        end = min(at + 12 + length, size)
        text = stream.read(20) if kind in _SKIPPED[1:] else b""
        if kind not in _SKIPPED or text.startswith(_ORIENTATION):
            if parts[-1][1] == at:
                parts[-1] = (parts[-1][0], end)
            else:
                parts.append((at, end))
        at = end
    return parts


class _Parts(io.RawIOBase):
    """The parts of a file as one stream."""

    def __init__(self, stream: io.BufferedReader, parts: list[tuple[int, int]]) -> None:
        self._stream, self._at = stream, 0
        self._parts = parts
        self._begins = list(accumulate((end - start for start, end in parts), initial=0))
        self._size = self._begins.pop()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # bytearray and others fit, too
        number = bisect.bisect_right(self._begins, self._at) - 1
        start, end = self._parts[number]
        here = start + self._at - self._begins[number]
        self._stream.seek(here)
        data = self._stream.read(max(0, min(len(buffer), end - here)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
