"""What the user says of all files of a process and its children: operators to accept, keys to ask for."""

from __future__ import annotations

import os

__all__ = ["ALLOW_OPERATORS", "TRUSTED_KEYS", "allowed_operators", "keys_of_environment"]

# The variables of the environment that name them.
ALLOW_OPERATORS = "FCN_EDGE_ALLOW_OPERATORS"
TRUSTED_KEYS = "FCN_EDGE_TRUSTED_KEYS"


def allowed_operators() -> frozenset[str]:
    """The operators that the environment accepts besides those on the list."""
    names = os.environ.get(ALLOW_OPERATORS, "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def keys_of_environment() -> tuple[str, ...]:
    """The public keys that the environment trusts, separated as in PATH; none asks for no signature."""
    return tuple(key for key in os.environ.get(TRUSTED_KEYS, "").split(os.pathsep) if key)
