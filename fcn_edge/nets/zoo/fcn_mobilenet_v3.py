"""The FCN head on MobileNet v3 large: torchvision's parts, assembled as in its other FCNs."""

from __future__ import annotations

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.heads import BackboneFCN, fcn_head
from fcn_edge.nets.zoo.mobilenet_v3 import HIGH_CHANNELS, MobileNetV3Large

__all__ = ["fcn_mobilenet_v3_large"]


def fcn_mobilenet_v3_large(
    num_classes: int = 21, in_channels: int = 3, *, output_stride: int = 16
) -> BackboneFCN:
    """MobileNet v3 large, FCN head, bilinear upsampling (Howard et al., arXiv 1905.02244).

    Keys are `backbone.{0..16}.*` and `classifier.{0,1,4}.*`.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        output_stride: 8, 16 or 32; the weights are the same for all three.

    Raises:
        UsageError: an option out of range.
    """
    at_least_one(num_classes=num_classes, in_channels=in_channels)
    backbone = MobileNetV3Large(in_channels, output_stride)
    return BackboneFCN(backbone, fcn_head(HIGH_CHANNELS, num_classes))
