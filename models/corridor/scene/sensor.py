"""The effects of a real camera: shading in corners, exposure, blur, noise, JPEG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def occlusion(
    image: NDArray[np.floating], depth: NDArray[np.floating], strength: float
) -> NDArray[np.floating]:
    """Darkens creases and the ground under things, which a rasterizer leaves bright.

    Depth-buffer unsharp masking (Luft, Colditz and Deussen, 2006): points behind their surroundings are
    darkened.
    """
    near = np.minimum(depth, 30.0)
    shade = np.zeros_like(near)
    for sigma in (3.0, 10.0):
        smooth = ndimage.gaussian_filter(near, sigma)
        shade += np.clip((near - smooth) / (0.04 * near + 0.04 * sigma * 0.2), 0, 1.0)
    shaded: NDArray[np.floating] = image * (1.0 - strength * 0.5 * shade)[..., None]
    return shaded


def expose(rng: np.random.Generator, image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Exposure, white balance, contrast curve, vignette and glare; values in 0..1."""
    height, width = image.shape[:2]
    target = rng.uniform(0.42, 0.56)  # an automatic exposure aims at a mean, and misses a little
    gain = np.clip(target / max(float(image.mean()), 0.02), 0.5, 2.2) * rng.lognormal(0, 0.08)
    balance = np.exp(rng.normal(0, 0.03, 3))
    out = image * (gain * balance)
    bright = np.clip(out - 0.9, 0, 2)
    if rng.uniform() < 0.6:
        out = out + rng.uniform(0.1, 0.5) * ndimage.gaussian_filter(bright, (height / 40, width / 50, 0))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    out = out * (1 - rng.uniform(0, 0.3) * (x**2 + y**2) / 2)[..., None]
    veil = rng.uniform(0, 0.04)
    curve = rng.uniform(0.88, 1.18)
    shoulder = np.where(out > 0.8, 0.8 + 0.2 * np.tanh((out - 0.8) / 0.2), out)
    result: NDArray[np.floating] = np.clip(veil + (1 - veil) * np.clip(shoulder, 0, 1) ** curve, 0, 1).astype(
        np.float32
    )
    return result


def blur(rng: np.random.Generator, image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Motion blur along a line in a quarter of frames, and slight lens blur."""
    out: NDArray[np.floating] = ndimage.gaussian_filter(image, (s := abs(rng.normal(0, 0.4)), s, 0))
    if rng.uniform() < 0.15:
        length, angle = (
            rng.uniform(1, 4),
            rng.uniform(0, np.pi) if rng.uniform() < 0.4 else rng.normal(0, 0.2),
        )
        steps = max(2, round(length))
        total = np.zeros_like(out)
        for k in np.linspace(-0.5, 0.5, steps):
            move = (k * length * np.sin(angle), k * length * np.cos(angle), 0)
            total += ndimage.shift(out, move, order=1, mode="nearest")
        out = total / steps
    return out


def noise(rng: np.random.Generator, image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Photon and read noise, some of it smeared over neighbors as demosaicing does."""
    shot, read = rng.uniform(0.0, 0.018), rng.uniform(0.0, 0.009)
    grain = rng.standard_normal(image.shape).astype(np.float32)
    if rng.uniform() < 0.5:
        grain = ndimage.gaussian_filter(grain, (0.6, 0.6, 0)) * 2.0
    noisy: NDArray[np.floating] = image + grain * np.sqrt(shot**2 * image + read**2).astype(np.float32)
    return noisy


def compress(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """JPEG, as most robot cameras deliver, in 60 % of frames."""
    if rng.uniform() < 0.4:
        return image
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(45, 96)))
    return np.asarray(Image.open(buffer))


def sense(
    rng: np.random.Generator, image: NDArray[np.uint8], depth: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """From the rendered image, `(H, W, 3) uint8`, and depth in meters to the image of a camera."""
    picture: NDArray[np.floating] = image.astype(np.float32) / 255
    picture = occlusion(picture, depth, rng.uniform(0.1, 0.45))
    picture = noise(rng, blur(rng, expose(rng, picture)))
    return compress(rng, (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
