"""What tiles cannot be is refused before a map is made, whatever the card says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export import export
from fcn_edge_export.options import ExportOptions
from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.maps.exactness import require_exact
from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.model.card import Card, InputSpec


class ResizesInside(nn.Module):
    """Upsamples to the size of an earlier map, by a factor that depends on the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.classify = nn.Conv2d(8, 5, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def forward(self, x):
        half = torch.relu(self.first(x))
        quarter = torch.relu(self.second(half))
        same = F.interpolate(quarter, half.shape[-2:], mode="bilinear", align_corners=False)
        return F.interpolate(self.classify(half + same), x.shape[-2:], mode="bilinear", align_corners=False)


def test_a_network_that_resizes_inside_needs_even_sizes(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.onnx"
    export(
        ResizesInside().eval(), Card("net", (), InputSpec.unit()), path, options=ExportOptions(trained=False)
    )
    network = TileNetwork(path, "cpu", 1)
    require_exact(network, 1000, 1200)
    for size in ((1001, 1203), (1000, 1202)):
        with pytest.raises(InputError, match="expected multiples of 4"):
            require_exact(network, *size)
