"""Vision transformers whose positions are resized as the original DINO and DINOv2 do, under several heads.

Both return the table as it is at exactly its own size, and elsewhere resize it with an offset of a tenth of a
patch, which is not the same in the limit.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 8


class Dino(nn.Module):
    """As vision_transformer.py of facebookresearch/dino has it; `w` is the height."""

    def __init__(self, image: int = 64, patch: int = 16) -> None:
        super().__init__()
        self.patch_size = patch
        self.patch_embed = nn.Conv2d(3, WIDTH, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, WIDTH))
        self.mix = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        batch, _, w, h = x.shape
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token.expand(batch, -1, -1), tokens), dim=1)
        tokens = tokens + self.interpolate_pos_encoding(tokens, w, h)
        tokens = self.mix(tokens)
        tokens = (tokens[:, 1:] + tokens[:, :1]).transpose(1, 2)
        return tokens.reshape(batch, -1, w // self.patch_size, h // self.patch_size)

    def interpolate_pos_encoding(self, x: Tensor, w: Any, h: Any) -> Tensor:
        npatch = x.shape[1] - 1
        n = self.pos_embed.shape[1] - 1
        if npatch == n and w == h:
            return self.pos_embed
        class_pos_embed = self.pos_embed[:, 0]
        patch_pos_embed = self.pos_embed[:, 1:]
        dim = x.shape[-1]
        w0 = w // self.patch_size
        h0 = h // self.patch_size
        w0, h0 = w0 + 0.1, h0 + 0.1
        patch_pos_embed = nn.functional.interpolate(
            patch_pos_embed.reshape(1, int(math.sqrt(n)), int(math.sqrt(n)), dim).permute(0, 3, 1, 2),
            scale_factor=(w0 / math.sqrt(n), h0 / math.sqrt(n)),
            mode="bicubic",
        )
        assert int(w0) == patch_pos_embed.shape[-2]
        assert int(h0) == patch_pos_embed.shape[-1]
        patch_pos_embed = patch_pos_embed.permute(0, 2, 3, 1).view(1, -1, dim)
        return torch.cat((class_pos_embed.unsqueeze(0), patch_pos_embed), dim=1)


class DinoV2(Dino):
    """As that of facebookresearch/dinov2."""

    interpolate_offset = 0.1
    interpolate_antialias = True

    def interpolate_pos_encoding(self, x: Tensor, w: Any, h: Any) -> Tensor:
        previous_dtype = x.dtype
        npatch = x.shape[1] - 1
        n = self.pos_embed.shape[1] - 1
        if npatch == n and w == h:
            return self.pos_embed
        pos_embed = self.pos_embed.float()
        class_pos_embed = pos_embed[:, 0]
        patch_pos_embed = pos_embed[:, 1:]
        dim = x.shape[-1]
        w0 = w // self.patch_size
        h0 = h // self.patch_size
        m = int(math.sqrt(n))
        kwargs: dict[str, Any] = {}
        if self.interpolate_offset:
            sx = float(w0 + self.interpolate_offset) / m
            sy = float(h0 + self.interpolate_offset) / m
            kwargs["scale_factor"] = (sx, sy)
        else:
            kwargs["size"] = (w0, h0)
        patch_pos_embed = nn.functional.interpolate(
            patch_pos_embed.reshape(1, m, m, dim).permute(0, 3, 1, 2),
            mode="bicubic",
            antialias=self.interpolate_antialias,
            **kwargs,
        )
        assert (w0, h0) == patch_pos_embed.shape[-2:]
        patch_pos_embed = patch_pos_embed.permute(0, 2, 3, 1).view(1, -1, dim)
        return torch.cat((class_pos_embed.unsqueeze(0), patch_pos_embed), dim=1).to(previous_dtype)


class LinearHead(nn.Module):
    """Logits of each patch, resized."""

    def __init__(self, backbone: Dino) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(WIDTH, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.scores(self.backbone(x))
        return F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)

    def scores(self, features: Tensor) -> Tensor:
        return self.head(features)


class PaddedHead(LinearHead):
    """Pads around the image to whole patches, as dinov2's CenterPadding."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for side in x.shape[:1:-1]:
            missing = math.ceil(side / self.backbone.patch_size) * self.backbone.patch_size - side
            pads += [missing // 2, missing - missing // 2]
        logits = self.scores(self.backbone(F.pad(x, pads)))
        return F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)


class GrowingHead(LinearHead):
    """Two transposed convolutions, as SETR-like decoders."""

    def __init__(self, backbone: Dino) -> None:
        super().__init__(backbone)
        self.up = nn.Sequential(nn.ConvTranspose2d(4, 4, 2, 2), nn.GELU(), nn.ConvTranspose2d(4, 4, 2, 2))

    def scores(self, features: Tensor) -> Tensor:
        return self.up(self.head(features))
