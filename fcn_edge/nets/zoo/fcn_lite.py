"""A small residual FCN for a robot's CPU: trains in minutes, runs in milliseconds.

Everything in it survives int8: plain convolutions, batch norm, ReLU and additions, no gates and no smooth
activations. After three strided steps it stays at one eighth of the image and widens its receptive field by
dilation instead (Yu and Koltun, arXiv 1511.07122), in bottlenecks (He et al., arXiv 1512.03385), where the
3x3 convolution sees half of the channels. The dilations grow and start again, so that no pixel is always
skipped (Wang et al., arXiv 1702.08502).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.heads import resize_to
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["FCNLite", "fcn_lite"]

DILATIONS = (1, 2, 4, 8, 1, 2, 4, 8, 1, 1)


def _conv_bn(n_in: int, n_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(n_out),
    )


class Down(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, beside a strided 1x1 shortcut."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn(n_in, n_out, 3, stride=2)
        self.conv2 = _conv_bn(n_out, n_out, 3)
        self.shortcut = _conv_bn(n_in, n_out, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[N, n_in, h, w] -> [N, n_out, ceil(h / 2), ceil(w / 2)]."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class Context(nn.Module):
    """1x1 to half of the channels, dilated 3x3, 1x1 back, added to the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = _conv_bn(channels, half, 1)
        self.conv = _conv_bn(half, half, 3, dilation=dilation)
        self.expand = _conv_bn(half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, h, w] -> the same shape."""
        return F.relu(self.expand(F.relu(self.conv(F.relu(self.reduce(x))))) + x)


class FCNLite(nn.Module):
    """Stem -> two halvings -> dilated bottlenecks at one eighth -> 1x1 classifier -> upsampling."""

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.stem = _conv_bn(in_channels, width, 3, stride=2)
        self.down1 = Down(width, 2 * width)
        self.down2 = Down(2 * width, 4 * width)
        blocks = [Context(4 * width, dilation) for dilation in DILATIONS]
        self.context = nn.Sequential(*blocks)
        self.classifier = nn.Conv2d(4 * width, num_classes, 1)
        kaiming_(self)
        for block in blocks:  # each block starts as the identity, so that a deep stack learns from the start
            nn.init.zeros_(block.expand.get_parameter("1.weight"))

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W], any H and W of 1 or more."""
        features = self.down2(self.down1(F.relu(self.stem(image))))
        logits = self.classifier(self.context(features))
        return resize_to(logits, image)


def fcn_lite(num_classes: int = 21, in_channels: int = 3, *, width: int = 32) -> FCNLite:
    """A small residual network, output stride 8: 0.9 million parameters at the default width.

    A 320x240 frame costs 1.2 billion multiplications, a twelfth of FCN-ResNet18 at the same stride.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        width: channels of the stem; the body has four times as many.

    Raises:
        UsageError: an option is not an integer from 1 to 65535.
    """
    at_least_one(num_classes=num_classes, in_channels=in_channels, width=width)
    return FCNLite(num_classes, in_channels, width)
