"""What training leaves to do for networks with batch norms."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["settle_norms"]


def settle_norms(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Means and variances of the batch norms over images as they are, not over changed crops."""
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    net.train()
    with torch.no_grad():
        for batch in batches:
            net(batch)
