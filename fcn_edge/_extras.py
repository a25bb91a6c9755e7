"""Whether this environment can export or adopt: the Python it needs, and the packages of the extras."""

from __future__ import annotations

import sys

from fcn_edge_runtime._extras import EXTRAS, install_command
from fcn_edge_runtime.errors import FcnEdgeError

__all__ = ["require_adopt", "require_export", "too_old_for_export"]

OLDEST_PYTHON = (3, 11)


def too_old_for_export() -> str:
    """Why this Python is too old to export, in one line; empty if it is not."""
    if sys.version_info >= OLDEST_PYTHON:
        return ""
    wanted, got = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, sys.version_info[:3]))
    return f"exporting needs Python {wanted} or newer, this is {got} (running models works on 3.10)"


def require_export() -> None:
    """Find out, without importing anything heavy, whether this environment can export.

    Raises:
        FcnEdgeError: it cannot; the message names the reason.
    """
    _require("exporting", "export", "cpu")


def require_adopt() -> None:
    """Find out, without importing anything heavy, whether this environment can adopt ONNX files.

    Raises:
        FcnEdgeError: it cannot; the message names the reason.
    """
    _require("adopting an ONNX file", "adopt", "cpu")


def _require(purpose: str, *extras: str) -> None:
    from importlib.util import find_spec

    if reason := too_old_for_export():
        raise FcnEdgeError(reason)
    missing = [module for extra in extras for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise FcnEdgeError(f"{purpose} needs {', '.join(missing)}: {install_command(*extras)}")
