from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.graph.graft import graft
from fcn_edge_export.graph.work import integer_share, work_of
from fcn_edge_export.lowering.body import typed
from fcn_edge_runtime.model.card import Card, WorkingSize
from tests.export.parents import network


def model_of(nodes, constants):
    """A model of an image (1, 4, 6, 8), in the order N, H, W, C, and these nodes."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "products",
        [value("image", TensorProto.FLOAT, ["n", "h", "w", 8])],
        [value(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def product(op, *inputs, **attributes):
    return helper.make_node(op, list(inputs), ["y"], name="product", **attributes)


PLANES = helper.make_node("Transpose", ["image"], ["x"], name="planes", perm=[0, 3, 1, 2])
FLAT = helper.make_node("Reshape", ["image", "shape"], ["flat"], name="flat")


@pytest.mark.parametrize(
    ("nodes", "constants", "expected"),
    [
        (
            [PLANES, product("Conv", "x", "w", strides=[2, 2], pads=[1] * 4)],
            {"w": (5, 8, 3, 3)},
            2 * 3 * 5 * 72,
        ),
        ([PLANES, product("Conv", "x", "w", group=8)], {"w": (8, 1, 1, 1)}, 4 * 6 * 8),
        (
            [PLANES, product("ConvTranspose", "x", "w", strides=[2, 2])],
            {"w": (8, 3, 2, 2)},
            4 * 6 * 8 * 3 * 4,
        ),
        ([product("MatMul", "image", "w")], {"w": (8, 5)}, 4 * 6 * 5 * 8),
        ([product("Einsum", "image", "w", equation="nhwc,ck->nhwk")], {"w": (8, 5)}, 4 * 6 * 5 * 8),
        ([product("Einsum", "image", "w", equation="...c, ck -> ...k")], {"w": (8, 5)}, 4 * 6 * 5 * 8),
        (
            [
                helper.make_node("Squeeze", ["image"], ["s"]),
                product("Einsum", "s", "s", equation="hwc,hwc->hw"),
            ],
            {},
            4 * 6 * 8,
        ),
        (
            [helper.make_node("Flatten", ["image"], ["f"], axis=3), product("Gemm", "w", "f", transA=1)],
            {"w": (24, 7)},
            7 * 8 * 24,
        ),
    ],
)
def test_multiply_accumulates_are_those_of_the_definition(nodes, constants, expected):
    model = model_of(nodes, constants)
    assert work_of(model, np.zeros((1, 4, 6, 8), np.float32)) == {"product": expected}


def test_a_file_counts_its_work_at_its_working_size():
    card = Card("colors", numbered_classes(3))
    image = np.zeros((1, 96, 128, 3), np.uint8)
    whole = work_of(typed(graft(network(), card)), image)
    half = work_of(typed(graft(network(), card, working=WorkingSize((1, 2), None, coarse=True))), image)
    assert {name: 4 * work for name, work in half.items()} == whole
    assert integer_share(whole, {"stem", "first", "second"}) == pytest.approx(1368 / 1392)
