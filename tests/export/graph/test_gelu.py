"""GELU as one operation of onnxruntime, with the same numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from fcn_edge_export.examples import example_size
from fcn_edge_export.graph.gelu import halve_gelu_last
from fcn_edge_export.lowering.optimized_graph import fused_graph
from fcn_edge_export.probe import probe
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_export.simplify import simplify
from fcn_edge_export.trace import trace


def test_onnxruntime_computes_gelu_as_one_operation():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.GELU(), nn.Conv2d(8, 4, 1)).eval()
    sizes = probe(net, 3)
    network = LogitsNetwork.of(net, sizes)
    model = simplify(trace(network, 3, sizes, example_size(network, 3, sizes)).model).model
    counts = Counter(node.op_type for node in fused_graph(model).node)
    assert counts["Gelu"] + counts["BiasGelu"] == 1
    assert counts["Erf"] == 0


def test_numbers_stay_the_same_to_the_last_bit():
    plain = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        gelu (float[n] x) => (float[n] y)
        <float root = {1.4142135}, float one = {1}, float half = {0.5}> {
            z = Div(x, root)
            e = Erf(z)
            above = Add(e, one)
            factor = Mul(half, above)
            y = Mul(x, factor)
        }
    """)
    changed = onnx.ModelProto()
    changed.CopyFrom(plain)
    halve_gelu_last(changed)
    assert [list(n.input) for n in changed.graph.node[3:]] == [["x", "above"], ["factor", "half"]]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = np.random.default_rng(0).normal(0, 3, 10_000).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(m.SerializeToString(), options).run(None, {"x": x})[0]
        for m in (plain, changed)
    )
    assert np.array_equal(before, after)
