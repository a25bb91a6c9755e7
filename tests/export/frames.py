"""Images with edges and gradients, made of waves."""

from __future__ import annotations

import numpy as np


def picture(height, width, channels, dtype, seed=0):
    """Sums of waves, different in each channel: (height, width, channels), over the whole range of dtype."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [
        np.sin(y / (3 + 2 * c) + seed) + np.cos(x / (4 + c)) + np.sign(np.sin((x + y + seed) / 9))
        for c in range(channels)
    ]
    share = (np.stack(waves, axis=-1) + 3) / 6
    if dtype == "float32":
        return share.astype(np.float32)
    return (share * np.iinfo(dtype).max).astype(dtype)
