"""A small U-shaped FCN of convolutions alone, for images whose finest details matter: scans, maps.

    image --block--> 1/1 --block--> 1/2 --block--> 1/4 --block--> 1/8
                      |              |              |              |
    logits <--1x1-- block <-------- block <-------- block <--------+

Ronneberger, Fischer, Brox, arXiv 1505.04597, with convolutions of stride 2 in place of the pooling, padding
in place of the cropping, and batch norm. Any size of image: what an odd side gains on the way up is cut off.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["FCNUNet", "fcn_unet"]


def _conv_bn(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU())


def _block(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv_bn(n_in, n_out, stride), _conv_bn(n_out, n_out))


class FCNUNet(nn.Module):
    """Features at strides 1, 2, 4, 8, twice the channels at each; then back, joined with the finer ones."""

    def __init__(self, num_classes: int, in_channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width << level for level in range(levels)]
        self.down = nn.ModuleList([_block(in_channels, width)])
        self.down.extend(_block(n, 2 * n, stride=2) for n in widths[:-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in widths[:-1])
        self.join = nn.ModuleList(_block(2 * n, n) for n in widths[:-1])
        self.classifier = nn.Conv2d(width, num_classes, 1)
        kaiming_(self)

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W], any H and W of 1 or more."""
        finer = []
        x = image
        for block in self.down:
            x = block(x)
            finer.append(x)
        finer.pop()
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            skip = finer.pop()
            x = join(torch.cat([skip, up(x)[..., : skip.shape[-2], : skip.shape[-1]]], dim=1))
        logits: Tensor = self.classifier(x)
        return logits


def fcn_unet(num_classes: int = 21, in_channels: int = 3, *, width: int = 8, levels: int = 4) -> FCNUNet:
    """A small U-Net, output stride 1: 0.12 million parameters at the default width.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        width: channels at the image's own size; twice as many at each halving.
        levels: sizes of the image, each half of the one before; fewer see less around a pixel.

    Raises:
        UsageError: an option is not an integer from 1 to 65535.
    """
    at_least_one(num_classes=num_classes, in_channels=in_channels, width=width, levels=levels)
    return FCNUNet(num_classes, in_channels, width, levels)
