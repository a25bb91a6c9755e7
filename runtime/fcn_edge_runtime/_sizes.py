"""Image sizes as people type and read them: HEIGHTxWIDTH."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fcn_edge_runtime.errors import UsageError

__all__ = ["parse_size", "size_text"]

_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


def parse_size(text: str) -> tuple[int, int]:
    """'480x640' -> (480, 640), height first.

    Raises:
        UsageError: it is anything else.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"got {text.strip()!r}, expected HEIGHTxWIDTH such as 480x640")
    return int(match[1]), int(match[2])


def size_text(sides: Iterable[int]) -> str:
    """(480, 640) -> '480x640'; any number of sides, such as a tensor's shape."""
    return "x".join(map(str, sides))
