"""`fcn_lite`: sizes, stride and cost."""

from __future__ import annotations

import pytest
import torch

import fcn_edge
from fcn_edge_runtime.errors import UsageError


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return fcn_edge.build("fcn_lite", num_classes=7).eval()


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (33, 47), (64, 96), (67, 45)])
def test_logits_have_the_size_of_the_image_at_odd_sizes_too(net, size):
    with torch.inference_mode():
        assert net(torch.randn(2, 3, *size)).shape == (2, 7, *size)


def test_logits_are_computed_at_one_eighth_of_the_image(net):
    seen = []
    hook = net.classifier.register_forward_hook(lambda *args: seen.append(args[2].shape))
    with torch.inference_mode():
        net(torch.randn(1, 3, 240, 320))
    hook.remove()
    assert seen == [(1, 7, 30, 40)]


def test_it_exports_with_symbolic_batch_height_and_width():
    net = fcn_edge.build("fcn_lite", num_classes=3, width=2).eval()
    dim = torch.export.Dim
    program = torch.export.export(
        net, (torch.randn(2, 3, 65, 97),), dynamic_shapes=({0: dim.AUTO, 2: dim.AUTO, 3: dim.AUTO},)
    )
    x = torch.randn(3, 3, 80, 50)
    with torch.inference_mode():
        assert torch.allclose(program.module()(x), net(x), atol=1e-5)


def test_it_fits_into_five_megabytes_even_as_float32(net):
    assert sum(v.numel() * v.element_size() for v in net.state_dict().values()) < 5_000_000


def test_channels_and_width_are_options():
    small = fcn_edge.build("fcn_lite", num_classes=2, in_channels=1, width=8).eval()
    assert small(torch.randn(1, 1, 16, 16)).shape == (1, 2, 16, 16)
    with pytest.raises(UsageError, match="width"):
        fcn_edge.build("fcn_lite", num_classes=2, width=0)
