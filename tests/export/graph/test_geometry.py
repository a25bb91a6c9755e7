"""Stride, receptive field and the whole-image flag: against hand-computed values, and against gradients."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fcn_edge_export.examples import example_size
from fcn_edge_export.graph.geometry import geometry
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_export.sizes import Sizes
from fcn_edge_export.trace import trace


def network(*nodes, constants=(), channels=1, classes=1):
    """An ONNX network `normalized` -> `logits` of these nodes: (operator, inputs, output, attributes)."""
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output], **attributes) for op, inputs, output, attributes in nodes],
        "tiny",
        [helper.make_tensor_value_info("normalized", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes, "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def found(*nodes, constants=(), smallest=1, multiple=1):
    result = geometry(network(*nodes, constants=constants), smallest=smallest, multiple=multiple)
    return result.stride, result.receptive_field, result.sees_whole_image


def conv(source, target, kernel, stride=1, dilation=1, weight=None):
    attributes = {
        "kernel_shape": [kernel] * 2,
        "strides": [stride] * 2,
        "dilations": [dilation] * 2,
        "pads": [(kernel - 1) * dilation // 2] * 4,
    }
    return ("Conv", [source, weight or f"w{kernel}"], target, attributes)


W = {f"w{k}": np.ones((1, 1, k, k), np.float32) for k in (1, 3, 5, 7)}
WEIGHTS = tuple(W.items())


def scaled(source, target, factor, mode="linear", **attributes):
    return ("Resize", [source, "", f"x{factor}"], target, {"mode": mode, **attributes})


FACTORS = tuple((f"x{f}", np.array([1, 1, f, f], np.float32)) for f in (0.5, 2, 4, 8))
CONSTANTS = (*WEIGHTS, *FACTORS)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([conv("normalized", "logits", 1)], (1, 1, False)),
        ([conv("normalized", "logits", 3)], (1, 3, False)),
        ([conv("normalized", "a", 3), conv("a", "logits", 3)], (1, 5, False)),
        ([conv("normalized", "logits", 3, dilation=4)], (1, 9, False)),
        # 7x7 at stride 2, then 3x3: 7 + 2 * 2
        ([conv("normalized", "a", 7, 2), conv("a", "b", 3), scaled("b", "logits", 2)], (2, 13, False)),
        # two strides of 2: 3 + 2 * 2 = 7, and two neighbors at step 4 for the interpolation
        ([conv("normalized", "a", 3, 2), conv("a", "b", 3, 2), scaled("b", "logits", 4)], (4, 11, False)),
        ([conv("normalized", "a", 3, 2), scaled("a", "logits", 2, "nearest")], (2, 3, False)),
        ([conv("normalized", "a", 3, 2), scaled("a", "logits", 2, "cubic")], (2, 9, False)),
        # halved by interpolation: 2 pixels, then 3x3 at step 2, then back
        ([scaled("normalized", "a", 0.5), conv("a", "b", 3), scaled("b", "logits", 2)], (2, 8, False)),
        ([scaled("normalized", "a", 0.5, antialias=1), scaled("a", "logits", 2)], (2, 5, False)),
    ],
)
def test_chains_of_layers(nodes, expected):
    assert found(*nodes, constants=CONSTANTS) == expected


def test_where_paths_meet_the_larger_field_and_stride_count():
    nodes = [
        conv("normalized", "near", 3),
        conv("normalized", "a", 3, 2),
        conv("a", "b", 5),
        scaled("b", "far", 2, "nearest"),
        ("Add", ["near", "far"], "logits", {}),
    ]
    assert found(*nodes, constants=CONSTANTS) == (2, 11, False)


def test_pooling_counts_like_a_convolution():
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [("MaxPool", ["normalized"], "a", pool), scaled("a", "logits", 2, "nearest")]
    assert found(*nodes, constants=CONSTANTS) == (2, 2, False)


def test_a_transposed_convolution_reads_few_neighbors():
    attributes = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    weight = ("w4", np.ones((1, 1, 4, 4), np.float32))
    nodes = [conv("normalized", "a", 3, 2), ("ConvTranspose", ["a", "w4"], "logits", attributes)]
    assert found(*nodes, constants=(*WEIGHTS, weight)) == (2, 5, False)


def test_pixels_moved_into_channels_and_back_count_as_a_stride():
    nodes = [
        ("SpaceToDepth", ["normalized"], "a", {"blocksize": 4}),
        ("Conv", ["a", "w16"], "b", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("DepthToSpace", ["b"], "logits", {"blocksize": 4}),
    ]
    constants = [("w16", np.ones((16, 16, 3, 3), np.float32))]
    assert found(*nodes, constants=constants) == (4, 12, False)


def test_every_second_pixel_taken_by_a_slice_counts_as_a_stride():
    ends = np.array([2**31 - 1] * 2)
    constants = [("start", np.zeros(2, np.int64)), ("end", ends), ("axes", np.array([2, 3]))]
    nodes = [
        ("Slice", ["normalized", "start", "end", "axes", "two"], "a", {}),
        conv("a", "b", 3),
        scaled("b", "logits", 2, "nearest"),
    ]
    assert found(*nodes, constants=[*CONSTANTS, *constants, ("two", np.array([2, 2]))]) == (2, 5, False)


@pytest.mark.parametrize(
    "node",
    [
        ("GlobalAveragePool", ["normalized"], "a", {}),
        ("ReduceMean", ["normalized", "axes"], "a", {"keepdims": 1}),
        ("InstanceNormalization", ["normalized", "one", "one"], "a", {}),
    ],
)
def test_layers_that_average_the_image_see_the_whole_of_it(node):
    constants = [("axes", np.array([2, 3])), ("one", np.ones(1, np.float32))]
    assert found(node, ("Add", ["a", "normalized"], "logits", {}), constants=constants) == (1, 1, True)


def test_sizes_alone_carry_no_pixels():
    nodes = [
        conv("normalized", "a", 3, 2),
        ("Shape", ["normalized"], "size", {}),
        ("Resize", ["a", "", "", "size"], "logits", {"mode": "nearest"}),
    ]
    assert found(*nodes, constants=WEIGHTS) == (2, 3, False)


def test_large_multiples_are_not_measured_on_a_huge_image():
    nodes = [conv("normalized", "a", 3, 2), scaled("a", "logits", 2)]
    assert found(*nodes, constants=CONSTANTS, smallest=1, multiple=896) == (2, 5, False)


def test_a_graph_that_does_not_run_is_left_to_the_verdict():
    fixed = ("Reshape", ["a", "shape"], "logits", {})
    constants = [*CONSTANTS, ("shape", np.array([1, 1, 33, 35]))]
    stride, _, _ = found(conv("normalized", "a", 3, 2), fixed, constants=constants)
    assert stride == 2
    onnx.checker.check_model(network(conv("normalized", "a", 3, 2), fixed, constants=constants))


def test_sizes_that_onnx_infers_are_not_measured_by_a_run(monkeypatch):
    def no_run(*_, **__):
        pytest.fail("a session")

    monkeypatch.setattr("fcn_edge_export.graph.geometry.open_session", no_run)
    test_sizes_alone_carry_no_pixels()
    test_large_multiples_are_not_measured_on_a_huge_image()


def test_a_network_of_a_fixed_size_keeps_the_stride_of_its_patches():
    # 14x14 patches of 16 pixels, whatever the size that the shapes are inferred for.
    patches = ("Conv", ["normalized", "w16"], "a", {"kernel_shape": [16, 16], "strides": [16, 16]})
    nodes = [patches, ("Reshape", ["a", "grid"], "b", {}), scaled("b", "logits", 16)]
    constants = [("w16", np.ones((1, 1, 16, 16), np.float32)), ("grid", np.array([1, 1, 14, 14]))]
    model = network(*nodes, constants=[*constants, ("x16", np.array([1, 1, 16, 16], np.float32))])
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 224
    assert geometry(model, smallest=224, multiple=1).stride == 16


def test_sizes_that_onnx_cannot_infer_are_measured_by_a_run():
    nodes = [
        conv("normalized", "a", 3, 2),
        ("Shape", ["normalized"], "whole", {}),
        ("Mod", ["whole", "many"], "size", {}),  # which inference does not compute
        ("Resize", ["a", "", "", "size"], "logits", {"mode": "linear"}),
    ]
    many = ("many", np.array([1000] * 4))
    assert found(*nodes, constants=(*WEIGHTS, many)) == (2, 5, False)


class Strided(nn.Module):
    """Strides, a dilation and two pooled branches, all weights positive so that no gradient is lost."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 7, stride=2, padding=3)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.wide = nn.Conv2d(2, 2, 3, padding=2, dilation=2)
        self.head = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        y = self.wide(self.pool(self.stem(x)))
        return F.interpolate(self.head(y), size=x.shape[-2:], mode="bilinear", align_corners=False)


