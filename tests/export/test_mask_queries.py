"""Networks that classify masks: their queries become scores, as transformers' processors combine them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fcn_edge_export.examples import example_size
from fcn_edge_export.probe import probe
from fcn_edge_export.reference import LogitsNetwork, prepared
from fcn_edge_export.simplify import simplify
from fcn_edge_export.trace import trace


class MaskFormerOutput(SimpleNamespace):
    """Masks at a quarter of the size."""


class Mask2FormerOutput(SimpleNamespace):
    """Its processor resizes masks to 384 x 384 first."""


class EomtOutput(SimpleNamespace):
    """Its processor resizes masks to the image first."""


class DetrOutput(SimpleNamespace):
    """DETR of transformers, by names of its own."""

    def __init__(self, class_queries_logits, masks_queries_logits):
        super().__init__(logits=class_queries_logits, pred_masks=masks_queries_logits)


class Repository(dict):
    """The repositories of MaskFormer and Mask2Former, which resize masks to the image first."""

    def __init__(self, class_queries_logits, masks_queries_logits):
        super().__init__(pred_logits=class_queries_logits, pred_masks=masks_queries_logits)


OUTPUTS = (MaskFormerOutput, Mask2FormerOutput, EomtOutput, DetrOutput, Repository)


class Queries(nn.Module):
    """Six queries, which look at the map by attention, each with a mask and one of four classes or none."""

    def __init__(self, output):
        super().__init__()
        self.body = nn.Conv2d(3, 16, 4, stride=4)
        self.queries = nn.Parameter(torch.randn(6, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.classes = nn.Linear(16, 5)
        self.output = output

    def forward(self, x):
        pixels = self.body(x)
        queries = self.queries.expand(len(x), -1, -1)
        seen, _ = self.attention(queries, *2 * [pixels.flatten(2).transpose(1, 2)])
        queries = queries + seen
        masks = torch.einsum("bqc,bchw->bqhw", queries, pixels)
        return self.output(class_queries_logits=3 * self.classes(queries), masks_queries_logits=masks)


def resized(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def queries_of(output):
    """Logits of classes, and of masks."""
    found = output if isinstance(output, dict) else vars(output)
    classes = ("class_queries_logits", "logits", "pred_logits")
    masks = ("masks_queries_logits", "pred_masks")
    return tuple(next(found[name] for name in names if name in found) for names in (classes, masks))


def post_processed(output, size):
    """The formulas of transformers' post_process_semantic_segmentation, and of semantic_inference."""
    classes, masks = queries_of(output)
    if isinstance(output, Mask2FormerOutput):
        masks = resized(masks, (384, 384))
    if isinstance(output, (EomtOutput, Repository)):
        masks = resized(masks, size)
    classes = classes.softmax(dim=-1)[..., :-1]
    return resized(torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid()), size)


def seeded(output):
    torch.manual_seed(0)
    return Queries(output).eval()


@pytest.mark.parametrize("output", OUTPUTS)
def test_scores_are_those_of_the_post_processing(output):
    net, x = seeded(output), torch.rand(2, 3, 60, 84)
    with torch.no_grad():
        assert torch.equal(prepared(net)(x), post_processed(net(x), (60, 84)))


@pytest.fixture(scope="module", params=[MaskFormerOutput, Mask2FormerOutput, EomtOutput])
def queries(request):
    """The network and its graph."""
    net = seeded(request.param)
    wrapped = prepared(net)
    sizes = probe(wrapped, 3)
    network = LogitsNetwork.of(wrapped, sizes)
    return net, sizes, trace(network, 3, sizes, example_size(network, 3, sizes)).model


@pytest.mark.slow
def test_queries_are_combined_in_the_graph_at_any_size(queries):
    net, sizes, model = queries
    assert sizes.classes == 4
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for batch, height, width in ((1, 64, 96), (2, 132, 96)):
        x = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = post_processed(net(x), (height, width)).numpy()
        got = session.run(None, {"normalized": x.numpy()})[0]
        assert np.abs(got - expected).max() < 1e-5


@pytest.mark.slow
def test_attention_is_simplified_to_operators_of_onnx_alone(queries):
    assert {node.domain for node in simplify(queries[2]).model.graph.node} == {""}
