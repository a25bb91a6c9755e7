"""LR-ASPP, the light head for mobile networks (Howard et al., arXiv 1905.02244), with torchvision's keys."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.heads import resize_to
from fcn_edge.nets.zoo.initialize import kaiming_
from fcn_edge.nets.zoo.mobilenet_v3 import HIGH_CHANNELS, LOW_CHANNELS, MobileNetV3Large

__all__ = ["LRASPP", "lraspp_mobilenet_v3_large"]

_BETWEEN = 128


class LRASPPHead(nn.Module):
    """Coarse features, gated by the whole image's mean, are upsampled and classified with fine ones."""

    def __init__(self, low_channels: int, high_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, _BETWEEN, 1, bias=False),
            nn.BatchNorm2d(_BETWEEN),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(high_channels, _BETWEEN, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(_BETWEEN, num_classes, 1)
        kaiming_(self)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """[N, low_channels, h, w], [N, high_channels, h', w'] -> logits [N, num_classes, h, w]."""
        context = self.cbr(high) * self.scale(high)
        context = F.interpolate(context, size=low.shape[-2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.low_classifier(low) + self.high_classifier(context)
        return logits


class LRASPP(nn.Module):
    """MobileNet v3, the LR-ASPP head, upsampling from stride 8. The gate sees the whole image."""

    def __init__(self, num_classes: int, in_channels: int, output_stride: int) -> None:
        super().__init__()
        self.backbone = MobileNetV3Large(in_channels, output_stride)
        self.classifier = LRASPPHead(LOW_CHANNELS, HIGH_CHANNELS, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        low, high = self.backbone.low_and_high(image)
        return resize_to(self.classifier(low, high), image)


def lraspp_mobilenet_v3_large(
    num_classes: int = 21, in_channels: int = 3, *, output_stride: int = 16
) -> LRASPP:
    """MobileNet v3 large with the LR-ASPP head: torchvision's network of this name.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        output_stride: of the backbone's last features: 8, 16 or 32; logits are always at stride 8.

    Raises:
        UsageError: an option out of range.
    """
    at_least_one(num_classes=num_classes, in_channels=in_channels)
    return LRASPP(num_classes, in_channels, output_stride)
