"""Amounts of padding in a form that later layers can compute with."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._sympy.functions import Mod, PythonMod

__all__ = ["to_whole"]


def to_whole(side: Any, amount: Any) -> Any:
    """`(7 - side % 7) % 7`, padding to whole windows, in a form whose sum with the side is simple.

    The side becomes 7 * ((side + 6) // 7). As it is written, torch carries one remainder of another through
    all later layers, and compares shapes for many minutes.
    """
    if not isinstance(side, torch.SymInt) or not isinstance(amount, torch.SymInt):
        return amount
    found = amount.node.expr
    if not isinstance(found, (Mod, PythonMod)) or not found.args[1].is_Integer:
        return amount
    value, window = found.args
    to_side = (-side.node.expr, *(-kind(side.node.expr, window) for kind in (Mod, PythonMod)))
    if window == 2:
        to_side += (side.node.expr,)
    if not any((value - other) % window == 0 for other in to_side):
        return amount
    size = int(window)
    return size * ((side + (size - 1)) // size) - side
