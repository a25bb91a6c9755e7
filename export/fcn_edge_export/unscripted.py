"""Scripted modules of a network as the Python that they were made of, while the network is traced.

The tracer cannot look into `torch.jit.script`: sizes inside of it are numbers. A scripted module keeps the
functions that it was compiled from, and with them the class. One that was loaded from a file keeps nothing,
and stays as it is. The reference runs what the user gave.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

__all__ = ["unscripted"]


@contextlib.contextmanager
def unscripted(net: nn.Module) -> Iterator[None]:
    """The scripted modules inside of a network are Python while this is active."""
    changed: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in [m for m in net.modules() if not isinstance(m, torch.jit.ScriptModule)]:
        for name, child in parent.named_children():
            python = _python_of(child) if isinstance(child, torch.jit.ScriptModule) else None
            if python is not None:
                changed.append((parent, name, child))
                parent._modules[name] = python  # noqa: SLF001 (setattr asks for the scripted type)
    try:
        yield
    finally:
        for parent, name, child in changed:
            parent._modules[name] = child  # noqa: SLF001 (as above)


def _python_of(scripted: torch.jit.ScriptModule) -> nn.Module | None:
    """A module of the class that was scripted, with the same weights; None if the class is not known."""
    kind = _class_of(scripted)
    if kind is None:
        return None
    made: nn.Module = kind.__new__(kind)
    nn.Module.__init__(made)
    concrete: Any = getattr(scripted, "_concrete_type", None)
    if concrete is None:
        return None
    for name, value in concrete.get_constants().items():
        setattr(made, name, value)
    for name in concrete.get_attributes():
        value = getattr(scripted, name)
        if isinstance(value, nn.Parameter):
            made.register_parameter(name, value)
        elif isinstance(value, torch.Tensor):
            made.register_buffer(name, value)
        else:
            setattr(made, name, value)
    for name, child in scripted.named_children():
        python = _python_of(child) if isinstance(child, torch.jit.ScriptModule) else child
        if python is None:
            return None
        made.add_module(name, python)
    return made.train(scripted.training)


def _class_of(scripted: torch.jit.ScriptModule) -> type[nn.Module] | None:
    function = getattr(getattr(scripted, "forward", None), "__wrapped__", None)
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for part in getattr(function, "__qualname__", "").split(".")[:-1]:
        found = getattr(found, part, None)
    # A class that inherits its forward is not the one that the function names.
    same = isinstance(found, type) and found.__name__ == getattr(scripted, "original_name", None)
    return found if same and issubclass(found, nn.Module) else None
