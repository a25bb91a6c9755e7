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
        output_stride: input pixels per score, each way, before the last upsampling (the default option).
        parameters: trainable numbers, at 21 classes and 3 channels.
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
_MOBILENET = "Howard et al. 2019, arXiv 1905.02244"

_ENTRIES = (
    Entry("fcn_tiny", "fcn_edge.nets.fcn_tiny:fcn_tiny", "two layers, to teach and to test", 1, 3_157, _FCN),
    Entry(
        "fcn_lite",
        "fcn_edge.nets.fcn_lite:fcn_lite",
        "a small residual network that trains in minutes",
        8,
        0,
        _FCN,
    ),
    Entry(
        "fcn_resnet18",
        "fcn_edge.nets.fcn_resnet:fcn_resnet18",
        "ResNet-18, jetson-inference's network",
        32,
        0,
        _RESNET,
    ),
    Entry("fcn_resnet34", "fcn_edge.nets.fcn_resnet:fcn_resnet34", "ResNet-34", 32, 0, _RESNET),
    Entry(
        "fcn_resnet50",
        "fcn_edge.nets.fcn_resnet:fcn_resnet50",
        "ResNet-50 with dilation, torchvision's",
        8,
        32_957_013,
        _RESNET,
    ),
    Entry(
        "fcn_resnet101",
        "fcn_edge.nets.fcn_resnet:fcn_resnet101",
        "ResNet-101 with dilation, torchvision's",
        8,
        51_949_141,
        _RESNET,
    ),
    Entry(
        "fcn32s_vgg16",
        "fcn_edge.nets.fcn_vgg16:fcn32s_vgg16",
        "VGG-16, one step up (the first FCN)",
        32,
        0,
        _FCN,
    ),
    Entry(
        "fcn16s_vgg16", "fcn_edge.nets.fcn_vgg16:fcn16s_vgg16", "VGG-16 with a skip from pool4", 16, 0, _FCN
    ),
    Entry(
        "fcn8s_vgg16",
        "fcn_edge.nets.fcn_vgg16:fcn8s_vgg16",
        "VGG-16 with skips from pool4 and pool3",
        8,
        0,
        _FCN,
    ),
    Entry(
        "lraspp_mobilenet_v3_large",
        "fcn_edge.nets.lraspp:lraspp_mobilenet_v3_large",
        "MobileNet v3 with the light LR-ASPP head",
        8,
        3_221_538,
        _MOBILENET,
    ),
    Entry(
        "fcn_mobilenet_v3_large",
        "fcn_edge.nets.fcn_mobilenet_v3:fcn_mobilenet_v3_large",
        "MobileNet v3 with the FCN head",
        16,
        0,
        _MOBILENET,
    ),
)


def entries() -> tuple[Entry, ...]:
    """All networks, smallest family first."""
    return _ENTRIES


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        UsageError: there is none; names the closest ones.
    """
    by_name = {entry.name: entry for entry in _ENTRIES}
    if name in by_name:
        return by_name[name]
    close = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"expected {', '.join(by_name)},"
    raise UsageError(
        f"no network is called {name!r}: {hint} or your own as module:callable or file.py:callable"
    )
