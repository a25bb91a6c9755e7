"""Hostile model files: small, sealed, and each a way to take time or memory, or to crash onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.registry import Case, Subject
from tests.runtime import make_models as mm

node = helper.make_node
BIG = (50_000, 40_000)
DOUBLINGS = 31  # of one element make 2 billion


def const(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)


def ones(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def info(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def chain(make, count):
    """The nodes of `make(source, target, number)`, each on the one before, from `a` to `g`."""
    names = ["a", *(f"link{i}" for i in range(count - 1)), "g"]
    return [make(names[i], names[i + 1], i) for i in range(count)]


def body(*nodes):
    """A loop's body that carries `v`."""
    return helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), *nodes],
        "body",
        [info("step", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("v", 1, ["n"])],
        [info("go_on", TensorProto.BOOL, []), info("w", 1, ["m"])],
    )


def loop(steps, *nodes):
    forever = [const("m", steps), const("c", True, bool), ones("a", 1)]
    return [node("Loop", ["m", "c", "a"], ["g"], body=body(*nodes))], forever


def branches(condition, *nodes):
    graph = helper.make_graph(list(nodes), "branch", [], [info("y", 1, ["p", "q"])])
    return node("If", [condition], ["g"], then_branch=graph, else_branch=graph)


def zeros(*before):
    return [*before, node("ConstantOfShape", ["s"], ["g"])]


def sparse():
    value = helper.make_sparse_tensor(ones("v", 1), const("i", [0]), [2 * 10**9])
    return node("Constant", [], ["g"], sparse_value=value)


# Name -> nodes that end in the tensor `g`, and initializers. `logits` (1 x 3 x H x W) and `image` are there.
HOSTILE = {
    "zeros": (zeros(), [const("s", BIG)]),
    "zeros by product": (
        zeros(node("Mul", ["a", "b"], ["s"])),
        [const("a", [250, 200]), const("b", [200, 200])],
    ),
    "zeros by power": (zeros(node("Pow", ["a", "b"], ["s"])), [const("a", [2, 2]), const("b", [15, 15])]),
    "zeros by parts": (
        zeros(node("Concat", ["a", "b"], ["s"], axis=0)),
        [const("a", [50_000]), const("b", [40_000])],
    ),
    "zeros by cast": (zeros(node("Cast", ["a"], ["s"], to=7)), [const("a", BIG, np.float32)]),
    "zeros by int32": (zeros(node("Cast", ["a"], ["s"], to=7)), [const("a", BIG, np.int32)]),
    "zeros by shape of zeros": (
        zeros(
            node("ConstantOfShape", ["t"], ["x"]),
            node("Shape", ["x"], ["u"]),
            node("Mul", ["u", "u"], ["s"]),
        ),
        [const("t", [250, 200])],
    ),
    "zeros by running sum": (
        zeros(node("CumSum", ["a", "axis"], ["s"])),
        [const("a", [40_000, 10_000]), const("axis", 0)],
    ),
    "zeros in a branch": (
        [branches("c", node("ConstantOfShape", ["s"], ["y"]))],
        [const("c", True, bool), const("s", BIG)],
    ),
    "zeros by product in a branch that the image chooses": (
        [
            node("Cast", ["logits"], ["b0"], to=TensorProto.BOOL),
            node("Shape", ["image"], ["dims"]),
            node("ReduceMax", ["dims"], ["d"], keepdims=0),
            node("Cast", ["d"], ["c"], to=TensorProto.BOOL),
            branches("c", node("Mul", ["a", "b"], ["s"]), node("ConstantOfShape", ["s"], ["y"])),
        ],
        [const("a", [250, 200]), const("b", [200, 200])],
    ),
    "expand": ([node("Expand", ["a", "s"], ["g"])], [ones("a", 1), const("s", BIG)]),
    "expand of logits": ([node("Expand", ["logits", "s"], ["g"])], [const("s", [*BIG, 1, 1, 1, 1])]),
    "tile": ([node("Tile", ["a", "s"], ["g"])], [ones("a", 1, 1), const("s", BIG)]),
    "tile of logits": ([node("Tile", ["logits", "s"], ["g"])], [const("s", [1, 1, 300, 300])]),
    "tiles of tiles": (
        chain(lambda a, b, _: node("Tile", [a, "s"], [b]), 6),
        [ones("a", 1), const("s", [40])],
    ),
    "doubling": (chain(lambda a, b, _: node("Concat", [a, a], [b], axis=0), DOUBLINGS), [ones("a", 1)]),
    "range": (
        [node("Range", ["a", "b", "c"], ["g"])],
        [const("a", 0), const("b", 2 * 10**9), const("c", 1)],
    ),
    "one-hot": (
        [node("OneHot", ["i", "d", "v"], ["g"])],
        [const("i", [0] * 50_000), const("d", 40_000), const("v", [0, 1], np.float32)],
    ),
    "one-hot of labels": (
        [node("OneHot", ["index", "d", "v"], ["g"])],
        [const("d", 2 * 10**6), const("v", [0, 1], np.float32)],
    ),
    "resize to sizes": (
        [node("Resize", ["logits", "", "", "s"], ["g"], mode="nearest")],
        [const("s", [1, 3, *BIG])],
    ),
    "resize by scales": (
        [node("Resize", ["logits", "", "s"], ["g"], mode="nearest")],
        [const("s", [1, 1, 700, 700], np.float32)],
    ),
    "resize of a constant": (
        [node("Resize", ["a", "", "", "s"], ["g"], mode="nearest")],
        [ones("a", 1, 1, 1, 1), const("s", [1, 1, *BIG])],
    ),
    "pad": ([node("Pad", ["a", "p"], ["g"])], [ones("a", 1, 1), const("p", [0, 0, 49_999, 39_999])]),
    "pad of logits": (
        [node("Pad", ["logits", "p"], ["g"])],
        [const("p", [0, 0, 20_000, 20_000, 0, 0, 20_000, 20_000])],
    ),
    "padding of a convolution": (
        [node("Conv", ["logits", "w"], ["g"], pads=[20_000] * 4)],
        [ones("w", 1, 3, 1, 1)],
    ),
    "padding of a pool": (
        [node("AveragePool", ["logits"], ["g"], kernel_shape=[40_001] * 2, pads=[40_000] * 4)],
        [],
    ),
    "stride of a transposed convolution": (
        [node("ConvTranspose", ["logits", "w"], ["g"], strides=[40_000] * 2)],
        [ones("w", 3, 1, 1, 1)],
    ),
    "dilation of a transposed convolution": (
        [node("ConvTranspose", ["logits", "w"], ["g"], dilations=[40_000] * 2)],
        [ones("w", 3, 1, 2, 2)],
    ),
    "shape of a transposed convolution": (
        [node("ConvTranspose", ["logits", "w"], ["g"], output_shape=list(BIG))],
        [ones("w", 3, 1, 1, 1)],
    ),
    "unpooling": (
        [node("MaxUnpool", ["a", "i", "s"], ["g"], kernel_shape=[1, 1])],
        [ones("a", 1, 1, 1, 1), const("i", [[[[0]]]]), const("s", [1, 1, *BIG])],
    ),
    "center pad": ([node("CenterCropPad", ["a", "s"], ["g"])], [ones("a", 1, 1), const("s", BIG)]),
    "outer sum": ([node("Add", ["a", "b"], ["g"])], [ones("a", 40_000, 1), ones("b", 1, 40_000)]),
    "outer product": ([node("MatMul", ["a", "b"], ["g"])], [ones("a", 40_000, 1), ones("b", 1, 40_000)]),
    "gather": ([node("Gather", ["a", "i"], ["g"])], [ones("a", 1, 30_000), const("i", [0] * 60_000)]),
    "random": ([node("RandomNormal", [], ["g"], shape=list(BIG))], []),
    "window": ([node("HannWindow", ["a"], ["g"])], [const("a", 2 * 10**9)]),
    "mel weights": (
        [node("MelWeightMatrix", ["n", "l", "r", "f", "t"], ["g"])],
        [
            const("n", 30_000),
            const("l", 120_000),
            const("r", 16_000),
            const("f", 1, np.float32),
            const("t", 8000, np.float32),
        ],
    ),
    "fourier": ([node("DFT", ["a", "l"], ["g"])], [ones("a", 1, 2, 1), const("l", 1 << 27)]),
    "sparse": ([sparse()], []),
    "loop that doubles": loop(DOUBLINGS, node("Concat", ["v", "v"], ["w"], axis=0)),
    "loop without end": loop(10**15, node("Add", ["v", "v"], ["w"])),
    "operator of another domain": (
        [node("Range", ["a", "b", "c"], ["g"], domain="com.microsoft")],
        [const("a", 0), const("b", 2 * 10**9), const("c", 1)],
    ),
    "operator that does not exist": ([node("Frobnicate", ["logits"], ["g"])], []),
}


