"""Parts of a file as one stream, without copying them."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO, TypeAlias

__all__ = ["Part", "Parts", "following"]

Part: TypeAlias = tuple[int, int] | bytes  # (start, end) in the file, or bytes of their own


def following(parts: list[Part], start: int, end: int) -> None:
    """Add a part of the file, joined to the last one where it follows directly."""
    last = parts[-1] if parts else b""
    if isinstance(last, tuple) and last[1] == start:
        parts[-1] = (last[0], end)
    else:
        parts.append((start, end))


class Parts(io.RawIOBase):
    """Some parts of a file as one stream; the file stays open and belongs to the caller."""

    def __init__(self, stream: BinaryIO, parts: Sequence[Part]) -> None:
        self._stream, self._at = stream, 0
        self._parts = parts
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts]
        self._begins = list(accumulate(sizes, initial=0))
        self._size = self._begins.pop()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # bytearray and others fit, too
        """Read up to the end of a part; returns the number of bytes, 0 at the end."""
        if self._at >= self._size:
            return 0
        number = bisect.bisect_right(self._begins, self._at) - 1
        part, skipped = self._parts[number], self._at - self._begins[number]
        if isinstance(part, bytes):
            data = part[skipped : skipped + len(buffer)]
        else:
            start, end = part
            self._stream.seek(start + skipped)
            data = self._stream.read(min(len(buffer), end - start - skipped))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
