"""Padding by a number that a condition on sizes chose: `if up.shape[2] != skip.shape[2]: pads[3] = 1`.

The tracer follows one side of a condition, and the number behind it is a constant. Here conditions are
recorded as they are decided, and a padding that follows pads by an expression of the sizes instead: one that
is the number where the condition holds, and 0 where it does not. So `16 - width % 16` behind `if width % 16:`
becomes its remainder. At sizes where the condition does not hold the file is compared with PyTorch, as for
every condition (`verification.borders`), so a wrong guess is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor
from torch.fx.experimental import symbolic_shapes
from torch.utils._sympy.functions import Mod, PythonMod

__all__ = ["Decisions"]

TRIED = 96  # sizes from the traced one on, at which the expression must be the number or 0


@dataclass(frozen=True)
class _Decision:
    """A condition on sizes, and whether it held."""

    expression: Any
    held: bool


class Decisions:
    """While it is active, records what conditions on sizes decide; `clear` forgets them."""

    def __init__(self) -> None:
        self._made: list[_Decision] = []

    def __enter__(self) -> None:
        self._before = torch.SymBool.__bool__

        def decided(symbol: torch.SymBool) -> bool:
            held = bool(self._before(symbol))  # type: ignore[no-untyped-call]  # torch has no type for it
            self._made.append(_Decision(symbol.node.expr, held))
            return held

        # Torch names the innermost line of code that is not its own, which is to be the user's.
        decided.__code__ = decided.__code__.replace(co_filename=symbolic_shapes.__file__)
        torch.SymBool.__bool__ = decided  # type: ignore[method-assign]  # the only place all conditions pass

    def __exit__(self, *_: object) -> None:
        torch.SymBool.__bool__ = self._before  # type: ignore[method-assign]  # as above
        self._made.clear()

    def clear(self) -> None:
        """Forget the conditions so far: what was decided before other work does not explain a number."""
        self._made.clear()

    def amounts(self, x: Tensor, pads: Sequence[Any]) -> list[Any]:
        """The amounts of a padding, those that a condition chose as expressions of the sizes.

        Args:
            x: what is padded.
            pads: before and behind, the last axis first, as for F.pad.
        """
        return [self._expressed(x.shape[-1 - index // 2], amount) for index, amount in enumerate(pads)]

    def _expressed(self, side: Any, amount: Any) -> Any:
        if not isinstance(side, torch.SymInt) or not isinstance(amount, (int, torch.SymInt)):
            return amount
        node = side.node
        given = amount.node.expr if isinstance(amount, torch.SymInt) else sympy.Integer(amount)
        if given == 0 or len(node.expr.free_symbols) != 1 or not given.free_symbols <= node.expr.free_symbols:
            return amount
        (symbol,) = node.expr.free_symbols
        start = int(node.shape_env.backed_var_to_val[symbol])
        for decision in reversed(self._made):
            if decision.expression.free_symbols != {symbol}:
                continue
            for candidate in _candidates(decision.expression, given):
                if _is_amount(candidate, given, decision, symbol, start):
                    hint = int(candidate.xreplace({symbol: start}))
                    return node.shape_env.create_symintnode(candidate, hint=hint)
        return amount


def _candidates(condition: Any, amount: Any) -> Iterator[Any]:
    """What may be the amount or 0: a difference or remainder in the condition, a remainder of the amount."""
    if len(condition.args) == 2 and isinstance(condition, sympy.core.relational.Relational):
        left, right = condition.args
        yield left - right
        yield right - left
    for remainder in condition.atoms(Mod, PythonMod):
        yield remainder
        yield Mod(amount, remainder.args[1])


def _is_amount(candidate: Any, amount: Any, decision: _Decision, symbol: Any, start: int) -> bool:
    """Whether it is the amount wherever the condition decides as it did, and 0 elsewhere."""
    found = []
    for value in range(start, start + TRIED):
        at = {symbol: value}
        held = bool(decision.expression.xreplace(at)) == decision.held
        if candidate.xreplace(at) != (amount.xreplace(at) if held else 0):
            return False
        found.append(held)
    return not all(found)
