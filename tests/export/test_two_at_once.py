"""Networks may be exported by several threads of one process."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export.examples import example_size
from fcn_edge_export.probe import probe
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_export.trace import trace


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x):
        height, width = x.shape[-2:]
        size = (math.ceil(height * 1.0), width)
        return F.interpolate(self.body(x), size=size, mode="bilinear") * torch.tensor([float(height)])


def traced(_):
    net = Net().eval()
    sizes = probe(net, 3)
    network = LogitsNetwork.of(net, sizes)
    return trace(network, 3, sizes, example_size(network, 3, sizes)).model


def test_two_threads_trace_networks_and_leave_torch_as_it_was():
    before = torch.tensor, torch.as_tensor, math
    with ThreadPoolExecutor(2) as threads:
        assert all(len(model.graph.node) for model in threads.map(traced, range(2)))
    assert (torch.tensor, torch.as_tensor, globals()["math"]) == before
    assert "int" not in globals()
