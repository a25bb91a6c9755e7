"""What the networks put on top of a backbone: torchvision's FCN head, and upsampling to the image's size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["BackboneFCN", "fcn_head", "resize_to"]


def fcn_head(in_channels: int, num_classes: int) -> nn.Sequential:
    """Features [N, in_channels, h, w] -> logits [N, num_classes, h, w], through a quarter of the channels."""
    between = in_channels // 4
    head = nn.Sequential(
        nn.Conv2d(in_channels, between, 3, padding=1, bias=False),
        nn.BatchNorm2d(between),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(between, num_classes, 1),
    )
    kaiming_(head)
    return head


def resize_to(logits: Tensor, image: Tensor) -> Tensor:
    """Logits [N, C, h, w] -> [N, C, H, W] of the image: bilinear, half-pixel centers, as torchvision."""
    return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


class BackboneFCN(nn.Module):
    """Backbone, FCN head, upsampling: torchvision's FCN without auxiliary head; returns a tensor."""

    def __init__(self, backbone: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> logits [N, num_classes, H, W]."""
        features = self.backbone(image)
        logits = self.classifier(features)
        return resize_to(logits, image)
