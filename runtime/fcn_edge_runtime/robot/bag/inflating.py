"""Compressed parts of bags, unpacked within a limit: a few hundred bytes can declare gigabytes."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["BOUNDED", "WINDOW", "largest", "unpack"]

# Recorders make chunks of 0.8 to 4 MB. Black frames shrink a thousand times, those of cameras a few times.
_ALWAYS = 32 << 20
_TIMES = 20
WINDOW = 128 << 20  # of zstd, as its own program takes without being asked


def largest(packed: int) -> int:
    """The most bytes that this many compressed ones may become."""
    return _ALWAYS + _TIMES * packed


def unpack(kind: str, data: bytes, declared: int | None = None) -> bytes:
    """Unpack bytes.

    Args:
        kind: "zstd", "lz4", "bz2", or "" for bytes that are not compressed.
        data: the compressed bytes.
        declared: how many they become, if that is known.

    Raises:
        ValueError: they become more than they may, or not what is declared, or the kind is not known.
        Exception: they are damaged.
    """
    limit = largest(len(data))
    if declared is not None and declared > limit:
        raise ValueError(f"{len(data):,} compressed bytes declare {declared:,}, expected at most {limit:,}")
    if kind and kind not in BOUNDED:
        raise ValueError(f"compressed by {kind[:20]!r}, expected {' or '.join(BOUNDED)}")
    limit = limit if declared is None else declared
    unpacked = BOUNDED[kind](data, limit) if kind else data
    if len(unpacked) > limit or (declared is not None and len(unpacked) != declared):
        raise ValueError(f"{len(data):,} compressed bytes become more or less than {limit:,}, as declared")
    return unpacked


def _zstd(data: bytes, limit: int) -> bytes:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(data, read_across_frames=True)
    return bytes(reader.read(limit + 1))


def _lz4(data: bytes, limit: int) -> bytes:
    lz4 = import_module("lz4.frame")  # it has no type stubs
    return bytes(lz4.LZ4FrameDecompressor().decompress(data, max_length=limit + 1))


def _bz2(data: bytes, limit: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, max_length=limit + 1)


# Each gives one byte more than the limit where there is more.
BOUNDED: dict[str, Callable[[bytes, int], Any]] = {"zstd": _zstd, "lz4": _lz4, "bz2": _bz2}
