"""Whether this environment can export: the Python it needs and the packages of the `export` extra."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from fcn_edge_runtime.errors import UsageError

__all__ = ["missing_for_export", "require_export"]

OLDEST_PYTHON = (3, 11)
PACKAGES = ("torch", "onnx", "onnxscript", "onnxsim", "onnxruntime", "safetensors")


def missing_for_export() -> str:
    """Why this environment cannot export, in one line; empty if it can. Nothing heavy is imported."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, got = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, sys.version_info[:3]))
        return f"exporting needs Python {wanted} or newer, this is {got} (running models works on 3.10)"
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        return f"exporting needs {', '.join(missing)}: `pip install fcn-edge[export,cpu]`"
    return ""


def require_export() -> None:
    """Do nothing where exporting is possible.

    Raises:
        UsageError: it is not; the message says why.
    """
    if reason := missing_for_export():
        raise UsageError(reason)
