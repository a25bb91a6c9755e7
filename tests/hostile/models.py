"""Hostile model files: small, sealed, and each a way to take time or memory, or to crash onnxruntime."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fcn_edge_runtime.model.golden_vectors import Golden, GoldenCase
from fcn_edge_runtime.model.protobuf import fields
from fcn_edge_runtime.model.protobuf.writing import field, message
from fcn_edge_runtime.model.seal import sealed, unsealed
from tests.hostile.misfits import MISFITS
from tests.hostile.opening import open_model, warm
from tests.hostile.registry import OPENED, Case, Subject
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
            node("ConstantOfShape", ["t"], ["filled"]),
            node("Shape", ["filled"], ["u"]),
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
            const("r", 8_000),
            const("f", 1, np.float32),
            const("t", 6000, np.float32),
        ],
    ),
    "fourier": ([node("DFT", ["a", "l"], ["g"])], [ones("a", 1, 2, 1), const("l", 1 << 27)]),
    "sparse": ([sparse()], []),
    "loop that doubles": loop(DOUBLINGS, node("Concat", ["v", "v"], ["w"], axis=0)),
    "loop without end": loop(10**15, node("Add", ["v", "v"], ["w"])),
    # On data: growth by a factor, and time.
    "gather of logits": ([node("Gather", ["logits", "i"], ["g"])], [const("i", [0] * 60_000)]),
    "gather of logits up to the limit": (
        [node("Gather", ["logits", "i"], ["g"])],
        [const("i", np.zeros(1_700))],
    ),
    "gather of labels up to the limit": (
        [node("Gather", ["index", "i"], ["g"])],
        [const("i", np.zeros(2_400))],
    ),
    "tiles of logits up to the limit": ([node("Tile", ["logits", "s"], ["g"])], [const("s", [1, 1, 41, 41])]),
    "a sum of what is up to the limit": (
        [
            *[node("Gather", ["logits", "i"], [f"part{n}"]) for n in range(4)],
            node("Max", [f"part{n}" for n in range(4)], ["g"]),
        ],
        [const("i", np.zeros(400))],
    ),
    "gather of logits by rows": (
        [node("GatherND", ["logits", "i"], ["g"])],
        [const("i", np.zeros((60_000, 1)))],
    ),
    "gather of elements": (
        [node("Expand", ["index", "s"], ["e"]), node("GatherElements", ["e", "i"], ["g"], axis=0)],
        [const("s", [1, 64, 64]), const("i", np.zeros((1000, 64, 64)))],
    ),
    "broadcast of logits": ([node("Add", ["logits", "a"], ["g"])], [ones("a", 60_000, 1, 1, 1)]),
    "broadcast of logits by selection": (
        [node("Cast", ["logits"], ["b0"], to=TensorProto.BOOL), node("Where", ["b0", "a", "logits"], ["g"])],
        [ones("a", 60_000, 1, 1, 1)],
    ),
    "product of logits with a column": (
        [node("Reshape", ["logits", "s"], ["row"]), node("MatMul", ["a", "row"], ["g"])],
        [const("s", [1, -1]), ones("a", 60_000, 1)],
    ),
    "product of logits with themselves": (
        [
            node("Reshape", ["logits", "s"], ["row"]),
            node("Transpose", ["row"], ["column"]),
            node("MatMul", ["column", "row"], ["g"]),
        ],
        [const("s", [1, -1])],
    ),
    "product by letters": ([node("Einsum", ["logits", "logits"], ["g"], equation="abcd,efgh->abcdefgh")], []),
    "sum by letters": ([node("Einsum", ["logits", "logits"], ["g"], equation="abcd,efgh->a")], []),
    "tiles of tiles of logits": (
        chain(lambda a, b, _: node("Tile", ["logits" if a == "a" else a, "s"], [b]), 6),
        [const("s", [1, 1, 8, 8])],
    ),
    "doubling of logits": (
        chain(lambda a, b, _: node("Concat", ["logits" if a == "a" else a] * 2, [b], axis=1), 20),
        [],
    ),
    "upsampling of upsampling": (
        chain(lambda a, b, _: node("Resize", ["logits" if a == "a" else a, "", "s"], [b], mode="linear"), 6),
        [const("s", [1, 1, 8, 8], np.float32)],
    ),
    "resize to sizes of the image, squared": (
        [
            node("Shape", ["image"], ["d"]),
            node("Mul", ["d", "d"], ["dd"]),
            node("Slice", ["dd", "one", "three"], ["hw"]),
            node("Slice", ["d", "zero", "one"], ["n"]),
            node("Concat", ["n", "three", "hw"], ["s"], axis=0),
            node("Resize", ["logits", "", "", "s"], ["g"], mode="nearest"),
        ],
        [const("zero", [0]), const("one", [1]), const("three", [3])],
    ),
    "range up to what the image shows": (
        [
            node("ReduceMax", ["index"], ["most"], keepdims=0),
            node("Mul", ["most", "a"], ["limit"]),
            node("Range", ["zero", "limit", "one"], ["g"]),
        ],
        [const("a", 10**9), const("zero", 0), const("one", 1)],
    ),
    "zeros as large as the image shows": (
        [
            node("ReduceMax", ["index"], ["most"], keepdims=1),
            node("Mul", ["most", "a"], ["sides"]),
            node("Reshape", ["sides", "flat"], ["s"]),
            *zeros(),
        ],
        [const("a", 2 * 10**9), const("flat", [-1])],
    ),
    "zeros as large as what is left is small": (
        [
            node("NonZero", ["index"], ["nz"]),
            node("Shape", ["nz"], ["counted"], start=1, end=2),
            node("Sub", ["a", "counted"], ["few"]),
            node("Mul", ["few", "b"], ["s"]),
            *zeros(),
        ],
        [const("a", [12_288]), const("b", [10**6])],
    ),
    "convolution to many channels": (
        [
            node("Conv", ["logits", "w"], ["wide"]),
            node("Conv", ["wide", "v"], ["g"]),
        ],
        [ones("w", 4096, 3, 1, 1), ones("v", 1, 4096, 1, 1)],
    ),
    "convolutions without end": (
        [
            *chain(
                lambda a, b, _: node("Conv", ["logits" if a == "a" else a, "w"], [b], pads=[12] * 4), 3000
            ),
        ],
        [ones("w", 3, 3, 25, 25)],
    ),
    "large kernel of a pool": (
        [node("MaxPool", ["logits"], ["g"], kernel_shape=[2000] * 2, pads=[1999] * 4)],
        [],
    ),
    "large kernel of a mean": (
        [node("AveragePool", ["logits"], ["g"], kernel_shape=[63] * 2, pads=[62] * 4, count_include_pad=1)],
        [],
    ),
    "large kernel of a norm": (
        [node("LpPool", ["logits"], ["g"], kernel_shape=[2000] * 2, pads=[1999] * 4)],
        [],
    ),
    "large kernel of a transposed convolution": (
        [node("ConvTranspose", ["logits", "w"], ["g"])],
        [ones("w", 3, 1, 200, 200)],
    ),
    "groups of a transposed convolution": (
        [node("ConvTranspose", ["logits", "w"], ["g"], group=1 << 40)],
        [ones("w", 3, 1, 2, 2)],
    ),
    "padding at the output": (
        [node("ConvTranspose", ["logits", "w"], ["g"], output_padding=[40_000] * 2)],
        [ones("w", 3, 1, 2, 2)],
    ),
    "space out of depth": ([node("DepthToSpace", ["logits"], ["g"], blocksize=1 << 31)], []),
    "depth out of space": ([node("SpaceToDepth", ["logits"], ["g"], blocksize=1 << 32)], []),
    "grid of many places": (
        [node("GridSample", ["logits", "a"], ["g"])],
        [ones("a", 1, 300, 300, 2)] * 1,
    ),
    "sort of all": (
        [node("TopK", ["logits", "k"], ["g", "gi"], axis=3)],
        [const("k", [10**12])],
    ),
    "split in many": (
        [node("Split", ["logits"], ["g", *(f"part{i}" for i in range(20_000))], num_outputs=20_001)],
        [],
    ),
    "sum of many": ([node("Sum", ["logits"] * 50_000, ["g"])], []),
    "concatenation of many": ([node("Concat", ["logits"] * 50_000, ["g"], axis=1)], []),
    "identity matrix": ([node("EyeLike", ["a"], ["g"], dtype=1)], [ones("a", 1)]),
    "triangle of tiles": (
        [node("Tile", ["a", "s"], ["t"]), node("Trilu", ["t"], ["g"])],
        [ones("a", 1, 1), const("s", [40_000, 40_000])],
    ),
    "running sum of tiles": (
        [node("Tile", ["a", "s"], ["t"]), node("CumSum", ["t", "axis"], ["g"])],
        [ones("a", 1, 1), const("s", [40_000, 40_000]), const("axis", 0)],
    ),
    "scatter over zeros": (
        [
            node("ConstantOfShape", ["s"], ["z"]),
            node("ScatterND", ["z", "i", "u"], ["g"]),
        ],
        [const("s", BIG), const("i", [[0, 0]]), ones("u", 1)],
    ),
    "response over many channels": ([node("LRN", ["logits"], ["g"], size=10**9)], []),
    "samples of a distribution": (
        [
            node("Reshape", ["logits", "s"], ["row"]),
            node("Multinomial", ["row"], ["g"], sample_size=10**9),
        ],
        [const("s", [1, -1])],
    ),
    "regions that are sampled": (
        [node("RoiAlign", ["logits", "r", "b"], ["g"], sampling_ratio=1 << 32, output_height=1)],
        [const("r", [[0, 0, 1, 1]], np.float32), const("b", [0])],
    ),
    "words that are counted": (
        [
            node("Reshape", ["index", "s"], ["row"]),
            node(
                "TfIdfVectorizer",
                ["row"],
                ["g"],
                mode="TF",
                min_gram_length=1,
                max_gram_length=1,
                max_skip_count=0,
                ngram_counts=[0],
                ngram_indexes=[2**31 - 2],
                pool_int64s=[1],
            ),
        ],
        [const("s", [1, -1])],
    ),
    "boxes that are suppressed": (
        [node("NonMaxSuppression", ["a", "b", "c"], ["g"])],
        [ones("a", 1, 3000, 4), ones("b", 1, 30, 3000), const("c", 10**12)],
    ),
    "columns to an image": (
        [node("Col2Im", ["a", "s", "k"], ["g"])],
        [ones("a", 1, 1, 1), const("s", BIG), const("k", [1, 1])],
    ),
    "grid of a transform": (
        [node("AffineGrid", ["a", "s"], ["g"])],
        [ones("a", 1, 2, 3), const("s", [1, 1, *BIG])],
    ),
    "random as large as": (
        [node("RandomUniformLike", ["logits"], ["g"])],
        [],
    ),
    "sequence that grows": (
        [
            node("SequenceConstruct", ["logits"] * 200, ["q"]),
            node("ConcatFromSequence", ["q"], ["g"], axis=1),
        ],
        [],
    ),
    "optional": (
        [node("Optional", ["logits"], ["o"]), node("OptionalGetElement", ["o"], ["g"])],
        [],
    ),
    "recurrent layer": (
        [
            node("Reshape", ["logits", "s"], ["rows"]),
            node("RNN", ["rows", "w", "r"], ["g"], hidden_size=1000),
        ],
        [const("s", [-1, 1, 1]), ones("w", 1, 1000, 1), ones("r", 1, 1000, 1000)],
    ),
    "text in a tensor": (
        [node("Equal", ["t", "t"], ["g"])],
        [helper.make_tensor("t", TensorProto.STRING, [1], ["x" * 100_000])],
    ),
    "text in a node": ([node("Constant", [], ["g"], value_string="x" * (1 << 19))], []),
    "numbers in a node": ([node("Constant", [], ["g"], value_floats=[1.0] * 100_000)], []),
    # Stored tensors read by many nodes, each of which is folded when the file is loaded.
    "a stored tensor turned many times": (
        [
            *[node("Transpose", ["a"], [f"t{i}"]) for i in range(2000)],
            *[node("ReduceMax", [f"t{i}"], [f"m{i}"], keepdims=0) for i in range(2000)],
            *chain(lambda a, b, i: node("Max", ["m0" if a == "a" else a, f"m{i}"], [b]), 2000),
        ],
        [ones("a", 400, 600)],
    ),
    "a stored tensor dequantized many times": (
        [
            *[node("DequantizeLinear", ["a", "z"], [f"t{i}"]) for i in range(2000)],
            *[node("Add", ["logits", f"t{i}"], [f"m{i}"]) for i in range(2000)],
            *chain(lambda a, b, i: node("Max", ["m0" if a == "a" else a, f"m{i}"], [b]), 2000),
        ],
        [const("a", np.ones((900, 900)), np.int8), const("z", 1, np.float32)],
    ),
    "a stored tensor multiplied with itself": (
        [node("MatMul", ["a", "b"], ["p"]), node("ReduceMax", ["p"], ["g"], keepdims=0)],
        [ones("a", 500, 500), ones("b", 500, 500)],
    ),
    # Many of something.
    "many nodes": (chain(lambda a, b, _: node("Neg", ["logits" if a == "a" else a], [b]), 30_000), []),
    "many nodes on one tensor": (
        [
            *[node("Neg", ["index"], [f"n{i}"]) for i in range(20_000)],
            node("Max", ["n0", "n1"], ["g"]),
        ],
        [],
    ),
    "nodes up to the limit, one after the other": (
        chain(lambda a, b, _: node("Neg", ["index" if a == "a" else a], [b]), 6000),
        [],
    ),
    "nodes up to the limit, each with a number": (
        chain(lambda a, b, i: node("Add", ["index" if a == "a" else a, f"c{i}"], [b]), 6000),
        [const(f"c{i}", i) for i in range(6000)],
    ),
    "nodes up to the limit, that turn to and fro": (
        chain(lambda a, b, _: node("Transpose", ["logits" if a == "a" else a], [b], perm=[0, 2, 3, 1]), 5998),
        [],
    ),
    "nodes up to the limit, on one tensor": (
        [
            *[node("Add", ["index", f"c{i}"], [f"n{i}"]) for i in range(5900)],
            *[node("Max", [f"n{i}" for i in range(j, j + 100)], [f"m{j}"]) for j in range(0, 5900, 100)],
            node("Max", [f"m{j}" for j in range(0, 5900, 100)], ["g"]),
        ],
        [const(f"c{i}", i) for i in range(5900)],
    ),
    "nodes up to the limit, that fold": (
        [
            *[node("Add", [f"c{i}", f"c{i + 1}"], [f"n{i}"]) for i in range(5900)],
            *[node("Max", [f"n{i}" for i in range(j, j + 100)], [f"m{j}"]) for j in range(0, 5900, 100)],
            node("Max", [f"m{j}" for j in range(0, 5900, 100)], ["most"]),
            node("Add", ["index", "most"], ["g"]),
        ],
        [const(f"c{i}", i) for i in range(5901)],
    ),
    "shapes up to the limit": (
        chain(
            lambda a, b, i: node("Reshape", ["logits" if a == "a" else a, f"s{i}"], [b]),
            5998,
        ),
        [const(f"s{i}", [-1, 3, 64, 64]) for i in range(5998)],
    ),
    "stored tensors up to the limit": (
        [
            *[node("Sum", [f"c{i}" for i in range(j, j + 200)], [f"m{j}"]) for j in range(0, 8_000, 200)],
            node("Sum", ["scaled", *[f"m{j}" for j in range(0, 8_000, 200)]], ["g"]),
        ],
        [const(f"c{i}", 0, np.float32) for i in range(8_000)],
    ),
    "many tensors that nothing reads": (
        [node("Neg", ["logits"], ["g"])],
        [const(f"unused{i}", [0], np.uint8) for i in range(40_000)],
    ),
    "operator of another domain": (
        [node("Range", ["a", "b", "c"], ["g"], domain="com.microsoft")],
        [const("a", 0), const("b", 2 * 10**9), const("c", 1)],
    ),
    "operator that does not exist": ([node("Frobnicate", ["logits"], ["g"])], []),
    **MISFITS,
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


def _with(**how):
    """A file with another card, as fields or as text, another self-test, or another graph."""
    card = mm.make_card(**how.get("card", {}))
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    if "graph" in how:
        how["graph"](proto)
    if "classes" in how:
        card = replace(card, classes=how["classes"](card))
    if "card_json" in how:
        fields = {**replace(card, operators=dict(Counter(n.op_type for n in proto.graph.node))).to_dict()}
        how["card_json"](fields)
        card = json.dumps(fields)
    return mm.finish(proto, card, how["golden"](golden) if "golden" in how else golden)


def _many_classes(count):
    """A network that has so many scores for each pixel, by one convolution of small weights."""
    card = mm.make_card(classes=count)
    proto = mm.make_proto(card)
    return mm.finish(proto, card, mm.make_golden(mm.make_card(), mm.make_proto(mm.make_card())))


def _named(name):
    """The same name for each class, but numbered where it is not empty."""
    return lambda card: tuple(replace(c, name=name and f"{c.id}{name}") for c in card.classes)


def _cases(count, batch, height, width):
    """A self-test of so many large cases, small in the file; none of its pixels is decided."""
    labels = np.full((batch, height, width), 255, np.uint8)
    case = GoldenCase(batch, height, width, 1, "0" * 64, labels)
    return lambda _: Golden((case,) * count, 1e-3)


def _undecided(golden):
    cases = tuple(replace(c, labels=np.full_like(c.labels, 255)) for c in golden.cases)
    return Golden(cases, golden.tau)


def _renamed(name):
    def change(proto):
        for n in proto.graph.node:
            n.name = name

    return change


def _raw(change):
    """Bytes that onnx's own library would not write: what `change` makes of the unsealed file."""
    return sealed(change(unsealed(_with())))


