"""The first FCNs: VGG-16 made convolutional (Long, Shelhamer and Darrell, arXiv 1411.4038).

Keys and numerics are pytorch-fcn's, so its converted Caffe weights load as they are. They were trained on BGR
images from 0 to 255 minus a mean; that belongs on the model's card, not here.

    image -> conv1 .. conv5, each with a pool -> fc6 -> fc7 -> score_fr -> 2x (+ pool4) -> 2x (+ pool3) -> 8x

The first convolution pads by 100, so that fc6's 7x7 window fits at any image size. Everything after it lies
on a larger plane, and the crops 5, 9 and 19/27/31 are where the image is on that plane.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["FCN8s", "FCN16s", "FCN32s", "fcn8s_vgg16", "fcn16s_vgg16", "fcn32s_vgg16"]

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of conv1 .. conv5
_PADDING = 100


class _VGG16(nn.Module):
    """VGG-16 up to its class logits: `pool` runs one stage, `score` everything after the fifth."""

    def __init__(self, num_classes: int, in_channels: int, fc_channels: int) -> None:
        super().__init__()
        at_least_one(num_classes=num_classes, in_channels=in_channels, fc_channels=fc_channels)
        inputs = in_channels
        for stage, (width, depth) in enumerate(_STAGES, 1):
            for layer in range(1, depth + 1):
                padding = _PADDING if stage == layer == 1 else 1
                self.add_module(f"conv{stage}_{layer}", nn.Conv2d(inputs, width, 3, padding=padding))
                inputs = width
        self.fc6 = nn.Conv2d(inputs, fc_channels, 7)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.score_fr = nn.Conv2d(fc_channels, num_classes, 1)
        self.drop = nn.Dropout()

    def pool(self, stage: int, x: Tensor) -> Tensor:
        """Stage 1 to 5: its convolutions, then a pool that rounds up, as Caffe's does."""
        for layer in range(1, _STAGES[stage - 1][1] + 1):
            x = F.relu(self.get_submodule(f"conv{stage}_{layer}")(x))
        return F.max_pool2d(x, 2, ceil_mode=True)

    def score(self, pool5: Tensor) -> Tensor:
        """[N, 512, h, w] -> class logits [N, num_classes, h - 6, w - 6]."""
        x = self.drop(F.relu(self.fc6(pool5)))
        x = self.drop(F.relu(self.fc7(x)))
        logits: Tensor = self.score_fr(x)
        return logits

    def initialize(self) -> None:
        """He's weights for the convolutions, bilinear interpolation for the upsampling layers.

        The paper starts score layers at 0, on top of trained features. Here they are drawn like the others,
        so that an untrained network's labels differ between pixels.
        """
        kaiming_(self)
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                with torch.no_grad():
                    module.weight.copy_(_bilinear(module))


class FCN32s(_VGG16):
    """Logits at 1/32 of the image, upsampled in one step."""

    def __init__(self, num_classes: int, in_channels: int, fc_channels: int) -> None:
        super().__init__(num_classes, in_channels, fc_channels)
        self.upscore = _upsample(num_classes, 32)
        self.initialize()

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        x = image
        for stage in (1, 2, 3, 4, 5):
            x = self.pool(stage, x)
        return _crop(self.upscore(self.score(x)), 19, image)


class FCN16s(_VGG16):
    """Logits at 1/32, added to logits of pool4 at 1/16."""

    def __init__(self, num_classes: int, in_channels: int, fc_channels: int) -> None:
        super().__init__(num_classes, in_channels, fc_channels)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.upscore2 = _upsample(num_classes, 2)
        self.upscore16 = _upsample(num_classes, 16)
        self.initialize()

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        pool4 = self.pool(4, self.pool(3, self.pool(2, self.pool(1, image))))
        coarse = self.upscore2(self.score(self.pool(5, pool4)))
        joined = coarse + _crop(self.score_pool4(pool4), 5, coarse)
        return _crop(self.upscore16(joined), 27, image)


class FCN8s(_VGG16):
    """Logits at 1/32, added to logits of pool4 at 1/16 and of pool3 at 1/8."""

    def __init__(self, num_classes: int, in_channels: int, fc_channels: int, *, at_once: bool) -> None:
        super().__init__(num_classes, in_channels, fc_channels)
        self.score_pool3 = nn.Conv2d(256, num_classes, 1)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.upscore2 = _upsample(num_classes, 2)
        self.upscore_pool4 = _upsample(num_classes, 2)
        self.upscore8 = _upsample(num_classes, 8)
        # Trained in one go rather than stage by stage, the skips are scaled down to balance the gradients.
        self.scale_pool3, self.scale_pool4 = (0.0001, 0.01) if at_once else (1.0, 1.0)
        self.initialize()

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        pool3 = self.pool(3, self.pool(2, self.pool(1, image)))
        pool4 = self.pool(4, pool3)
        coarse = self.upscore2(self.score(self.pool(5, pool4)))
        middle = coarse + _crop(self.score_pool4(_scaled(pool4, self.scale_pool4)), 5, coarse)
        middle = self.upscore_pool4(middle)
        fine = middle + _crop(self.score_pool3(_scaled(pool3, self.scale_pool3)), 9, middle)
        return _crop(self.upscore8(fine), 31, image)


def _scaled(x: Tensor, factor: float) -> Tensor:
    # The usual factor 1 must not add a node to the graph.
    return x if factor == 1.0 else x * factor


def _upsample(num_classes: int, factor: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(num_classes, num_classes, 2 * factor, stride=factor, bias=False)


def _bilinear(layer: nn.ConvTranspose2d) -> Tensor:
    """Weights [C, C, k, k] with which an even kernel k at stride k / 2 interpolates each class separately."""
    size = layer.kernel_size[0]
    factor = size // 2
    ramp = 1 - (torch.arange(size) - (factor - 0.5)).abs() / factor
    return torch.eye(layer.in_channels)[:, :, None, None] * torch.outer(ramp, ramp)


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return x[:, :, offset : offset + height, offset : offset + width]


def fcn32s_vgg16(num_classes: int = 21, in_channels: int = 3, *, fc_channels: int = 4096) -> FCN32s:
    """FCN-32s on VGG-16.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        fc_channels: of fc6 and fc7; the paper's 4096 make 120 of the network's 136 million parameters.

    Raises:
        UsageError: an option is not an integer from 1 to 65535.
    """
    return FCN32s(num_classes, in_channels, fc_channels)


def fcn16s_vgg16(num_classes: int = 21, in_channels: int = 3, *, fc_channels: int = 4096) -> FCN16s:
    """FCN-16s on VGG-16. Arguments and errors as `fcn32s_vgg16`."""
    return FCN16s(num_classes, in_channels, fc_channels)


def fcn8s_vgg16(
    num_classes: int = 21, in_channels: int = 3, *, fc_channels: int = 4096, at_once: bool = False
) -> FCN8s:
    """FCN-8s on VGG-16. Arguments and errors as `fcn32s_vgg16`.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        fc_channels: of fc6 and fc7.
        at_once: for weights that were trained in one go (`fcn8s-atonce`): their skips are scaled.
    """
    return FCN8s(num_classes, in_channels, fc_channels, at_once=at_once)