def hostile_model(kind):
    """A sealed file whose labels depend on the oversized tensor, so that it is not optimized away."""
    nodes, initializers = HOSTILE[kind]
    card = mm.make_card()
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    graph = proto.graph
    graph.node[-1].output[0] = "labels_before"
    graph.node.extend(nodes)
    graph.node.extend(
        [
            node("Cast", ["g"], ["g_float"], to=TensorProto.FLOAT),
            node("ReduceMax", ["g_float"], ["g_most"], keepdims=0),
            node("Cast", ["g_most"], ["g_label"], to=TensorProto.INT32),
            node("Cast", ["labels_before"], ["labels_int"], to=TensorProto.INT32),
            node("Max", ["labels_int", "g_label"], ["labels_more"]),
            node("Cast", ["labels_more"], ["labels"], to=TensorProto.UINT8),
        ]
    )
    graph.initializer.extend(initializers)
    if any(n.domain for n in nodes):
        proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return mm.finish(proto, card, golden)


def _open(path: Path) -> None:
    from fcn_edge_runtime import Segmenter

    with Segmenter(path, "cpu", threads=1) as segmenter:
        spec = segmenter.card.input
        segmenter(np.zeros((64, 64, spec.channels), spec.dtype)).areas()


def _good(folder: Path) -> Path:
    mm.make_model(folder / "good.onnx")
    return folder / "good.onnx"


def _warm() -> None:
    import onnxruntime  # noqa: F401 - for the children

    import fcn_edge_runtime.segmenter  # noqa: F401 - the same


def _case(kind: str) -> Case:
    def make(folder: Path) -> Path:
        path = folder / "hostile.onnx"
        path.write_bytes(hostile_model(kind))
        return path

    return Case(kind, make, ("ModelError",))


SUBJECT = Subject("models", _good, _open, tuple(_case(kind) for kind in HOSTILE), _warm)
