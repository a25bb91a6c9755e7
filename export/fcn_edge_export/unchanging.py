"""A network that is after each call what it was before.

Some networks change themselves while they run: Swin's layers of transformers keep the smaller window that a
small image made them take, and others keep the grid or the padding of the first image that they saw. What
such a network computes depends on what it was given before, so each of our calls starts from the network as
it was handed to us.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["Unchanging"]


class Unchanging(nn.Module):
    """Calls a network, and takes back what the call changed on its modules: attributes, caches, hooks.

    Args:
        net: the network.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        """What the network returns."""
        before = [
            (module, type(module), dict(vars(module)), _containers(module))
            for module in self.net.modules()
            if not isinstance(module, torch.jit.ScriptModule)
        ]
        try:
            return self.net(x)
        finally:
            for module, kind, attributes, containers in before:
                if type(module) is kind:  # a lazy layer that got its weights stays what it became
                    _restore(vars(module), attributes)
                    for container, content in containers:
                        _restore(container, content)


def _containers(module: nn.Module) -> list[tuple[dict[Any, Any], dict[Any, Any]]]:
    """The dictionaries of a module and what they hold: buffers, hooks, caches by size."""
    return [(value, dict(value)) for value in vars(module).values() if isinstance(value, dict)]


def _restore(container: dict[Any, Any], content: dict[Any, Any]) -> None:
    for key in [key for key in container if key not in content]:
        del container[key]
    for key, value in content.items():
        if key not in container or container[key] is not value:
            container[key] = value
