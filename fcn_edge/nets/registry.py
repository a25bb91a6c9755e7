"""The networks by name. Names, import strings and numbers only: listing them loads no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from fcn_edge_runtime.errors import UsageError

__all__ = ["Entry", "entries", "find"]


@dataclass(frozen=True)
class Entry:
    """One network of the registry.

    Attributes:
        name: what the user types.
        target: `module:callable`, which returns the `nn.Module`.
        summary: one line.
        output_stride: input pixels per logit in each direction, before the last upsampling, by default.
        parameters: number of trainable parameters, at 21 classes and 3 channels.
        source: the paper.
    """

    name: str
    target: str
    summary: str
    output_stride: int
    parameters: int
    source: str


_FCN = "Long, Shelhamer, Darrell 2015, arXiv 1411.4038"
_RESNET = "He et al. 2015, arXiv 1512.03385"
_UNET = "Ronneberger, Fischer, Brox 2015, arXiv 1505.04597"
_MOBILENET = "Howard et al. 2019, arXiv 1905.02244"

_ENTRIES = tuple(
    Entry(name, f"fcn_edge.nets.zoo.{module}:{name}", summary, stride, parameters, source)
    for name, module, stride, parameters, source, summary in (
        ("fcn_tiny", "fcn_tiny", 1, 3_157, _FCN, "two layers, to teach and to test"),
        ("fcn_lite", "fcn_lite", 8, 829_109, _FCN, "a small residual network that trains in minutes"),
        ("fcn_unet", "fcn_unet", 1, 121_357, _UNET, "a small U-Net of convolutions, for fine details"),
        ("fcn_portrait", "portrait", 1, 107_701, _MOBILENET, "MediaPipe's selfie segmentation, for people"),
        ("fcn_resnet18", "fcn_resnet", 32, 11_769_301, _RESNET, "ResNet-18, as in jetson-inference"),
        ("fcn_resnet34", "fcn_resnet", 32, 21_877_461, _RESNET, "ResNet-34"),
        ("fcn_resnet50", "fcn_resnet", 8, 32_957_013, _RESNET, "dilated ResNet-50, as in torchvision"),
        ("fcn_resnet101", "fcn_resnet", 8, 51_949_141, _RESNET, "dilated ResNet-101, as in torchvision"),
        ("fcn32s_vgg16", "fcn_vgg16", 32, 136_152_917, _FCN, "VGG-16 in one step: the first FCN"),
        ("fcn16s_vgg16", "fcn_vgg16", 16, 134_815_994, _FCN, "VGG-16 with a skip from pool4"),
        ("fcn8s_vgg16", "fcn_vgg16", 8, 134_489_759, _FCN, "VGG-16 with skips from pool4 and pool3"),
        ("lraspp_mobilenet_v3_large", "lraspp", 8, 3_221_538, _MOBILENET, "MobileNet v3, LR-ASPP head"),
        ("fcn_mobilenet_v3_large", "fcn_mobilenet_v3", 16, 5_051_093, _MOBILENET, "MobileNet v3, FCN head"),
    )
)


def entries() -> tuple[Entry, ...]:
    """All networks, smallest family first."""
    return _ENTRIES


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        UsageError: no such network; the message names the closest ones.
    """
    by_name = {entry.name: entry for entry in _ENTRIES}
    if name in by_name:
        return by_name[name]
    close = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    known = f"the closest are {', '.join(close)}" if close else f"there are {', '.join(by_name)}"
    raise UsageError(f"there is no network {name!r}; {known}; your own: module:callable or file.py:callable")
