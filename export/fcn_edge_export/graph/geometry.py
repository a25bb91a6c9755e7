"""Stride, receptive field, and whether a layer sees the whole image: computed from the graph.

Every value is given a step (input pixels between neighbors) and a field (input pixels that one of its
elements depends on, along one axis), propagated by the recurrences of Araujo, Norris and Sim, "Computing
Receptive Fields of Convolutional Neural Networks" (Distill, 2019): field += (kernel - 1) * dilation * step,
step *= stride. Where paths meet, the larger field and the coarser step count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fcn_edge_export.graph.inferred import inferred_shapes
from fcn_edge_export.graph.names import LOGITS, TRACED_INPUT
from fcn_edge_export.graph.probe_outputs import with_outputs
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.card import Geometry
from fcn_edge_runtime.session.session import open_session

__all__ = ["geometry"]

# Operators that move information only within a position, or only between channels.
POINTWISE = frozenset(
    """
    Abs Add And BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape CumSum DequantizeLinear
    Div Dropout Elu Equal Erf Exp Expand Flatten Floor Gather Gelu Greater HardSigmoid HardSwish Identity
    LRN LeakyRelu Less Log LogSoftmax Max Mean Min Mish Mul Neg Not Or PRelu Pad Pow QuantizeLinear Range
    Reciprocal Relu Round Selu Shape Sigmoid Sign Sin Softmax Softplus Softsign Split Sqrt
    Squeeze Sub Sum Tanh ThresholdedRelu Transpose Unsqueeze Where
    """.split()  # noqa: SIM905 (a table of words reads better than a list of quotes)
)
WINDOWED = frozenset(
    {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "ConvInteger", "QLinearConv"}
)
SHUFFLING = frozenset({"DepthToSpace", "SpaceToDepth", "Reshape"})
RESIZING = frozenset({"Resize", "Upsample"})
SHAPE_ONLY = frozenset({"Shape", "Size"})


@dataclass(frozen=True)
class _Reach:
    """How one element of a value sees the input: step and field in input pixels, and whether all of it."""

    step: Fraction = Fraction(1)
    coarsest: Fraction = Fraction(1)
    field: Fraction = Fraction(1)
    whole: bool = False


def geometry(network: onnx.ModelProto, *, smallest: int, multiple: int) -> Geometry:
    """Geometry of a network that maps `normalized` to `logits`, both NCHW float32.

    `smallest` (of an image) and `multiple` are what probing found; they go onto the result.
    """
    sizes = _widths(network, _convenient_size(smallest, multiple))
    constants = {i.name: i for i in network.graph.initializer}
    reach: dict[str, _Reach] = {TRACED_INPUT: _Reach()}
    for node in network.graph.node:
        sources = [reach[name] for name in node.input if name in reach]
        if not sources or node.op_type in SHAPE_ONLY:
            continue  # computed from constants or from sizes alone: it sees no pixel
        result = _through(node, _meet(sources), constants, sizes)
        reach.update(dict.fromkeys(node.output, result))
    if LOGITS not in reach:
        raise ArtifactError("graft: the logits do not depend on the image: there is nothing to export")
    seen = reach[LOGITS]
    return Geometry(
        stride=ceil(seen.coarsest),
        receptive_field=ceil(seen.field),
        sees_whole_image=seen.whole,
        size_multiple=multiple,
        smallest_size=smallest,
    )


def _meet(sources: Iterable[_Reach]) -> _Reach:
    sources = list(sources)
    return _Reach(
        step=max(s.step for s in sources),
        coarsest=max(s.coarsest for s in sources),
        field=max(s.field for s in sources),
        whole=any(s.whole for s in sources),
    )


def _through(
    node: onnx.NodeProto, at: _Reach, constants: Mapping[str, onnx.TensorProto], sizes: Mapping[str, Fraction]
) -> _Reach:
    if node.op_type in WINDOWED:
        return _window(node, at, constants)
    if node.op_type in RESIZING:
        step = sizes.get(node.output[0], at.step)
        return _coarser(replace(at, step=step, field=at.field + _resize_reach(node, at.step, step)))
    if node.op_type == "Slice":
        return _coarser(replace(at, step=at.step * _slice_step(node, constants)))
    if node.op_type in SHUFFLING:
        # Moving pixels into channels joins neighbors; moving them back splits what one element saw.
        step = sizes.get(node.output[0], at.step)
        return _coarser(replace(at, step=step, field=at.field + max(Fraction(0), step - at.step)))
    if node.op_type in POINTWISE:
        return at
    # Global pooling, reductions, matrix products, instance norms, attention: they may read every position.
    # An operator that is not listed counts as global: a card must not promise too much.
    return replace(at, whole=True)


def _resize_reach(node: onnx.NodeProto, before: Fraction, after: Fraction) -> Fraction:
    """Input pixels that resizing adds to a field: none to copy a pixel, its neighbors to interpolate.

    An antialiased reduction widens the kernel by the factor of the reduction.
    """
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    neighbors = {b"nearest": 0, b"linear": 1, b"cubic": 3}[attributes.get("mode", b"nearest")]
    return neighbors * (max(before, after) if attributes.get("antialias") else before)


def _slice_step(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> int:
    """Every how many elements a slice takes, 1 where it only cuts."""
    steps = constants.get(node.input[4]) if len(node.input) > 4 else None
    return int(np.abs(numpy_helper.to_array(steps)).max()) if steps is not None else 1


def _window(node: onnx.NodeProto, at: _Reach, constants: Mapping[str, onnx.TensorProto]) -> _Reach:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = attributes.get("kernel_shape") or _weight_shape(node, constants)[2:]
    dilations = attributes.get("dilations") or [1] * len(kernel)
    strides = attributes.get("strides") or [1] * len(kernel)
    reach = max((k - 1) * d for k, d in zip(kernel, dilations, strict=True))
    stride = max(strides)
    if node.op_type == "ConvTranspose":
        # An output element reads ceil(kernel / stride) inputs, at the input's step.
        step = at.step / stride
        return replace(at, step=step, field=at.field + (ceil((reach + 1) / stride) - 1) * at.step)
    return _coarser(replace(at, step=at.step * stride, field=at.field + reach * at.step))


def _coarser(reach: _Reach) -> _Reach:
    return replace(reach, coarsest=max(reach.coarsest, reach.step))


def _weight_shape(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> list[int]:
    weight = constants.get(node.input[3 if node.op_type == "QLinearConv" else 1])
    return list(weight.dims) if weight is not None else [1, 1, 1, 1]


def _convenient_size(smallest: int, multiple: int) -> int:
    """A side that every power-of-two stride up to 64 divides, so that measured ratios are exact."""
    unit = int(np.lcm(64, multiple))
    return unit * -(-max(256, smallest) // unit)


def _widths(network: onnx.ModelProto, side: int) -> dict[str, Fraction]:
    """Input pixels per element of every resized or reshaped value, for an image of side x side.

    Values that are not square maps (attention heads, channels last) are left out. Nothing is known of a
    network of another fixed size, and of one that does not run at that size: the verdict will fail.
    """
    names = [n.output[0] for n in network.graph.node if n.op_type in RESIZING | SHUFFLING]
    _, channels, *sides = network.graph.input[0].type.tensor_type.shape.dim
    if any(fixed.dim_value not in (0, side) for fixed in sides):
        return {}
    image = (1, channels.dim_value, side, side)
    shapes = inferred_shapes(network, image)
    if not shapes.keys() >= {*names}:
        shapes = _measured_shapes(network, names, image)
    return {
        name: Fraction(side, shape[-1])
        for name in names
        if len(shape := shapes.get(name, ())) == 4 and shape[-1] == shape[-2] > 0
    }


def _measured_shapes(
    network: onnx.ModelProto, names: Sequence[str], image: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    known = {o.name for o in network.graph.output}
    outputs = [onnx.ValueInfoProto(name=name) for name in names if name not in known]
    try:
        session = open_session(with_outputs(network, outputs), "cpu")
        values = session.raw.run(names, {TRACED_INPUT: np.zeros(image, np.float32)})
    except Exception:  # noqa: BLE001 (onnxruntime's errors derive from Exception alone)
        return {}
    return {name: value.shape for name, value in zip(names, values, strict=True)}