class Learned(nn.Module):
    """A U-shape with a transposed convolution and a skip."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.down = nn.Conv2d(2, 2, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(2, 2, 5, padding=2)
        self.up = nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1)
        self.head = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        first = self.first(x)
        return self.head(first + self.up(self.deep(self.down(first))))


@pytest.mark.parametrize("build", [Strided, Learned])
def test_the_receptive_field_is_where_gradients_come_from(build):
    net = build().eval()
    for parameter in net.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)
    sizes = Sizes(classes=1, smallest=8, multiple=8, reduction=1)
    network = LogitsNetwork(net).eval()
    model = trace(network, 1, sizes, example_size(network, 1, sizes)).model
    claimed = geometry(model, smallest=1, multiple=8)

    widest = 0
    for shift in range(8):  # the field's width differs with the phase; the card gives the largest
        # Averaging over inputs: a maximum passes the gradient of one pixel only.
        seen = torch.zeros(128, 128)
        for seed in range(12):
            x = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(seed))
            x.requires_grad_()
            net(x)[0, 0, 64 + shift, 64 + shift].backward()
            seen += x.grad[0, 0]
        columns = torch.nonzero(seen.sum(dim=0) > 0).flatten()
        widest = max(widest, int(columns[-1] - columns[0]) + 1)
    assert not claimed.sees_whole_image
    assert claimed.receptive_field == widest
    assert claimed.stride == (4 if build is Strided else 2)
