"""Batches for training: random crops of random scale, mirrored, with other colors, blurred and noisy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def batch(
    rng: np.random.Generator,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    crop: tuple[int, int],
    scales: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Frames `(N, H, W, 3)` and `(N, H, W)` -> `[N, 3, h, w]` in 0..1 and `[N, h, w]` int64.

    `crop` is `(h, w)`; frames are reduced or enlarged by a factor between `scales` first.
    """
    pictures, truths = zip(
        *(_crop(rng, image, label, crop, scales) for image, label in zip(images, labels, strict=True)),
        strict=True,
    )
    return _recolor(rng, torch.stack(pictures)), torch.stack(truths)


def _crop(
    rng: np.random.Generator,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
    crop: tuple[int, int],
    scales: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    full_h, full_w = label.shape
    scale = np.exp(rng.uniform(*np.log(scales)))
    aspect = np.exp(rng.uniform(-0.1, 0.1))
    h = min(full_h, round(crop[0] / scale * aspect))
    w = min(full_w, round(crop[1] / scale / aspect))
    y, x = int(rng.integers(full_h - h + 1)), int(rng.integers(full_w - w + 1))
    picture = torch.from_numpy(image[y : y + h, x : x + w].copy()).permute(2, 0, 1)[None].float() / 255
    truth = torch.from_numpy(label[y : y + h, x : x + w].copy())[None, None].float()
    picture = F.interpolate(picture, size=crop, mode="bilinear", align_corners=False)[0]
    truth = F.interpolate(truth, size=crop, mode="nearest-exact")[0, 0].long()
    if rng.uniform() < 0.5:
        picture, truth = picture.flip(-1), truth.flip(-1)
    return picture, truth


def _recolor(rng: np.random.Generator, x: Tensor) -> Tensor:
    """Gain, white balance, saturation, contrast, gamma, blur and noise, drawn separately for every image."""
    n = len(x)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, channels, 1, 1)).astype(np.float32))

    x = x * torch.exp(draw(-0.15, 0.15)) * torch.exp(draw(-0.06, 0.06, 3))
    gray = x.mean(1, keepdim=True)
    colorless = torch.from_numpy((rng.uniform(size=(n, 1, 1, 1)) < 0.03).astype(np.float32))
    x = gray + (x - gray) * draw(0.7, 1.2) * (1 - colorless)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * draw(0.85, 1.2)).clamp(0, 1) ** torch.exp(draw(-0.15, 0.15))
    for k in np.flatnonzero(rng.uniform(size=n) < 0.08):
        x[k] = F.avg_pool2d(x[k], 3, 1, 1, count_include_pad=False)
    strength = draw(0.0, 0.03) * torch.from_numpy((rng.uniform(size=(n, 1, 1, 1)) < 0.25).astype(np.float32))
    seed = int(rng.integers(2**31))
    grain = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + strength * grain).clamp(0, 1)
