"""Networks of multiples are traced as such: what is whole at every multiple is no condition."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export.examples import example_size
from fcn_edge_export.probe import probe
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_export.trace import trace

SIZES = ((1, 32, 48), (2, 96, 64), (1, 200, 136))


class Halved(nn.Module):
    """Takes multiples of 8, and asks at each halving whether there is a remainder."""

    def __init__(self):
        super().__init__()
        self.downs = nn.ModuleList(nn.Conv2d(n, 4, 3, stride=2, padding=1) for n in (3, 4, 4))
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        size = x.shape[-2:]
        if size[0] % 8 or size[1] % 8:
            raise ValueError("expected multiples of 8")
        for down in self.downs:
            if x.shape[2] % 2 or x.shape[3] % 2:
                x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
            x = down(x)
        return F.interpolate(self.head(self.inside(x)), size, mode="bilinear")

    def inside(self, f):
        return f


class Windowed(Halved):
    """Counts its windows in two ways, as Swin networks of MONAI do."""

    def inside(self, f):
        batch, channels, height, width = f.shape
        f = F.pad(f, (0, (3 - width % 3) % 3, 0, (3 - height % 3) % 3))
        rows, columns = int(np.ceil(height / 3)), int(np.ceil(width / 3))
        parts = f.view(batch, channels, f.shape[2] // 3, 3, f.shape[3] // 3, 3)
        parts = parts.permute(0, 2, 4, 3, 5, 1).reshape(-1, 9, channels)
        number = torch.arange(rows * columns).view(1, -1, 1, 1) % 5
        parts = parts.view(parts.shape[0] // (rows * columns), rows * columns, 9, channels) + number
        parts = parts.view(batch, rows, columns, 3, 3, channels).permute(0, 5, 1, 3, 2, 4)
        return parts.reshape(batch, channels, rows * 3, columns * 3)[..., :height, :width]


def traced(build):
    torch.manual_seed(0)
    net = build().eval()
    sizes = probe(net, 3)
    assert sizes.multiple == 8
    network = LogitsNetwork.of(net, sizes)
    return network, trace(network, 3, sizes, example_size(network, 3, sizes))


@pytest.mark.parametrize("build", [Halved, Windowed])
def test_a_network_of_multiples_is_right_at_each(build):
    network, found = traced(build)
    session = onnxruntime.InferenceSession(found.model.SerializeToString())
    for batch, height, width in SIZES:
        x = torch.randn(batch, 3, height, width)
        with torch.inference_mode():
            expected = network(x).numpy()
        got = session.run(None, {"normalized": x.numpy()})[0]
        assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


def test_halving_a_multiple_is_no_condition():
    assert not [condition for condition in traced(Halved)[1].conditions if condition.where]


def test_windows_counted_in_two_ways_are_the_same_number():
    assert not [condition for condition in traced(Windowed)[1].conditions if "ceil" in condition.text]
