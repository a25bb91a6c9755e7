"""MobileNet v3 large as a dense feature extractor (Howard et al., arXiv 1905.02244, table 1).

Keys are torchvision's. Below stride 32 the strided blocks of the last stages trade their stride for dilation,
from their own depthwise convolution on, as torchvision does at stride 16 (the paper's choice).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from fcn_edge.nets.zoo.checks import one_of
from fcn_edge.nets.zoo.initialize import kaiming_

__all__ = ["HIGH_CHANNELS", "LOW_CHANNELS", "MobileNetV3Large"]

LOW_CHANNELS = 40
HIGH_CHANNELS = 960
_LOW = 4  # the index of the first block at stride 8

_norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


@dataclass(frozen=True)
class _Row:
    """A line of table 1, and the dilation that replaces its stride."""

    kernel: int
    expanded: int
    outputs: int
    squeeze: bool
    activation: type[nn.Module]
    stride: int
    dilation: int = 1


_RE, _HS = nn.ReLU, nn.Hardswish
_TABLE = (
    _Row(3, 16, 16, False, _RE, 1),
    _Row(3, 64, 24, False, _RE, 2),
    _Row(3, 72, 24, False, _RE, 1),
    _Row(5, 72, 40, True, _RE, 2),
    _Row(5, 120, 40, True, _RE, 1),
    _Row(5, 120, 40, True, _RE, 1),
    _Row(3, 240, 80, False, _HS, 2),
    _Row(3, 200, 80, False, _HS, 1),
    _Row(3, 184, 80, False, _HS, 1),
    _Row(3, 184, 80, False, _HS, 1),
    _Row(3, 480, 112, True, _HS, 1),
    _Row(3, 672, 112, True, _HS, 1),
    _Row(5, 672, 160, True, _HS, 2),
    _Row(5, 960, 160, True, _HS, 1),
    _Row(5, 960, 160, True, _HS, 1),
)


class MobileNetV3Large(nn.Sequential):
    """Children `0` (stem) to `16` (the last 1x1 convolution): the `features` of torchvision's classifier.

    Args:
        in_channels: channels of the image.
        output_stride: 8, 16 or 32, of the last features.

    Raises:
        UsageError: another output stride.
    """

    def __init__(self, in_channels: int, output_stride: int) -> None:
        one_of("output_stride", output_stride, (8, 16, 32))
        stem = _conv_norm(in_channels, 16, 3, nn.Hardswish, stride=2)
        blocks: list[nn.Module] = []
        inputs = 16
        for row in _dilated(output_stride):
            blocks.append(_InvertedResidual(inputs, row))
            inputs = row.outputs
        super().__init__(stem, *blocks, _conv_norm(inputs, HIGH_CHANNELS, 1, nn.Hardswish))
        kaiming_(self)

    def low_and_high(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[N, in_channels, H, W] -> features [N, 40, H / 8, W / 8], [N, 960, H / output_stride, W / ...]."""
        x = low = image
        for index, layer in enumerate(self):
            x = layer(x)
            if index == _LOW:
                low = x
        return low, x


def _dilated(output_stride: int) -> list[_Row]:
    reached, dilation = 2, 1
    rows = []
    for row in _TABLE:
        stride = row.stride
        if reached * stride > output_stride:
            stride, dilation = 1, dilation * stride
        reached *= stride
        rows.append(replace(row, stride=stride, dilation=dilation))
    return rows


class _InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel separately, weight the channels, project by 1x1."""

    def __init__(self, inputs: int, row: _Row) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if row.expanded != inputs:
            layers.append(_conv_norm(inputs, row.expanded, 1, row.activation))
        layers.append(
            _conv_norm(
                row.expanded,
                row.expanded,
                row.kernel,
                row.activation,
                stride=row.stride,
                dilation=row.dilation,
                groups=row.expanded,
            )
        )
        if row.squeeze:
            layers.append(_SqueezeExcitation(row.expanded))
        layers.append(_conv_norm(row.expanded, row.outputs, 1, None))
        self.block = nn.Sequential(*layers)
        self.shortcut = row.stride == 1 and inputs == row.outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out + x if self.shortcut else out


class _SqueezeExcitation(nn.Module):
    """Each channel times a weight from 0 to 1, computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _multiple_of_8(channels // 4)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(weight)


def _multiple_of_8(channels: int) -> int:
    """The nearest multiple of 8, or the next one if the nearest is more than a tenth smaller."""
    nearest = max(8, (channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    activation: type[nn.Module] | None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    padding = (kernel - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        _norm(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)