def _beside(proto):
    tensor = proto.graph.initializer[-1]
    tensor.float_data.extend([0.0] * 100_000)


def _described(proto):
    for i in range(20_000):
        proto.graph.value_info.append(info(f"v{i}", 1, [1 << 40] * 8))


# Name -> bytes of a file.
FILES = {
    "class names of a million characters": lambda: _with(classes=_named("x" * 10**6)),
    "class names of combining marks": lambda: _with(classes=_named("a" + "\u0301" * 50_000)),
    "class names of several lines": lambda: _with(classes=_named("a\nb")),
    "class names that color a terminal": lambda: _with(classes=_named("\x1b[31mred")),
    "class names that change direction": lambda: _with(classes=_named("\u202egnp.exe")),
    "class names that are empty": lambda: _with(classes=_named("")),
    "a card of many options": lambda: _with(
        card_json=lambda c: c["net"].update(options={f"k{i}": i for i in range(200_000)})
    ),
    "a card of many operators": lambda: _with(
        card_json=lambda c: c.update(operators={f"k{i}": 1 for i in range(200_000)})
    ),
    "a card of other operators": lambda: _with(card_json=lambda c: c.update(operators={"Conv": 1})),
    "a card of many sizes": lambda: _with(
        card_json=lambda c: c["verification"].update(sizes=[[1, 64, 64]] * 300_000)
    ),
    "a card of a smallest size of millions": lambda: _with(
        card_json=lambda c: c["geometry"].update(smallest_size=2**31 - 1)
    ),
    "a card whose text has no end": lambda: _with(card_json=lambda c: c.update(license="x" * 3_000_000)),
    "a card of 65,535 classes": lambda: _with(
        card_json=lambda c: c.update(
            unlabeled=65535, classes=[{"id": i, "name": "c", "color": [0, 0, 0]} for i in range(65_535)]
        )
    ),
    "65,000 classes of a small file": lambda: _many_classes(65_000),
    "3,000 classes of a small file": lambda: _many_classes(3_000),
    "a card nested deep": lambda: _with(
        card_json=lambda c: c["net"].update(options=json.loads("[" * 900 + "]" * 900))
    ),
    "sixteen self-tests of 4096x4096": lambda: _with(golden=_cases(16, 1, 4096, 4096)),
    "a self-test of many small cases": lambda: _with(golden=_cases(16, 4, 96, 96)),
    "a self-test of a large batch": lambda: _with(golden=_cases(1, 4096, 64, 64)),
    "a self-test that decides nothing": lambda: _with(
        golden=_undecided, card={"providers": ("CUDAExecutionProvider",)}
    ),
    "node names that color a terminal": lambda: _with(graph=_renamed("\x1b[31mred\x1b[0m")),
    "node names of several lines": lambda: _with(graph=_renamed("a\nb")),
    "node names of a million characters": lambda: _with(graph=_renamed("x" * 10**6)),
    "typed data beside raw data": lambda: _with(graph=_beside),
    "many descriptions of tensors": lambda: _with(graph=_described),
    "two graphs": lambda: _raw(lambda d: d + field(fields.Model.GRAPH, b"")),
    "a graph in two halves": lambda: _raw(
        lambda d: d + message(fields.Model.GRAPH, message(fields.Graph.NODE, field(4, "Loop")))
    ),
    "a file of empty fields": lambda: _raw(lambda d: d + field(fields.Model.DOC_STRING, "") * 500_000),
    "a file of metadata": lambda: _raw(
        lambda d: d + b"".join(message(14, field(1, f"k{i}"), field(2, "v")) for i in range(100_000))
    ),
    "training information": lambda: _raw(lambda d: d + message(20, field(1, b""))),
}


def _good(folder: Path) -> Path:
    mm.make_model(folder / "good.onnx")
    return folder / "good.onnx"


def _case(kind: str, data: Callable[[], bytes], *expected: str) -> Case:
    def make(folder: Path) -> Path:
        path = folder / "hostile.onnx"
        path.write_bytes(data())
        return path

    return Case(kind, make, expected)


CASES = (
    # A few of them take no more than a model may, and run; their labels are not those of the self-test.
    *(
        _case(kind, partial(hostile_model, kind), "ModelError", "VerificationError", OPENED)
        for kind in HOSTILE
    ),
    *(_case(kind, data, "ModelError", "VerificationError") for kind, data in FILES.items()),
)
SUBJECT = Subject("models", _good, open_model, CASES, warm)
