"""Networks of several images: one image holds all of their channels, and the file splits them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fcn_edge_export import ExportOptions, export, verify
from fcn_edge_export.options import parse_inputs
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, InputSpec


class RgbAndDepth(nn.Module):
    def __init__(self):
        super().__init__()
        self.color = nn.Conv2d(3, 4, 3, padding=1)
        self.far = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, rgb, depth):
        return self.color(rgb) - self.far(depth)


class Positional(RgbAndDepth):
    def forward(self, image, other, scale=1.0):
        return super().forward(image, other) * scale


class OfADict(RgbAndDepth):
    def forward(self, batch):
        return {"logits": super().forward(batch["rgb"], batch["depth"])}


@pytest.mark.parametrize("build", [RgbAndDepth, Positional, OfADict], ids=lambda build: build.__name__)
@pytest.mark.sampled(1)
def test_the_channels_of_several_inputs_are_one_image(tmp_path, build):
    torch.manual_seed(0)
    net = build().eval()
    card = Card("net", (), InputSpec.unit(4))
    options = ExportOptions(inputs=(("rgb", 3), ("depth", 1)), trained=False)
    result = export(net, card, tmp_path / "net.onnx", options=options)
    assert result.card.net.inputs == "rgb:3,depth:1"
    image = np.random.default_rng(0).integers(0, 256, (61, 83, 4), np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad(), Segmenter(result.path) as segmenter:
        expected = RgbAndDepth.forward(net, x[:, :3], x[:, 3:]).argmax(1)[0].numpy()
        assert (segmenter(image).labels == expected).mean() > 0.999
    assert verify(result.path, net).verdicts[0].passed


def test_inputs_that_do_not_fit_the_image_are_refused(tmp_path):
    options = ExportOptions(inputs=(("rgb", 3), ("depth", 2)))
    with pytest.raises(UsageError, match="5 channels together, and the card's image has 3"):
        export(RgbAndDepth(), Card("net", ()), tmp_path / "net.onnx", options=options)


@pytest.mark.parametrize("text", ["rgb", "rgb:0", "rgb:x", "a:1,a:2", ":3", "rgb:3,,", "rgb:99999"])
def test_inputs_of_another_form_are_refused(text):
    with pytest.raises(UsageError, match="expected"):
        parse_inputs(text)
