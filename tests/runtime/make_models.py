"""Small models that are, or are nearly, by the contract: made with onnx.helper, carded, tested, sealed."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_runtime.model.card import (
    CARD_KEY,
    Card,
    ClassInfo,
    Geometry,
    InputSpec,
    LoweringInfo,
    NetInfo,
    VerificationInfo,
)
from fcn_edge_runtime.model.golden_input import image_digest, pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_KEY, GOLDEN_SIZES, Golden, GoldenCase, raise_to
from fcn_edge_runtime.model.seal import sealed

TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}
COLORS = ((0, 0, 0), (220, 20, 60), (0, 130, 0), (70, 130, 180), (250, 170, 30))


def make_card(
    *, classes=3, channels=3, dtype="uint8", smallest=1, providers=("CPUExecutionProvider",), **fields
):
    infos = tuple(ClassInfo(i, f"class {i}", COLORS[i % len(COLORS)]) for i in range(classes))
    return Card(
        name="test net",
        classes=infos,
        input=InputSpec.default(channels, dtype),
        net=NetInfo("test", {}, "untrained"),
        geometry=Geometry(stride=1, receptive_field=3, smallest_size=smallest),
        produced_by={"fcn-edge": "0.1.0"},
        verification=VerificationInfo(
            "passed", sizes=((1, 64, 64),), providers=providers, tolerance="1e-4 A"
        ),
        **fields,
    )


def weights_for(card, seed=7):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((len(card.classes), card.input.channels, 3, 3)) / 3).astype(np.float32)


def make_proto(card, outputs=("labels",), weights=None):
    """One 3x3 convolution from normalized image to logits, then the head: a ModelProto without metadata."""
    spec, classes = card.input, len(card.classes)
    weights = weights_for(card) if weights is None else weights
    shape = (1, -1, 1, 1)
    constants = {
        "scale": np.float32(spec.scale),
        "mean": np.array(spec.mean, np.float32).reshape(shape),
        "std": np.array(spec.std, np.float32).reshape(shape),
        "weight": weights,
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        node("Transpose", ["f"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Mul", ["nchw", "scale"], ["scaled"]),
        node("Sub", ["scaled", "mean"], ["centered"]),
        node("Div", ["centered", "std"], ["x"]),
        node("Conv", ["x", "weight"], ["logits"], pads=[1, 1, 1, 1]),
        node("ArgMax", ["logits"], ["index"], axis=1, keepdims=0),
        node("Cast", ["index"], ["labels"], to=TYPES[card.label_dtype]),
    ]
    if {"probabilities", "confidence"} & set(outputs):
        nodes.append(node("Softmax", ["logits"], ["probabilities"], axis=1))
    if "confidence" in outputs:
        constants["axis"] = np.array([1], np.int64)
        nodes.append(node("ReduceMax", ["probabilities", "axis"], ["confidence"], keepdims=0))
    space = ["batch", "height", "width"]
    scores = ["batch", classes, "height", "width"]
    infos = {
        "labels": helper.make_tensor_value_info("labels", TYPES[card.label_dtype], space),
        "confidence": helper.make_tensor_value_info("confidence", TensorProto.FLOAT, space),
        "probabilities": helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, scores),
        "logits": helper.make_tensor_value_info("logits", TensorProto.FLOAT, scores),
    }
    image = helper.make_tensor_value_info("image", TYPES[spec.dtype], [*space, spec.channels])
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", [image], [infos[name] for name in outputs], initializers)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def probe(proto, image, output):
    """What a plain onnxruntime session computes for one tensor of the graph."""
    import onnxruntime as ort

    ort.set_default_logger_severity(3)
    probed = onnx.ModelProto()
    probed.CopyFrom(proto)
    if output not in [o.name for o in probed.graph.output]:
        probed.graph.output.append(helper.make_empty_tensor_value_info(output))
    session = ort.InferenceSession(probed.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([output], {"image": image})[0]


def make_golden(card, proto, tau=1e-3):
    cases = []
    for batch, height, width in raise_to(GOLDEN_SIZES, card.geometry.smallest_size):
        image = pattern(batch, height, width, card.input.channels, 1, card.input)
        logits = probe(proto, image, "logits")
        ranked = np.sort(logits, axis=1)
        labels = logits.argmax(axis=1).astype(card.label_dtype)
        labels[ranked[:, -1] - ranked[:, -2] <= 2 * tau * np.abs(logits).max()] = card.unlabeled
        cases.append(GoldenCase(batch, height, width, 1, image_digest(image), labels))
    return Golden(tuple(cases), tau)


def finish(proto, card, golden=None):
    """Card, golden vectors (or texts in their place) and seal onto a ModelProto: the bytes of a file."""
    golden = make_golden(card, proto) if golden is None else golden
    if isinstance(card, Card):
        counts = Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in proto.graph.node)
        card = dataclasses.replace(card, operators=dict(counts))
    texts = {CARD_KEY: card, GOLDEN_KEY: golden}
    entries = {key: value if isinstance(value, str) else value.to_json() for key, value in texts.items()}
    for key, value in entries.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    return sealed(proto.SerializeToString(deterministic=True))


def make_model(path, *, outputs=("labels",), card=None, **card_fields):
    """Write a whole model; returns its card."""
    card = card or make_card(**card_fields)
    path.write_bytes(finish(make_proto(card, outputs), card))
    return card


# Every model that the tests of the runtime need, by name.
KINDS = {
    "rgb": {"outputs": ("labels", "confidence", "logits")},
    "plain": {"outputs": ("labels",)},
    "gray": {"channels": 1},
    "deep": {"dtype": "uint16"},
    "float": {"dtype": "float32", "outputs": ("labels", "confidence")},
    "float_gray": {"dtype": "float32", "channels": 1},
    "bands4": {"channels": 4},
    "bands5": {"channels": 5, "dtype": "float32"},
    "wide": {"classes": 300},
    "large": {"smallest": 40},
    "half": {"precision": "fp16", "lowering": LoweringInfo("0" * 64, "gpu")},
    "elsewhere": {"providers": ("CUDAExecutionProvider",)},
}
WRONG = {"elsewhere_wrong": KINDS["elsewhere"], "plain_wrong": {}}


def make_tied(path):
    """Write a model whose first two scores are one sum in two orders: rounding decides between them.

    Where the image is bright the third score is far above them, so that the self-test decides some pixels.
    """
    card = make_card(classes=3)
    proto = make_proto(card)
    node = helper.make_node
    where = next(i for i, n in enumerate(proto.graph.node) if n.op_type == "Conv")
    before, after = list(proto.graph.node[:where]), list(proto.graph.node[where + 1 :])
    tied = [
        node("Conv", ["x", "wide"], ["hidden"], pads=[1, 1, 1, 1]),
        node("Conv", ["hidden", "ones"], ["one order"]),
        node("ReduceSum", ["hidden", "axis"], ["another order"], keepdims=1),
        node("Conv", ["x", "strong"], ["bright"]),
        node("Concat", ["one order", "another order", "bright"], ["logits"], axis=1),
    ]
    constants = {
        "wide": np.random.default_rng(3).standard_normal((16, 3, 3, 3)).astype(np.float32),
        "ones": np.ones((1, 16, 1, 1), np.float32),
        "strong": np.full((1, 3, 1, 1), 50, np.float32),
        "axis": np.array([1], np.int64),
    }
    kept = [tensor for tensor in proto.graph.initializer if tensor.name != "weight"]
    proto.graph.ClearField("node")
    proto.graph.ClearField("initializer")
    proto.graph.node.extend([*before, *tied, *after])
    proto.graph.initializer.extend([*kept, *(numpy_helper.from_array(v, k) for k, v in constants.items())])
    path.write_bytes(finish(proto, card))


def build(kind, path):
    """Write the model of that name. Those of `_wrong` have a self-test that no device can pass."""
    if kind == "tied":
        make_tied(path)
    elif kind in WRONG:
        card = make_card(**WRONG[kind])
        proto = make_proto(card)
        golden = make_golden(card, proto)
        labels = golden.cases[0].labels.copy()
        labels[1, 20, 30] = (labels[1, 20, 30] + 1) % len(card.classes)
        cases = (dataclasses.replace(golden.cases[0], labels=labels), golden.cases[1])
        path.write_bytes(finish(proto, card, Golden(cases, golden.tau)))
    else:
        make_model(path, **KINDS[kind])
    return path


if __name__ == "__main__":
    # For a Python without onnx: make them here, then set FCN_EDGE_TEST_MODELS to the folder.
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*KINDS, *WRONG, "tied"):
        build(name, folder / f"{name}.onnx")
