"""Means over a whole map keep float32's digits, also behind the simplifier, which merges means of means."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import nn

from fcn_edge_export.examples import example_size
from fcn_edge_export.probe import probe
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_export.simplify import simplify
from fcn_edge_export.trace import trace


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(3, 3)
        self.head = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        x = self.norm(x)
        squeezed = x.mean((2, 3))[:, :, None, None] + x.mean(dim=(1, 2, 3))[:, None, None, None] + x.mean()
        return self.head(x + x.mean((2, 3), keepdim=True) + squeezed)


def test_means_are_split_behind_the_simplifier():
    torch.manual_seed(0)
    net = Normed().eval()
    sizes = probe(net, 3)
    network = LogitsNetwork.of(net, sizes)
    model = simplify(trace(network, 3, sizes, example_size(network, 3, sizes)).model).model
    axes = {i.name: i.dims[0] for i in model.graph.initializer if i.dims}
    means = [node for node in model.graph.node if node.op_type == "ReduceMean"]
    assert len(means) >= 15
    assert all(axes[node.input[1]] == 1 for node in means)
    read = {name for node in model.graph.node for name in node.input}
    assert {i.name for i in model.graph.initializer} <= read  # the runtime refuses others
    x = torch.rand(1, 3, 1440, 2560) + 3
    with torch.inference_mode():
        expected = net.double()(x.double()).numpy()
    got = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"normalized": x.numpy()})[0]
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()
