"""Graphs whose numbers do not fit their operators: what onnxruntime may trap on, and our checks trip over.

In the form of `models.HOSTILE`: nodes that end in the tensor `g`, and initializers.
"""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

node = helper.make_node
FLOAT, DOUBLE, INT32 = np.float32, np.float64, np.int32


def const(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)


def divided(op, least, dtype, to):
    """The least whole number by -1, which has no result: as a stored tensor, and by what the image shows."""
    nodes = [
        node("Cast", ["index"], ["whole"], to=to),
        node("Sub", ["whole", "whole"], ["none"]),
        node("Add", ["none", "least"], ["a"]),
        node("Add", ["none", "minus"], ["b"]),
        node(op, ["a", "b"], ["g"]),
    ]
    return nodes, [const("least", least, dtype), const("minus", -1, dtype)]


def by_nothing(op, to, *, stored):
    nodes = [node("Cast", ["index"], ["whole"], to=to), node("Sub", ["whole", "whole"], ["none"])]
    if stored:
        return [nodes[0], node(op, ["whole", "zero"], ["g"])], [const("zero", 0, {6: INT32, 7: np.int64}[to])]
    return [*nodes, node(op, ["whole", "none"], ["g"])], []


def empty(*nodes, more=()):
    """Nodes on `e`, the logits without a row."""
    cut = node("Slice", ["logits", "zero", "zero", "two"], ["e"])
    return [cut, *nodes], [const("zero", [0]), const("two", [2]), *more]


def unsqueezed(count):
    names = ["logits", *(f"u{i}" for i in range(count - 1)), "g"]
    return [node("Unsqueeze", [names[i], "axis"], [names[i + 1]]) for i in range(count)], [const("axis", [0])]


def kept(op, count, *inputs, **attributes):
    """Many of an operator's outputs, all there until the last sum."""
    parts = [node(op, list(inputs), [f"n{i}"], **attributes) for i in range(count)]
    sums = [node("Sum", [f"n{i}" for i in range(j, j + 100)], [f"m{j}"]) for j in range(0, count, 100)]
    return [*parts, *sums, node("Sum", [f"m{j}" for j in range(0, count, 100)], ["g"])]


