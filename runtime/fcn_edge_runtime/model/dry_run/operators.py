"""The operators that are accepted.

These are the operators of ONNX's operator set 18 that PyTorch's exporter makes of the layers of segmentation
networks, with those that our own stages add. Each has a rule for the shape of what it makes, which is why the
list ends here: an operator without a rule can make anything. In groups, and why each is there:

- **Convolutions and pools**: what a fully convolutional network is.
- **Products**: linear layers and attention, also as an `Einsum`.
- **Normalizations**: of batches, instances, groups and layers; `Softmax` of attention and of probabilities.
- **Activations and arithmetic**: elementwise, with what exporters write them with (`Erf` for GELU).
- **Reductions**: pooling over the whole image, squeeze and excitation, our confidence.
- **Shapes**: how a graph takes images of any size, pads to multiples, splits into windows for attention.
- **Sampling**: upsampling, pixel shuffles, grids.
- **Choices**: our sparse head, masks of attention, positions of queries.
- **Quantization**: int8 files hold `QuantizeLinear` and `DequantizeLinear` around float operators.

Left out are loops, branches, random numbers, sequences, text, recurrent layers, detection (`RoiAlign`,
`NonMaxSuppression`), signal processing, operators that onnxruntime makes itself (`QLinearConv`), and those of
other domains.
"""

from __future__ import annotations

from fcn_edge_runtime.model.dry_run import arithmetic, arrangement, windows
from fcn_edge_runtime.model.dry_run.rule import Rule
from fcn_edge_runtime.model.protobuf.fields import DataType

__all__ = ["ALLOWED", "CUT_OFF", "MORE_TYPES", "TYPES", "TYPE_SOURCES"]


def _each(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


ALLOWED: dict[str, Rule] = {
    # Convolutions and pools.
    "Conv": windows.convolve,
    "ConvTranspose": windows.convolve_back,
    **_each(windows.pool, "MaxPool AveragePool LpPool"),
    **_each(windows.pool_all, "GlobalAveragePool GlobalMaxPool GlobalLpPool"),
    # Products.
    "MatMul": arithmetic.multiply,
    "Gemm": arithmetic.gemm,
    "Einsum": arithmetic.einsum,
    # Normalizations.
    **_each(arithmetic.normalize, "BatchNormalization InstanceNormalization GroupNormalization"),
    "LpNormalization": arithmetic.same,
    "LayerNormalization": arithmetic.normalize_layer,
    **_each(arithmetic.slow, "Softmax LogSoftmax"),
    # Activations and arithmetic.
    **_each(arithmetic.same, "Relu LeakyRelu ThresholdedRelu HardSigmoid HardSwish Abs Neg Not Sign"),
    **_each(arithmetic.same, "Ceil Floor Round Reciprocal Sqrt Identity Cast IsNaN IsInf Clip"),
    **_each(
        arithmetic.slow, "Sigmoid Tanh Elu Celu Selu Softplus Softsign Mish Erf Exp Log Sin Cos Tan Atan"
    ),
    **_each(arithmetic.both, "Add Sub Mul Max Min Sum Mean PRelu And Or Xor"),
    **_each(arithmetic.both, "Equal Greater GreaterOrEqual Less LessOrEqual Where"),
    "Pow": arithmetic.slow_both,
    **_each(arithmetic.divide, "Div Mod"),
    "Dropout": arithmetic.two_same,
    # Reductions.
    **_each(arithmetic.reduce, "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"),
    **_each(arithmetic.reduce, "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp"),
    **_each(arithmetic.best, "ArgMax ArgMin"),
    # Shapes.
    "Shape": arrangement.shape_of,
    "Size": arrangement.single,
    "Reshape": arrangement.reshape,
    "Flatten": arrangement.flatten,
    "Squeeze": arrangement.squeeze,
    "Unsqueeze": arrangement.unsqueeze,
    "Transpose": arrangement.transpose,
    "Concat": arrangement.concat,
    "Split": arrangement.split,
    "Slice": arrangement.cut,
    "Gather": arrangement.gather,
    "GatherElements": arrangement.gather_elements,
    "GatherND": arrangement.gather_nd,
    "Pad": arrangement.pad,
    "Expand": arrangement.expand,
    "Tile": arrangement.tile,
    "ConstantOfShape": arrangement.filled,
    "Range": arrangement.count_up,
    # Sampling.
    "Resize": windows.resize,
    "DepthToSpace": windows.to_space,
    "SpaceToDepth": windows.to_depth,
    "GridSample": windows.sample,
    # Choices.
    "NonZero": arrangement.nonzero,
    "Compress": arrangement.compress,
    "TopK": arrangement.top,
    "OneHot": arrangement.one_hot,
    **_each(arithmetic.slow, "ScatterND ScatterElements CumSum Trilu EyeLike"),
    # Quantization.
    **_each(arithmetic.same, "QuantizeLinear DequantizeLinear"),
}

# The type of what they make, where it is one whatever they are given.
TYPES = {
    **dict.fromkeys(["Shape", "Size", "ArgMax", "ArgMin", "NonZero"], DataType.INT64),
    **dict.fromkeys(
        [
            "Equal",
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "And",
            "Or",
            "Xor",
            "Not",
            "IsNaN",
            "IsInf",
        ],
        DataType.BOOL,
    ),
    "DequantizeLinear": DataType.FLOAT,
}
# The input that has the type of what they make, where it is not the first.
TYPE_SOURCES = {"Where": 1, "OneHot": 2, "QuantizeLinear": 2}
# The type of their further outputs, where it is another.
MORE_TYPES = {"MaxPool": DataType.INT64, "TopK": DataType.INT64, "Dropout": DataType.BOOL}
# The shape of what they make depends on what the image shows.
CUT_OFF = frozenset(("NonZero", "Compress"))
