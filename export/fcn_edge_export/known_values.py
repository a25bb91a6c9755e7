"""Decisions by the values of weights and buffers: `if self.mask_probability[i] > 0:`, `int(self.steps)`.

The tracer knows the shapes of a network's own tensors, not their values, so it takes such a decision for one
by the image. Values that are computed from small tensors of the network alone are computed beside the
tracing, and are there when Python asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["KnownValues"]

MOST = 256  # numbers in a tensor that is followed
_ASKED = frozenset(
    {Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.item, Tensor.tolist}
)


class KnownValues:
    """The values of a network's small tensors, and of what is computed from them.

    Args:
        net: the network, before it is traced.
    """

    def __init__(self, net: nn.Module) -> None:
        holders: list[dict[str, Any]] = [
            holder
            for m in net.modules()
            for holder in (m._parameters, m._buffers, vars(m))  # noqa: SLF001 (the tracer puts its own tensors there)
        ]
        self._places = [
            (holder, name, tensor.detach().clone())  # what is done in place is done to the copy
            for holder in holders
            for name, tensor in holder.items()
            if isinstance(tensor, Tensor) and tensor.numel() <= MOST
        ]
        self._made: dict[
            int, tuple[Tensor, Tensor]
        ] = {}  # holds the traced tensor, so that its id stays its own

    def answer(self, func: Any, args: Any) -> Any:
        """What Python asks a tensor for; NotImplemented where it asks nothing, or its value is not known."""
        if func not in _ASKED or (value := self._value(args[0])) is None:
            return NotImplemented
        with _disable_current_modes():
            return func(value, *args[1:])

    def follow(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Compute the values of a result, if those of all tensors that it is computed from are known."""
        made = _parts(result)
        if not made or not all(map(_is_small, made)):
            return
        tensors = list(_tensors((args, kwargs)))
        values = {id(tensor): self._value(tensor) for tensor in tensors if _is_small(tensor)}
        if not tensors or len(values) < len({id(t) for t in tensors}) or None in values.values():
            return
        with _disable_current_modes(), torch.no_grad():
            try:
                found = _parts(func(*_replaced(args, values), **_replaced(kwargs, values)))
            except Exception:  # noqa: BLE001 (what fails on the values may do no harm to the tracing beside it)
                return
        if [part.shape for part in found] != [part.shape for part in made]:
            return  # such as the base of a weight that is a view, which its values are not
        self._made.update((id(tensor), (tensor, value)) for tensor, value in zip(made, found, strict=True))

    def _value(self, tensor: Tensor) -> Tensor | None:
        if id(tensor) in self._made:
            return self._made[id(tensor)][1]
        return next((value for holder, name, value in self._places if holder[name] is tensor), None)


def _parts(result: Any) -> tuple[Tensor, ...]:
    """A tensor, or all that a function split one into."""
    parts = result if isinstance(result, (tuple, list)) else (result,)
    return tuple(parts) if all(isinstance(part, Tensor) for part in parts) else ()


def _is_small(tensor: Tensor) -> bool:
    return all(isinstance(side, int) for side in tensor.shape) and tensor.numel() <= MOST


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, (tuple, list)):
        for entry in given:
            yield from _tensors(entry)
    elif isinstance(given, dict):
        yield from _tensors(tuple(given.values()))


def _replaced(given: Any, values: dict[int, Any]) -> Any:
    if isinstance(given, Tensor):
        return values[id(given)]
    if isinstance(given, (tuple, list)) and any(True for _ in _tensors(given)):
        return type(given)(_replaced(entry, values) for entry in given)
    if isinstance(given, dict):
        return {key: _replaced(entry, values) for key, entry in given.items()}
    return given
