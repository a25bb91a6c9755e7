"""Semantic segmentation in Hugging Face transformers: small configurations of each architecture."""

from __future__ import annotations

from benchmarks.networks.libraries import _torchvision  # noqa: F401 isort: skip (before what imports it)
from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import nn

__all__ = ["NETWORKS", "VERSIONS"]

VERSIONS = f"transformers {hf.__version__}"
CLASSES = 5
SMALL = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
PYRAMID = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}


def _lively(net: Any) -> Any:
    """The network with weights that keep the size of what passes: transformers' own give scores of 1e-30."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    return net


def _segformer(**options: Any) -> Any:
    small: dict[str, Any] = {
        "hidden_sizes": [8, 16, 24, 32],
        "decoder_hidden_size": 32,
        "depths": [1, 1, 1, 1],
    }
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(num_labels=CLASSES, **{**small, **options}))


def _beit(kind: str, **options: Any) -> Any:
    config, net = {
        "beit": (hf.BeitConfig, hf.BeitForSemanticSegmentation),
        "data2vec": (hf.Data2VecVisionConfig, hf.Data2VecVisionForSemanticSegmentation),
    }[kind]
    return net(config(num_labels=CLASSES, image_size=64, out_indices=[1, 2, 3, 4], **SMALL, **options))


def _dpt(**options: Any) -> Any:
    small: dict[str, Any] = {"image_size": 64, "fusion_hidden_size": 16, "neck_hidden_sizes": [8, 16, 24, 32]}
    small |= {"backbone_out_indices": [0, 1, 2, 3]}
    return hf.DPTForSemanticSegmentation(hf.DPTConfig(num_labels=CLASSES, **SMALL, **{**small, **options}))


def _upernet(backbone: Any, aux: int = 24) -> Any:
    config = hf.UperNetConfig(
        backbone_config=backbone, hidden_size=16, num_labels=CLASSES, auxiliary_in_channels=aux
    )
    return hf.UperNetForSemanticSegmentation(config)


def _convnext() -> Any:
    sizes = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    return _upernet(hf.ConvNextConfig(**sizes, **PYRAMID))


def _resnet() -> Any:
    sizes = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "embedding_size": 8}
    return _upernet(hf.ResNetConfig(layer_type="basic", **sizes, **PYRAMID))


def _swin(config: Any = hf.SwinConfig) -> Any:
    sizes = {"embed_dim": 8, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 2], "window_size": 7}
    if config is not hf.SwinConfig:
        sizes["window_size"] = 8
    return _upernet(config(image_size=64, **sizes, **PYRAMID), aux=32)


def _mobilevit() -> Any:
    sizes: dict[str, Any] = {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64]}
    sizes |= {"image_size": 64, "aspp_out_channels": 16, "num_attention_heads": 2}
    return _lively(hf.MobileViTForSemanticSegmentation(hf.MobileViTConfig(num_labels=CLASSES, **sizes)))


def _mobilevit_v2() -> Any:
    sizes: dict[str, Any] = {"width_multiplier": 0.5, "n_attn_blocks": [1, 1, 1], "aspp_out_channels": 16}
    return _lively(hf.MobileViTV2ForSemanticSegmentation(hf.MobileViTV2Config(num_labels=CLASSES, **sizes)))


def _pyramid() -> Any:
    small = {"image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2]}
    return hf.SwinConfig(**small, **PYRAMID)


def _maskformer() -> Any:
    decoder = hf.DetrConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=10
    )
    sizes = {"fpn_feature_size": 32, "mask_feature_size": 32, "num_labels": CLASSES}
    return hf.MaskFormerForInstanceSegmentation(
        hf.MaskFormerConfig(backbone_config=_pyramid(), decoder_config=decoder, **sizes)
    )


FORMER = {
    "hidden_dim": 32,
    "num_queries": 10,
    "encoder_layers": 1,
    "num_attention_heads": 2,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "num_labels": CLASSES,
}


def _mask2former() -> Any:
    config = hf.Mask2FormerConfig(
        backbone_config=_pyramid(), feature_size=32, mask_feature_size=32, decoder_layers=2, **FORMER
    )
    return hf.Mask2FormerForUniversalSegmentation(config)


class _Told(nn.Module):
    """OneFormer, told its task by tokens."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> Any:
        """Its output for images."""
        return self.net(x, task_inputs=torch.ones(1, 77, dtype=torch.long).expand(x.shape[0], -1))