MISFITS = {
    # Whole numbers that a processor traps on.
    "the least number by -1": divided("Div", -(1 << 63), np.int64, 7),
    "the least number of 32 bits by -1": divided("Div", -(1 << 31), INT32, 6),
    "the rest of the least number by -1": divided("Mod", -(1 << 63), np.int64, 7),
    "the rest of the least number of 32 bits by -1": divided("Mod", -(1 << 31), INT32, 6),
    "a stored -1 that divides": (
        [node("Div", ["least", "minus"], ["q"]), node("Add", ["q", "index"], ["g"])],
        [const("least", -(1 << 63)), const("minus", -1)],
    ),
    **{
        f"{name} of {bits} bits by {'a stored' if stored else 'the 0 of an'} {'0' if stored else 'image'}": (
            by_nothing(op, to, stored=stored)
        )
        for op, name in (("Div", "division"), ("Mod", "rest"))
        for to, bits in ((6, 32), (7, 64))
        for stored in (True, False)
    },
    "the mean of no whole numbers": empty(
        node("Cast", ["e"], ["i"], to=7), node("ReduceMean", ["i"], ["g"], keepdims=0)
    ),
    "groups of no channels": (
        [node("Conv", ["logits", "w"], ["g"], group=0)],
        [const("w", np.ones((3, 1, 1, 1)), FLOAT)],
    ),
    "less than no groups": (
        [node("ConvTranspose", ["logits", "w"], ["g"], group=-3)],
        [const("w", np.ones((3, 1, 1, 1)), FLOAT)],
    ),
    "no groups of channels": (
        [node("GroupNormalization", ["logits", "s", "s"], ["g"], num_groups=0)],
        [const("s", [1, 1, 1], FLOAT)],
    ),
    # Numbers beyond what a number holds.
    "a range from the least to the greatest number": (
        [node("Range", ["a", "b", "c"], ["g"])],
        [const("a", -1e308, DOUBLE), const("b", 1e308, DOUBLE), const("c", 1, DOUBLE)],
    ),
    "a range in tiny steps": (
        [node("Range", ["a", "b", "c"], ["g"])],
        [const("a", 0, DOUBLE), const("b", 1e300, DOUBLE), const("c", 1e-300, DOUBLE)],
    ),
    "no elements, and a side of 2^62": (
        [node("ConstantOfShape", ["s"], ["q"]), node("Shape", ["q"], ["g"])],
        [const("s", [0, 1 << 62])],
    ),
    "no elements, and a side that grows beyond 64 bits": (
        [
            node("ConstantOfShape", ["s"], ["q"]),
            node("Concat", ["q", "q", "q"], ["r"], axis=1),
            node("Shape", ["r"], ["g"]),
        ],
        [const("s", [0, 1 << 62])],
    ),
    "no elements, resized without end": (
        [
            node("ConstantOfShape", ["s"], ["q"]),
            node("Resize", ["q", "", "by"], ["r"], mode="nearest"),
            node("Resize", ["r", "", "by"], ["t"], mode="nearest"),
            node("Shape", ["t"], ["g"]),
        ],
        [const("s", [0, 1 << 62]), const("by", [1, 1e38], FLOAT)],
    ),
    "twelve sides, each resized by 3e38": (
        [node("Reshape", ["logits", "s"], ["r"]), node("Resize", ["r", "", "by"], ["g"], mode="nearest")],
        [const("s", [1] * 11 + [-1]), const("by", [3e38] * 12, FLOAT)],
    ),
    "seventeen sides of 2^62": (
        [node("Expand", ["logits", "s"], ["g"])],
        [const("s", [1 << 62] * 17 + [1, 3, 64, 64])],
    ),
    "a product of 52 letters": (
        [
            node("Reshape", ["logits", "s"], ["v"]),
            node(
                "Einsum",
                ["v"] * 52,
                ["g"],
                equation=",".join("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") + "->a",
            ),
        ],
        [const("s", [-1])],
    ),
    "5,000 dimensions": ([node("Reshape", ["logits", "s"], ["g"])], [const("s", [1] * 5000 + [-1])]),
    "a dimension more with each of 3,000 nodes": unsqueezed(3000),
    # Other numbers of inputs and outputs than an operator has.
    **{f"{op} of nothing": ([node(op, [], ["g"])], []) for op in ("Add", "Sum", "Max", "Neg", "Concat")},
    "a product of no letters": ([node("Einsum", [], ["g"], equation="->")], []),
    "a second output that is read": ([node("Neg", ["logits"], ["x", "y"]), node("Neg", ["y"], ["g"])], []),
    "a normalization that learns": (
        [
            node("BatchNormalization", ["logits", "o", "z", "z", "o"], ["x", "m", "v"], training_mode=1),
            node("Neg", ["m"], ["g"]),
        ],
        [const("o", [1, 1, 1], FLOAT), const("z", [0, 0, 0], FLOAT)],
    ),
    # What is broadcast where a vector belongs.
    "a group normalization by the logits": (
        [node("GroupNormalization", ["logits", "logits", "logits"], ["g"], num_groups=1)],
        [],
    ),
    "a layer normalization by the logits": (
        [node("LayerNormalization", ["logits", "logits"], ["g"], axis=-1)],
        [],
    ),
    "an instance normalization by the logits": (
        [node("InstanceNormalization", ["logits", "logits", "logits"], ["g"])],
        [],
    ),
    # Outputs that are wider than the first input.
    "choices of wide numbers, all kept": (
        [
            node("Equal", ["logits", "logits"], ["c"]),
            node("Cast", ["logits"], ["wide"], to=11),
            *kept("Where", 3000, "c", "wide", "wide"),
        ],
        [],
    ),
    "codes of labels, all kept": (
        [node("Cast", ["index"], ["narrow"], to=2), *kept("OneHot", 2000, "narrow", "d", "v", axis=1)],
        [const("d", 8), const("v", [0, 1], DOUBLE)],
    ),
    # Places outside.
    **{
        f"{mode} samples at {name}": (
            [node("GridSample", ["logits", "a"], ["g"], mode=mode, padding_mode=padding)],
            [const("a", np.full((1, 64, 64, 2), value), FLOAT)],
        )
        for mode, padding, name, value in (
            ("bicubic", "reflection", "NaN", np.nan),
            ("nearest", "border", "infinity", np.inf),
            ("bilinear", "reflection", "-3e38", -3e38),
        )
    },
    **{
        f"a {mode} crop of a region without end": (
            [
                node(
                    "Resize",
                    ["logits", "region", "", "s"],
                    ["g"],
                    mode=mode,
                    coordinate_transformation_mode="tf_crop_and_resize",
                )
            ],
            [const("region", [0, 0, -1e38, np.nan, 1, 1, 1e38, np.inf], FLOAT), const("s", [1, 3, 64, 64])],
        )
        for mode in ("nearest", "linear", "cubic")
    },
    "a crop of half a region": (
        [
            node(
                "Resize",
                ["logits", "region", "", "s"],
                ["g"],
                mode="linear",
                coordinate_transformation_mode="tf_crop_and_resize",
            )
        ],
        [const("region", [0, 0], FLOAT), const("s", [1, 3, 64, 64])],
    ),
    "more of nothing": empty(
        node("Resize", ["e", "", "", "s"], ["g"], mode="linear"), more=[const("s", [1, 3, 64, 64])]
    ),
    "an edge of nothing": empty(
        node("Pad", ["e", "p"], ["g"], mode="edge"), more=[const("p", [0, 0, 5, 5] * 2)]
    ),
    "the largest place in nothing": empty(node("ArgMax", ["e"], ["g"], axis=2)),
    "a pool of nothing": empty(node("MaxPool", ["e"], ["g"], kernel_shape=[2, 2])),
    "far more cut off than there is": (
        [node("Pad", ["logits", "p"], ["g"], mode="edge")],
        [const("p", [0, 0, -100, 5, 0, 0, -100, 5])],
    ),
    "gathered far outside": (
        [node("Gather", ["logits", "i"], ["g"], axis=1)],
        [const("i", [1 << 40, -(1 << 40)])],
    ),
    "scattered far outside": (
        [node("ScatterElements", ["logits", "i", "u"], ["g"], axis=2)],
        [const("i", [[[[1 << 40]]]]), const("u", [[[[1]]]], FLOAT)],
    ),
    "steps of the least number": (
        [node("Slice", ["logits", "a", "b", "c", "d"], ["g"])],
        [const("a", [-(1 << 63)]), const("b", [(1 << 63) - 1]), const("c", [3]), const("d", [-(1 << 63)])],
    ),
    "a triangle far outside": (
        [node("Trilu", ["logits", "k"], ["g"])],
        [const("k", -(1 << 62))],
    ),
    "a mode that colors a terminal": (
        [node("Pad", ["logits", "p"], ["g"], mode="\x1b[31mred\u202e" + "x" * 100_000)],
        [const("p", [0] * 8)],
    ),
}
