"""Padding by a number that a condition on sizes chose: `if up.shape[2] != skip.shape[2]: pads[3] = 1`.

The tracer follows one side of a condition, and the number behind it is a constant. Here conditions are
recorded as they are decided, and a padding that follows pads by an expression of the sizes instead: one that
is the number where the condition holds, and 0 where it does not. At sizes where it does not hold the file is
compared with PyTorch, as for every condition (`verification.borders`), so a wrong guess is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental import symbolic_shapes

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
        return [
            self._expressed(x.shape[-1 - index // 2], amount) if isinstance(amount, int) else amount
            for index, amount in enumerate(pads)
        ]

    def _expressed(self, side: Any, amount: int) -> Any:
        if amount == 0 or not isinstance(side, torch.SymInt):
            return amount
        node = side.node
        for decision in reversed(self._made):
            if not decision.expression.free_symbols <= node.expr.free_symbols:
                continue
            for difference in _differences(decision.expression):
                if _is_amount(difference, amount, decision, node.shape_env):
                    return node.shape_env.create_symintnode(difference, hint=amount)
        return amount


def _differences(condition: Any) -> Iterator[Any]:
    """What a condition compares: the difference of its sides, and each remainder in it."""
    import sympy
    from torch.utils._sympy.functions import Mod, PythonMod

    if len(condition.args) == 2 and isinstance(condition, sympy.core.relational.Relational):
        left, right = condition.args
        yield left - right
        yield right - left
    yield from condition.atoms(Mod, PythonMod)


def _is_amount(difference: Any, amount: int, decision: _Decision, env: Any) -> bool:
    """Whether it is the amount wherever the condition decides as it did, and 0 elsewhere."""
    if len(difference.free_symbols) != 1:
        return False
    (symbol,) = difference.free_symbols
    start = int(env.backed_var_to_val[symbol])
    for value in range(start, start + TRIED):
        at = {symbol: value}
        held = bool(decision.expression.xreplace(at)) == decision.held
        if int(difference.xreplace(at)) != (amount if held else 0):
            return False
    return True
