"""segmentation_models_pytorch, with encoders of its own and of timm."""

from __future__ import annotations

from benchmarks.networks.libraries import _torchvision  # noqa: F401 isort: skip (before what imports it)
from collections.abc import Callable
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
import timm
from torch import nn

__all__ = ["NETWORKS", "VERSIONS"]

VERSIONS = f"segmentation_models_pytorch {smp.__version__}, timm {timm.__version__}"


def _net(architecture: str, encoder: str, **options: Any) -> nn.Module:
    make = getattr(smp, architecture)
    net: nn.Module = make(encoder, encoder_weights=None, classes=5, **options)
    return net


def _named(architecture: str, encoder: str, **options: Any) -> tuple[str, Callable[[], nn.Module]]:
    chosen = "".join(f", {key} {value}" for key, value in options.items())
    return f"{architecture}, {encoder}{chosen}", partial(_net, architecture, encoder, **options)


def _group_normed() -> nn.Module:
    """Group norm in place of each batch norm, as for training with one image at a time."""
    net = _net("Unet", "resnet18")
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(8, child.num_features))
    return net


NETWORKS: dict[str, Callable[[], nn.Module]] = dict(
    [
        *(
            _named(name, "resnet18")
            for name in (
                "Unet",
                "UnetPlusPlus",
                "FPN",
                "Linknet",
                "PSPNet",
                "PAN",
                "DeepLabV3",
                "DeepLabV3Plus",
            )
        ),
        *(_named(name, "resnet18") for name in ("MAnet", "UPerNet")),
        *(
            _named("Unet", encoder)
            for encoder in (
                "mobilenet_v2",
                "efficientnet-b0",
                "timm-regnetx_002",
                "mit_b0",
                "mit_b1",
                "densenet121",
                "mobileone_s0",
                "tu-pvt_v2_b0",
                "tu-edgenext_xx_small",
                "tu-mobilevitv2_050",
                "tu-convnext_atto",
                "tu-mobilenetv3_small_050",
                "tu-ghostnet_100",
                "tu-hrnet_w18_small",
                "tu-efficientvit_b0",
                "tu-fastvit_t8",
                "tu-repvit_m0_9",
            )
        ),
        ("Unet, resnet18, group norm", _group_normed),
        _named("Unet", "tu-resnet18", decoder_attention_type="scse"),
        _named("FPN", "mit_b0"),
        _named("MAnet", "mit_b0"),
        _named("FPN", "tu-convnextv2_atto"),
        _named("DeepLabV3Plus", "tu-mobilenetv4_conv_small"),
        _named("Unet", "resnet18", decoder_use_norm="layernorm"),
        _named("Segformer", "mit_b0"),
        _named("UPerNet", "tu-swin_tiny_patch4_window7_224"),
        _named("UPerNet", "tu-swinv2_cr_tiny_224"),
        _named("UPerNet", "tu-convnext_atto"),
        _named("UPerNet", "tu-maxvit_rmlp_nano_rw_256"),
        _named("UPerNet", "tu-hiera_tiny_224"),
        _named("Unet", "tu-twins_svt_small"),
        _named("DPT", "tu-vit_tiny_patch16_224", dynamic_img_size=True),
        _named("DPT", "tu-vit_tiny_patch16_224"),
        _named("DPT", "tu-vit_small_patch14_dinov2"),
    ]
)
