"""The folder of files that were fetched once."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """`$FCN_EDGE_CACHE`, or else `~/.cache/fcn-edge`."""
    return Path(os.environ.get("FCN_EDGE_CACHE") or "~/.cache/fcn-edge").expanduser()
