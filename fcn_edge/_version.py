"""The version of the installed distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("fcn-edge")
except PackageNotFoundError:  # run from a folder that was never installed
    __version__ = "unknown"
