"""Initial weights that keep the signal's scale through depth, in eval mode too."""

from __future__ import annotations

import math

from torch import nn

__all__ = ["kaiming_"]


def kaiming_(net: nn.Module) -> None:
    """Draw every convolution of `net` from He et al.'s normal distribution (arXiv 1502.01852), fan-out mode.

    Biases become 0, batch norms the identity. Unlike torchvision, the fan of a grouped convolution counts one
    group only: dividing by all channels makes depthwise outputs vanish wherever batch norm does not rescale
    them, which is what an untrained network in eval mode is.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size) / module.groups
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
