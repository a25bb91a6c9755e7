"""The network in PyTorch, for the engines that convert it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.comparison.contract import Materials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

__all__ = ["build", "calibration", "normalizer", "whole"]


def build(materials: Materials) -> nn.Module:
    """The network with its weights, in evaluation mode, float32 [1, 3, H, W] to logits [1, C, H, W]."""
    import torch

    import fcn_edge

    net = fcn_edge.build(materials.net, num_classes=materials.classes, **materials.options)
    net.load_state_dict(torch.load(materials.shared / "net.pth", weights_only=True))
    return net.eval()


def normalizer(materials: Materials) -> nn.Module:
    """Frame (H, W, 3) uint8 to [1, 3, H, W] float32 with one multiplication and one addition.

    The result is channels_last, which is the frame's memory layout.
    """
    import torch
    from torch import nn

    class Normalize(nn.Module):
        factor: Tensor
        offset: Tensor

        def __init__(self) -> None:
            super().__init__()
            mean, std = torch.tensor(materials.mean), torch.tensor(materials.std)
            self.register_buffer("factor", 1 / (255 * std))
            self.register_buffer("offset", -mean / std)

        def forward(self, frame: Tensor) -> Tensor:
            x = frame.to(torch.float32) * self.factor + self.offset
            return x.permute(2, 0, 1).unsqueeze(0)

    return Normalize()


def whole(materials: Materials, net: nn.Module) -> nn.Module:
    """Frame (H, W, 3) uint8 to labels (H, W) uint8 in one module."""
    import torch
    from torch import nn

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.normalize = normalizer(materials)
            self.net = net

        def forward(self, frame: Tensor) -> Tensor:
            # max's indices: equal to argmax, and several times faster in eager mode.
            indices: Tensor = self.net(self.normalize(frame)).max(1).indices
            return indices[0].to(torch.uint8)

    return Whole()


def calibration(materials: Materials) -> Iterator[Tensor]:
    """Calibration frames, normalized: [1, 3, H, W] float32 each."""
    import torch

    normalize = normalizer(materials)
    with torch.no_grad():
        for frame in materials.calibration():
            yield normalize(torch.from_numpy(frame))
