"""A network of several image inputs as a network of one, whose channels are theirs side by side.

RGB and depth of a camera reach the file as the channels of one image; the graph splits them again. The
network gets them by name where its `forward` has parameters of these names, as a dict where it has one
parameter, and in their order otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["SplitInputs"]


class SplitInputs(nn.Module):
    """The network for one image with the channels of all inputs.

    Args:
        net: the network.
        inputs: (name, channels) of each input, in the order of the image's channels.
    """

    def __init__(self, net: nn.Module, inputs: Sequence[tuple[str, int]]) -> None:
        super().__init__()
        self.net = net
        self.names = [name for name, _ in inputs]
        self.channels = [channels for _, channels in inputs]
        parameters = inspect.signature(net.forward).parameters.values()
        self.by_name = {p.name for p in parameters} >= set(self.names)
        needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        self.as_dict = len(needed) == 1 and needed[0].kind is not inspect.Parameter.VAR_POSITIONAL

    def forward(self, x: Tensor) -> Any:
        """What the network returns for an image [batch, channels of all inputs, height, width]."""
        parts = torch.split(x, self.channels, dim=1)
        named = dict(zip(self.names, parts, strict=True))
        if self.by_name:
            return self.net(**named)
        return self.net(named) if self.as_dict else self.net(*parts)
