"""Residual FCNs as in torchvision: a ResNet backbone, one small head, bilinear upsampling.

Keys are torchvision's (`backbone.*`, `classifier.{0,1,4}.*`). The 18- and 34-layer networks are those of
jetson-inference (output stride 32). Source: Long, Shelhamer and Darrell, arXiv 1411.4038.
"""

from __future__ import annotations

from fcn_edge.nets.zoo.checks import at_least_one
from fcn_edge.nets.zoo.heads import BackboneFCN, fcn_head
from fcn_edge.nets.zoo.resnet import BasicBlock, Bottleneck, ResNet

__all__ = ["fcn_resnet18", "fcn_resnet34", "fcn_resnet50", "fcn_resnet101"]


def _fcn_resnet(
    block: type[BasicBlock | Bottleneck],
    depths: tuple[int, int, int, int],
    num_classes: int,
    in_channels: int,
    output_stride: int,
) -> BackboneFCN:
    at_least_one(num_classes=num_classes, in_channels=in_channels)
    backbone = ResNet(block, depths, in_channels, output_stride)
    return BackboneFCN(backbone, fcn_head(backbone.out_channels, num_classes))


def fcn_resnet18(num_classes: int = 21, in_channels: int = 3, *, output_stride: int = 32) -> BackboneFCN:
    """18 layers: jetson-inference's FCN-ResNet18.

    Args:
        num_classes: channels of the logits.
        in_channels: channels of the image.
        output_stride: 8, 16 or 32; the weights are the same for all three.

    Raises:
        UsageError: an option out of range.
    """
    return _fcn_resnet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels, output_stride)


def fcn_resnet34(num_classes: int = 21, in_channels: int = 3, *, output_stride: int = 32) -> BackboneFCN:
    """34 layers of the same blocks. Arguments and errors as `fcn_resnet18`."""
    return _fcn_resnet(BasicBlock, (3, 4, 6, 3), num_classes, in_channels, output_stride)


def fcn_resnet50(num_classes: int = 21, in_channels: int = 3, *, output_stride: int = 8) -> BackboneFCN:
    """50 layers, stride 8 by dilation: torchvision's network. Arguments and errors as `fcn_resnet18`."""
    return _fcn_resnet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, output_stride)


def fcn_resnet101(num_classes: int = 21, in_channels: int = 3, *, output_stride: int = 8) -> BackboneFCN:
    """101 layers, stride 8 by dilation: torchvision's network. Arguments and errors as `fcn_resnet18`."""
    return _fcn_resnet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels, output_stride)
