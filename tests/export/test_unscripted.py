"""Scripted parts of a network are traced as the Python that they were made of."""

from __future__ import annotations

import io

import torch
from torch import nn

from fcn_edge_export.symbolic.numbers import function_behind
from fcn_edge_export.unscripted import unscripted
from tests.export import idioms


def test_scripted_parts_are_python_while_a_network_is_traced():
    net = idioms.HasScriptedParts().eval()
    x = torch.randn(1, 4, 9, 11)
    before = net.part
    with unscripted(net), torch.no_grad():
        assert type(net.part) is idioms.Resizer
        assert net.part.factor == 2
        assert net.part.conv.weight.data_ptr() == before.conv.weight.data_ptr()
        torch.testing.assert_close(net.part(x), before(x))
    assert net.part is before


def test_a_scripted_function_has_python_behind_it():
    x = torch.randn(5)
    torch.testing.assert_close(function_behind(idioms.gated)(x), idioms.gated(x))
    assert function_behind(len) is None


def test_what_was_loaded_scripted_stays_as_it_is():
    data = io.BytesIO()
    torch.jit.save(torch.jit.script(idioms.Resizer()), data)
    data.seek(0)
    net = nn.Sequential(torch.jit.load(data))
    with unscripted(net):
        assert isinstance(net[0], torch.jit.ScriptModule)
