"""Residual networks as dense feature extractors (He et al., arXiv 1512.03385), with torchvision's keys.

Below stride 32 the last stages trade their stride for dilation (the "hole algorithm", Yu and Koltun,
arXiv 1511.07122): the same weights see the same field, computed on a finer grid. On the coarse grid's own
positions the finer network computes exactly what the coarse one does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from fcn_edge.nets.zoo.checks import one_of
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


@dataclass(frozen=True)
class Grid:
    """Where a block reads and writes.

    Attributes:
        stride: of the block, 1 or 2.
        dilation_in: of a 3x3 convolution that reads the grid coming in.
        dilation: of a 3x3 convolution that reads the grid going out.
    """

    stride: int
    dilation_in: int
    dilation: int


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (ResNet-18 and -34).

    The first convolution carries the stride, so in a dilated stage it still reads the grid of the stage
    before (`dilation_in`); the second reads the grid that the stride would have left (`dilation`).
    torchvision has no dilated BasicBlock; without dilation this is its block.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, inputs: int, width: int, grid: Grid, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, grid.stride, grid.dilation_in)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(width, width, 1, grid.dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that scales the branch before it meets the shortcut."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] -> [N, width, h / stride, w / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        out: Tensor = self.relu(branch + shortcut)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (ResNet-50 and -101); the stride is on the 3x3.

    Its only 3x3 is the strided one, so the first block of a dilated stage keeps the dilation of the stage
    before, as in torchvision.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, inputs: int, width: int, grid: Grid, downsample: nn.Module | None) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _conv1x1(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, grid.stride, grid.dilation_in)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv1x1(width, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that scales the branch before it meets the shortcut."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] -> [N, 4 width, h / stride, w / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        branch = self.relu(self.bn1(self.conv1(x)))
        branch = self.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        out: Tensor = self.relu(branch + shortcut)
        return out


class ResNet(nn.Module):
    """conv1, a max pool and four stages: image -> features at 1 / output_stride of its size.

    Args:
        block: the kind of residual block.
        depths: blocks in each of the four stages.
        in_channels: channels of the image.
        output_stride: 8, 16 or 32; below 32, the last two or one stages are dilated.

    Raises:
        UsageError: another output stride.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: tuple[int, int, int, int],
        in_channels: int,
        output_stride: int,
    ) -> None:
        super().__init__()
        one_of("output_stride", output_stride, (8, 16, 32))
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        reached, dilation, channels = 4, 1, 64
        stages: list[nn.Sequential] = []
        for number, depth in enumerate(depths):
            width = 64 << number
            stride, dilation_in = (1 if number == 0 else 2), dilation
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            stages.append(_stage(block, depth, channels, width, Grid(stride, dilation_in, dilation)))
            channels = width * block.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.out_channels = channels
        _initialize(self, sum(depths))

    def forward(self, image: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / output_stride), ceil(W / output_stride)]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features


def _stage(
    block: type[BasicBlock | Bottleneck], depth: int, inputs: int, width: int, grid: Grid
) -> nn.Sequential:
    outputs = width * block.expansion
    downsample = None
    if grid.stride != 1 or inputs != outputs:
        downsample = nn.Sequential(_conv1x1(inputs, outputs, grid.stride), nn.BatchNorm2d(outputs))
    first = block(inputs, width, grid, downsample)
    inside = Grid(1, grid.dilation, grid.dilation)
    return nn.Sequential(first, *(block(outputs, width, inside, None) for _ in range(depth - 1)))


def _initialize(net: ResNet, blocks: int) -> None:
    kaiming_(net)
    # Every block adds its branch to the shortcut, so an untrained ResNet-101 in eval mode would grow its
    # signal by 2^16. Branches of 1/sqrt(blocks) keep the sum near 1 (De and Smith, arXiv 2002.10444).
    for module in net.modules():
        if isinstance(module, BasicBlock | Bottleneck):
            nn.init.constant_(module.last_norm.weight, 1.0 / math.sqrt(blocks))
