"""MediaPipe's selfie segmentation as a network: MobileNet v3 small, LR-ASPP, and a decoder of gated skips.

    image --stem--> 1/2 --1 block--> 1/4 --2 blocks--> 1/8 --5 blocks--> 1/16 --LR-ASPP--+
                     |                |                 |                                |
    logits <--2x2-- gated <--------- gated <--------- gated <----------------------------+

The architecture is that of the published graph (npm: @mediapipe/selfie_segmentation): MobileNet v3 (Howard
et al., arXiv 1905.02244) with a table of its own, batch norm folded into the convolutions. At stride 2 it
pads as TensorFlow's SAME does on even sides: one pixel more at the bottom and right than at the top and left.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.heads import resize_to
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["FCNPortrait", "fcn_portrait"]

_RE, _HS = nn.ReLU, nn.Hardswish


class FCNPortrait(nn.Module):
    """Features at strides 2, 4, 8 and 16; the coarsest are upsampled in steps, gating the finer ones."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        block = _InvertedResidual
        self.to_2 = nn.Sequential(_Same(in_channels, 16, 3, stride=2), _HS())
        self.to_4 = block(16, 16, 16, 3, _RE, squeezed=8, stride=2)
        self.to_8 = nn.Sequential(block(16, 72, 24, 3, _RE, stride=2), block(24, 88, 24, 3, _RE))
        self.to_16 = nn.Sequential(
            block(24, 96, 32, 5, _HS, squeezed=24, stride=2),
            block(32, 128, 32, 5, _HS, squeezed=32),
            block(32, 128, 32, 5, _HS, squeezed=32),
            block(32, 96, 32, 5, _HS, squeezed=24),
            block(32, 96, 32, 5, _HS, squeezed=24),
        )
        self.context = _Context(32, 128)
        self.from_16 = _GatedSkip(128, 24)
        self.from_8 = _GatedSkip(24, 16)
        self.from_4 = _GatedSkip(16, 16)
        self.classifier = nn.ConvTranspose2d(16, num_classes, 2, stride=2)
        kaiming_(self)

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        at_2 = self.to_2(image)
        at_4 = self.to_4(at_2)
        at_8 = self.to_8(at_4)
        x = self.context(self.to_16(at_8))
        x = self.from_16(x, at_8)
        x = self.from_8(x, at_4)
        x = self.from_4(x, at_2)
        logits: Tensor = self.classifier(x)
        return logits[..., : image.shape[-2], : image.shape[-1]]


class _Same(nn.Conv2d):
    """A convolution from n to ceil(n / stride) pixels, padded as SAME is where n is even."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        before = (kernel - stride) // 2
        self.border = (before, kernel - 1 - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.border))


class _Gate(nn.Sequential):
    """A weight from 0 to 1 for each channel, computed from the means of all channels."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )


class _InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel separately, weight the channels, project by 1x1."""

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        kernel: int,
        activation: type[nn.Module],
        *,
        squeezed: int = 0,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(inputs, expanded, 1), activation())
        self.filter = nn.Sequential(
            _Same(expanded, expanded, kernel, stride=stride, groups=expanded), activation()
        )
        self.gate = _Gate(expanded, squeezed) if squeezed else None
        self.project = nn.Conv2d(expanded, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = self.filter(self.expand(x))
        out: Tensor = self.project(wide if self.gate is None else wide * self.gate(wide))
        return out + x if self.shortcut else out


class _Context(nn.Module):
    """LR-ASPP: features, gated by the mean of the whole image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.features(x) * self.gate(x)
        return gated


class _GatedSkip(nn.Module):
    """Coarse features, upsampled, plus finer ones whose channels both together weight; then a filter."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1)
        self.gate = _Gate(fine, fine)
        self.mix = nn.Sequential(nn.Conv2d(fine, fine, 1), nn.ReLU())
        self.filter = nn.Sequential(_Same(fine, fine, 3, groups=fine), nn.ReLU())

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        x = self.narrow(resize_to(coarse, fine))
        x = self.mix(fine * self.gate(fine + x) + x)
        out: Tensor = x + self.filter(x)
        return out


def fcn_portrait(num_classes: int = 21, in_channels: int = 3) -> FCNPortrait:
    """MobileNet v3 small, LR-ASPP and gated skips, for people near the camera.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.

    Raises:
        UsageError: an option is not an integer from 1 to 65535.
    """
    at_least_one(num_classes=num_classes, in_channels=in_channels)
    return FCNPortrait(num_classes, in_channels)
