"""The smallest FCN: two convolutions, for teaching and for fast tests."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["FCNTiny", "fcn_tiny"]


class FCNTiny(nn.Module):
    """image -> 3x3 convolution, ReLU -> 1x1 convolution -> logits. No downsampling."""

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, num_classes, 1)
        kaiming_(self)

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        logits: Tensor = self.conv2(F.relu(self.conv1(image)))
        return logits


def fcn_tiny(num_classes: int = 21, in_channels: int = 3, *, width: int = 64) -> FCNTiny:
    """Two layers, receptive field 3x3, stride 1.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        width: channels between the two layers.

    Raises:
        UsageError: an option is not an integer from 1 to 65535.
    """
    at_least_one(num_classes=num_classes, in_channels=in_channels, width=width)
    return FCNTiny(num_classes, in_channels, width)
