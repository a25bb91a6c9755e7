"""Operators that the user accepts besides those on the list: for all files of a process and its children."""

from __future__ import annotations

import os

__all__ = ["ALLOW_OPERATORS", "allowed_operators"]

# The variable of the environment that names them.
ALLOW_OPERATORS = "FCN_EDGE_ALLOW_OPERATORS"


def allowed_operators() -> frozenset[str]:
    """The operators that the environment accepts besides those on the list."""
    names = os.environ.get(ALLOW_OPERATORS, "").split(",")
    return frozenset(name.strip() for name in names if name.strip())
