"""Float files of a few hand-written layers, made in milliseconds and without PyTorch, to be lowered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fcn_edge_export.artifact import assemble
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.graph.graft import graft
from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.gate import logits_of
from fcn_edge_export.simplify import operators
from fcn_edge_export.verification.golden_vectors import golden_vectors
from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.model.card import Card, InputSpec, VerificationInfo
from fcn_edge_runtime.model.contract import IR_VERSION, OPSET
from fcn_edge_runtime.session.session import open_session

COLORS = np.array([[230, 40, 30], [30, 220, 50], [40, 30, 235]], np.uint8)


def blocks(height=48, width=64, seed=0):
    """An image of large squares in three clear colors, a little noisy: (height, width, 3) uint8."""
    random = np.random.default_rng(seed)
    squares = random.integers(0, 3, (-(-height // 16), -(-width // 16)))
    classes = np.kron(squares, np.ones((16, 16), np.int64))[:height, :width]
    noise = random.integers(-20, 21, (height, width, 3))
    return np.clip(COLORS[classes] + noise, 0, 255).astype(np.uint8)


def frames(count, **size):
    return {f"frame{i}.png": (lambda i=i: blocks(seed=i, **size)) for i in range(count)}


def write_frames(folder, count):
    """frames/ and labels/, whose classes are the colors."""
    for kind in ("frames", "labels"):
        (folder / kind).mkdir()
    for index in range(count):
        image = blocks(seed=index)
        Image.fromarray(image).save(folder / "frames" / f"{index:02}.png")
        Image.fromarray(image.argmax(-1).astype(np.uint8)).save(folder / "labels" / f"{index:02}.png")


def agreement(parent, made):
    """The share of equal labels of two files, on a frame in which there are all three classes."""
    frame = blocks(96, 128, seed=77)
    with Segmenter(parent) as one, Segmenter(made) as other:
        expected, labels = one(frame).labels, other(frame).labels
    assert len(np.unique(expected)) == 3
    return (expected == labels).mean()


def network(*, outlier=0.0, channels=3, bright=0.0, reach=0):
    """Color -> class: a stem, a residual block of two convolutions, a pool, a classifier, upsampling.

    `outlier` is what one feature between the block's convolutions is multiplied by: so large that 8 bits
    leave nothing of the others, and read by no one. With `bright` a feature of the stem is the brightness,
    and class 0 gains that often of it: all its weights are equal, so that pairs of products are large.
    `reach` is how many pixels the classifier, which stays in float, reads on each side.
    """
    random = np.random.default_rng(0)
    width = 8
    stem = np.zeros((width, channels, 3, 3), np.float32)
    for feature in range(width):
        stem[feature, feature % 3] = 1 / 9
    first = random.normal(0, 0.05, (width, width, 3, 3)).astype(np.float32)
    first[:3, :3, 1, 1] += np.eye(3, dtype=np.float32)
    first[7] *= max(outlier, 1.0)
    if bright:
        stem[3], first[:, 3], first[0, 3, 1, 1] = 1 / 27, 0, bright
    second = random.normal(0, 0.05, (width, width, 3, 3)).astype(np.float32)
    second[:3, :3, 1, 1] += np.eye(3, dtype=np.float32)
    if outlier:
        second[:, 7] = 0
    side = 2 * reach + 1
    classifier = np.zeros((3, width, side, side), np.float32)
    classifier[np.arange(3), np.arange(3), reach, reach] = 4
    weights = {
        "stem.weight": stem,
        "first.weight": first,
        "second.weight": second,
        "classifier.weight": classifier,
        "stem.bias": np.full(width, 0.5, np.float32),
        "first.bias": np.zeros(width, np.float32),
        "second.bias": np.zeros(width, np.float32),
        "classifier.bias": np.zeros(3, np.float32),
    }

    def conv(name, source, target, **attributes):
        return helper.make_node(
            "Conv", [source, f"{name}.weight", f"{name}.bias"], [target], name=name, **attributes
        )

    wide = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        conv("stem", TRACED_INPUT, "s", strides=[2, 2], **wide),
        helper.make_node("Relu", ["s"], ["sr"], name="stem_relu"),
        conv("first", "sr", "f", **wide),
        helper.make_node("Relu", ["f"], ["fr"], name="first_relu"),
        conv("second", "fr", "g", **wide),
        helper.make_node("Add", ["g", "sr"], ["sum"], name="residual"),
        helper.make_node("Relu", ["sum"], ["sumr"], name="residual_relu"),
        helper.make_node(
            "MaxPool", ["sumr"], ["p"], name="pool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]
        ),
        conv("classifier", "p", "low", kernel_shape=[side, side], pads=[reach] * 4),
        helper.make_node("Shape", [TRACED_INPUT], ["hw"], name="hw", start=2, end=4),
        helper.make_node("Shape", ["low"], ["nk"], name="nk", start=0, end=2),
        helper.make_node("Concat", ["nk", "hw"], ["size"], name="size", axis=0),
        helper.make_node(
            "Resize",
            ["low", "", "", "size"],
            [LOGITS],
            name="up",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [
            helper.make_tensor_value_info(
                TRACED_INPUT, TensorProto.FLOAT, ["batch", channels, "height", "width"]
            )
        ],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def write_parent(path, outputs=("labels",), *, sparse=False, model=None, **options):
    """A sealed file of the network or of `model`, with its self-test; its verdict is not computed."""
    card = Card(
        "colors",
        numbered_classes(3),
        InputSpec.default(),
        verification=VerificationInfo(verdict="passed", providers=("CPUExecutionProvider",)),
    )
    model = graft(model or network(**options), card, outputs, sparse=sparse)
    card = replace(card, operators=operators(model))
    probe = open_session(with_logits_output(model), "cpu")
    path.write_bytes(assemble(model, card, golden_vectors(logits_of(probe), probe, card, 1e-3, smallest=1)))
    return path