def _oneformer() -> Any:
    text = {"text_encoder_width": 32, "text_encoder_num_layers": 1, "text_encoder_vocab_size": 99}
    config = hf.OneFormerConfig(
        backbone_config=_pyramid(),
        conv_dim=32,
        mask_dim=32,
        decoder_layers=3,
        is_training=False,
        **text,
        **FORMER,
    )
    return _Told(hf.OneFormerForUniversalSegmentation(config))


def _eomt() -> Any:
    small = {"image_size": 64, "patch_size": 16, "num_blocks": 2, "num_queries": 10, "num_upscale_blocks": 1}
    return hf.EomtForUniversalSegmentation(hf.EomtConfig(num_labels=CLASSES, **SMALL, **small))


def _eomt_dinov3() -> Any:
    small = {"image_size": 64, "patch_size": 16, "num_blocks": 2, "num_queries": 10, "num_upscale_blocks": 1}
    return hf.EomtDinov3ForUniversalSegmentation(hf.EomtDinov3Config(num_labels=CLASSES, **SMALL, **small))


def _detr() -> Any:
    sizes = {"hidden_sizes": [16, 16, 24, 32], "depths": [1, 1, 1, 1], "embedding_size": 16}
    config = hf.DetrConfig(
        backbone_config=hf.ResNetConfig(layer_type="basic", **sizes, **PYRAMID),
        d_model=128,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=10,
        num_labels=CLASSES,
    )
    return _lively(hf.DetrForSegmentation(config))


def _vitdet() -> Any:
    small: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    small |= {"image_size": 64, "window_size": 3, "window_block_indices": [0, 2]}
    small |= {"residual_block_indices": []}
    return _upernet(hf.VitDetConfig(**small, use_relative_position_embeddings=True, **PYRAMID), aux=32)


def _tips() -> Any:
    """Patches of 14 pixels, of 8 logits a side each."""
    backbone = {"model_type": "tipsv2_vision_model", "image_size": 56, "patch_size": 14, **SMALL}
    backbone |= {"out_indices": [1, 2, 3, 4], "apply_layernorm": True, "reshape_hidden_states": False}
    sizes: dict[str, Any] = {"neck_hidden_sizes": [8, 16, 24, 32], "fusion_hidden_size": 16}
    config = hf.Tipsv2DptConfig(num_labels=CLASSES, backbone_config=backbone, **sizes)
    return _lively(hf.Tipsv2DptForSemanticSegmentation(config))


NETWORKS: dict[str, Callable[[], Any]] = {
    "SegFormer": _segformer,
    "BEiT, no positions": lambda: _beit("beit"),
    "BEiT, relative positions": lambda: _beit("beit", use_relative_position_bias=True),
    "BEiT, shared relative positions": lambda: _beit("beit", use_shared_relative_position_bias=True),
    "Data2Vec vision": lambda: _beit("data2vec", use_relative_position_bias=True),
    "DPT": _dpt,
    "DPT, readout add": lambda: _dpt(readout_type="add"),
    "UperNet, ConvNeXt": _convnext,
    "UperNet, ResNet": _resnet,
    "UperNet, Swin": _swin,
    "UperNet, SwinV2": lambda: _swin(hf.Swinv2Config),
    "MobileViT": _mobilevit,
    "MobileViTV2": _mobilevit_v2,
    "MobileNetV2 with DeepLab": lambda: _lively(
        hf.MobileNetV2ForSemanticSegmentation(hf.MobileNetV2Config(num_labels=CLASSES, depth_multiplier=0.35))
    ),
    "MaskFormer": _maskformer,
    "Mask2Former": _mask2former,
    "OneFormer": _oneformer,
    "EoMT": _eomt,
    "EoMT, DINOv3": _eomt_dinov3,
    "DETR": _detr,
    "UperNet, ViTDet": _vitdet,
    "TIPSv2 with DPT": _tips,
}
