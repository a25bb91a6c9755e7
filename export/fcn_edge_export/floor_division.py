"""Whole quotients of sizes, rounded down as Python rounds them.

`(skip_width - up_width) // 2` is -1 of -1 in Python. ONNX's division of whole numbers cuts toward zero, which
gives 0, so a padding by such a number cuts the other side of a map. Where a number may be negative its
remainder is taken off first: (a - a % b) // b is the same whichever way it is rounded.
"""

from __future__ import annotations

import operator
from typing import Any

import torch

__all__ = ["round_down"]


def round_down(program: torch.export.ExportedProgram) -> None:
    """Make every quotient of the program whose dividend may be negative exact, in place."""
    graph = program.graph
    for node in list(graph.nodes):
        if node.target is not operator.floordiv or not isinstance(node.args[0], torch.fx.Node):
            continue
        dividend, divisor = node.args
        if not _may_be_negative(_value(dividend)):
            continue
        with graph.inserting_before(node):
            rest = graph.call_function(operator.mod, (dividend, divisor))
            rest.meta["val"] = _value(dividend) % _value(divisor)
            exact = graph.call_function(operator.sub, (dividend, rest))
            exact.meta["val"] = _value(dividend) - rest.meta["val"]
        node.args = (exact, divisor)
    program.graph_module.recompile()


def _value(argument: Any) -> Any:
    return argument.meta["val"] if isinstance(argument, torch.fx.Node) else argument


def _may_be_negative(value: Any) -> bool:
    if not isinstance(value, torch.SymInt):
        return isinstance(value, int) and value < 0
    node = value.node
    return bool(node.shape_env.bound_sympy(node.expr).lower < 0)
