"""MONAI's two-dimensional networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import monai
import numpy as np
from monai.networks import nets
from torch import nn

__all__ = ["NETWORKS", "VERSIONS"]

VERSIONS = f"monai {monai.__version__}"
D2: dict[str, Any] = {"spatial_dims": 2, "in_channels": 3, "out_channels": 5}
THIN = (8, 8, 16, 16, 32, 8)


def _dints() -> nn.Module:
    """Every path of a small search space."""
    codes = [np.ones((3, 7)), np.ones((3, 7))]
    space = nets.TopologyInstance(spatial_dims=2, num_blocks=3, num_depths=3, device="cpu", arch_code=codes)
    net: nn.Module = nets.DiNTS(space, in_channels=3, num_classes=5, spatial_dims=2, use_downsample=True)
    return net


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "UNet": lambda: nets.UNet(**D2, channels=(8, 16, 32), strides=(2, 2), num_res_units=1),
    "BasicUNet": lambda: nets.BasicUNet(**D2, features=THIN),
    "BasicUNet++": lambda: nets.BasicUNetPlusPlus(**D2, features=THIN),
    "AttentionUnet": lambda: nets.AttentionUnet(**D2, channels=(8, 16, 32), strides=(2, 2)),
    "DynUNet": lambda: nets.DynUNet(
        **D2, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[8, 16, 32]
    ),
    "SegResNet": lambda: nets.SegResNet(**D2, init_filters=8),
    "SegResNetDS": lambda: nets.SegResNetDS(**D2, init_filters=8),
    "UNETR": lambda: nets.UNETR(**D2, img_size=64, feature_size=8, hidden_size=48, mlp_dim=96, num_heads=4),
    "SwinUNETR": lambda: nets.SwinUNETR(**D2, feature_size=12),
    "FlexibleUNet": lambda: nets.FlexibleUNet(
        3, 5, "resnet18", spatial_dims=2, decoder_channels=(64, 32, 16, 8, 8)
    ),
    "HighResNet": lambda: nets.HighResNet(**D2),
    # Its first layer copies the image's channels to 16, of which 3 is no divisor.
    "VNet": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 1), nets.VNet(spatial_dims=2, in_channels=4, out_channels=5)
    ),
    "AHNet": lambda: nets.AHNet(**D2, psp_block_num=2),
    "RegUNet": lambda: nets.RegUNet(**D2, num_channel_initial=8, depth=2),
    "DiNTS": _dints,
    "MedNeXt": lambda: nets.MedNeXt(spatial_dims=2, in_channels=3, out_channels=5, init_filters=8),
}
