"""Whole quotients of sizes are rounded down, also below 0."""

from __future__ import annotations

import operator

import torch
from torch import nn

from fcn_edge_export.floor_division import round_down


class Shifted(nn.Module):
    def forward(self, x):
        less = x.shape[2] - x.shape[3]
        return x[:, :1, :1, :1] * (less // 2) + x.shape[2] // 2


def test_a_quotient_that_may_be_negative_is_made_exact():
    axis = torch.export.Dim.DYNAMIC
    example = torch.ones(1, 1, 6, 9)
    program = torch.export.export(
        Shifted(), (example,), dynamic_shapes={"x": {2: axis, 3: axis}}, strict=False
    )
    round_down(program)
    targets = [node.target for node in program.graph.nodes]
    assert targets.count(operator.mod) == 1  # x.shape[2] // 2 is never negative
    assert targets.count(operator.floordiv) == 2
    for sides in ((6, 9), (9, 6), (7, 8), (8, 8)):
        x = torch.ones(1, 1, *sides)
        assert program.module()(x).item() == Shifted()(x).item()
