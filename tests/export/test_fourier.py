"""Fourier transforms as matrix products are PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fcn_edge_export.fourier import fourier_decompositions

TRANSFORMS = {
    "rfft2": lambda x: torch.view_as_real(torch.fft.rfft2(x)),
    "rfft along rows, orthogonal": lambda x: torch.view_as_real(torch.fft.rfft(x, dim=2, norm="ortho")),
    "fftn and back": lambda x: torch.fft.ifftn(torch.fft.fftn(x, dim=(1, 2, 3)), dim=(1, 2, 3)).real,
    "irfft2 to an odd width": lambda x: torch.fft.irfft2(torch.complex(x, x.flip(3)), s=(6, 15)),
    "irfft2 to an even width": lambda x: torch.fft.irfft2(torch.complex(x, -x), s=(7, 12), norm="forward"),
}


class Transformed(nn.Module):
    def __init__(self, transform):
        super().__init__()
        self.transform = transform

    def forward(self, x):
        return self.transform(x)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_by_products_is_that_of_pytorch(name):
    net = Transformed(TRANSFORMS[name])
    x = torch.randn(2, 3, 7, 8)
    program = torch.export.export(net, (x,), strict=False)
    table = fourier_decompositions(program)
    assert table
    replaced = program.run_decompositions(table)
    assert not fourier_decompositions(replaced)
    torch.testing.assert_close(replaced.module()(x), net(x), atol=2e-5, rtol=2e-5)
