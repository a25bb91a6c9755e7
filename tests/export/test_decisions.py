"""Networks that pad a map where it is smaller than another are right at every parity of the image's sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.export.test_idioms import exported, seeded, traced


class PadsToTheSkip(nn.Module):
    """Two levels of a U-Net whose maps are padded by one where the skip had an odd side, as MONAI's are."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(4, 4, 2, stride=2) for _ in range(2))
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips = []
        for down in self.downs:
            skips.append(x)
            x = down(F.max_pool2d(x, 2))
        for up in self.ups:
            x = self.fitted(up(x), skips.pop())
        return self.head(x)

    def fitted(self, x: Tensor, skip: Tensor) -> Tensor:
        pads = [0] * 4
        for axis in range(2):
            if skip.shape[-axis - 1] != x.shape[-axis - 1]:
                pads[axis * 2 + 1] = 1
        return F.pad(x, pads, "replicate") + skip


class PadsWhereLess(PadsToTheSkip):
    def fitted(self, x: Tensor, skip: Tensor) -> Tensor:
        if x.size(2) < skip.size(2):
            x = F.pad(x, (0, 0, 1, 0))
        return (x if x.size(3) == skip.size(3) else F.pad(x, (1, 0))) + skip


class PadsByRemainder(PadsToTheSkip):
    def fitted(self, x: Tensor, skip: Tensor) -> Tensor:
        height, width = skip.shape[-2:]
        if height % 2 == 1:
            x = F.pad(x, (0, 0, 0, 1), mode="reflect")
        if width % 2:
            x = F.pad(x, (0, 1, 0, 0), mode="reflect")
        return x + skip


class PadsAlways(nn.Module):
    """Padding by constants, behind a condition that has nothing to do with it."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] > 1, "too small"
        low = self.down(F.pad(x, (0, 1, 0, 1)))
        return F.interpolate(self.head(low), x.shape[-2:], mode="bilinear")


class Detached(nn.Module):
    """A shortcut of zero channels, made of `x.data`, as MONAI's ResNets are."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        zeros = torch.zeros(x.size(0), 2, *x.shape[2:])
        return self.head(torch.cat([x.data, zeros], dim=1))


@pytest.mark.parametrize(
    "build",
    [PadsToTheSkip, PadsWhereLess, PadsByRemainder, PadsAlways, Detached],
    ids=lambda build: build.__name__,
)
@pytest.mark.sampled(2)
def test_a_network_that_pads_odd_maps_is_right_at_every_parity(build):
    network, sizes, session = traced(seeded(build))
    assert sizes.multiple == 1
    for height in range(40, 44):
        for width in range(52, 56):
            x = torch.randn(1, 3, height, width)
            with torch.no_grad():
                expected = network(x).numpy()
            got = session.run(None, {"normalized": x.numpy()})[0]
            assert got.shape == expected.shape
            assert np.abs(got - expected).max() <= 2e-5 * np.abs(expected).max(), (height, width)


def test_a_file_that_pads_odd_maps_takes_any_size(tmp_path):
    result = exported(seeded(PadsToTheSkip), tmp_path)
    assert result.card.geometry.size_multiple == 1
    assert result.card.geometry.largest_size is None
