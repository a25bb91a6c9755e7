"""Inserts QuantizeLinear and DequantizeLinear, so that a float model computes its body in integers.

The nodes are inserted by onnxruntime's own quantizer; layers, ranges and the target are chosen here. Weights
are int8 per output channel, symmetric. Activations are uint8 with a zero point for CPUs, where onnxruntime
then merges a convolution with the ReLU behind it, and int8 without a zero point for GPUs, which need that.

A convolution gives integers, a matrix product floats: onnxruntime scales its sums as it stores them. What
stays in float reads weights, and values that were computed in float, unrounded.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from fcn_edge_export.graph.strip import strip
from fcn_edge_export.lowering.body import FLOATS_OUT, INTEGER_OPS, Body, constants_of, drop_unused
from fcn_edge_export.lowering.fold_normalization import without_rounding
from fcn_edge_export.lowering.ranges import Range
from fcn_edge_export.lowering.rounding import RoundedLayer
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.session.cpu import adds_exactly

__all__ = ["INTEGER_TARGETS", "IntegerTarget", "target_named", "this_target", "with_qdq"]


@dataclass(frozen=True)
class IntegerTarget:
    """The form of int8 that a kind of machine needs.

    Attributes:
        name: as users write it.
        signed: activations are int8 and symmetric instead of uint8 with a zero point.
        seven_bits: weights use 7 of their 8 bits, because the machine adds two products in 16 bits, which
            would saturate (x86 before VNNI).
    """

    name: str
    signed: bool = False
    seven_bits: bool = False


INTEGER_TARGETS = (
    IntegerTarget("x86-vnni"),
    IntegerTarget("x86", seven_bits=True),
    IntegerTarget("arm64"),
    IntegerTarget("gpu", signed=True),
)


def target_named(name: str | None) -> IntegerTarget:
    """The target of that name; None means this machine.

    Raises:
        UsageError: the name is unknown.
    """
    wanted = this_target() if name is None else name
    found = next((target for target in INTEGER_TARGETS if target.name == wanted), None)
    if found is None:
        raise UsageError(
            f"got the target {wanted!r}, expected one of {', '.join(t.name for t in INTEGER_TARGETS)}"
        )
    return found


def this_target() -> str:
    """The name of the target that this machine's CPU is."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "arm64"
    return "x86-vnni" if adds_exactly() else "x86"


def with_qdq(
    model: onnx.ModelProto,
    body: Body,
    ranges: Mapping[str, Range],
    target: IntegerTarget,
    keep_float: AbstractSet[str],
    rounded: Mapping[str, RoundedLayer] | None = None,
) -> onnx.ModelProto:
    """The model with its body in integers, all but the nodes named in `keep_float`.

    Args:
        model: typed, see `body.typed`; it is not changed.
        body: of this model.
        ranges: of every tensor of the body.
        target: the machine it is for.
        keep_float: names of nodes that stay in float.
        rounded: products whose weights are rounded already, by name.

    Raises:
        ArtifactError: onnxruntime's quantizer failed.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    spans = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    wanted = [name for name in body.nodes if name not in keep_float]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not wanted:  # the quantizer takes no name for every name
        return strip(copy)
    _keep_biases_apart(copy, set(wanted))
    inputs = {node.name: list(node.input) for node in copy.graph.node if node.name not in wanted}
    scales = _with_rounded(copy, {n: layer for n, layer in (rounded or {}).items() if n in wanted})
    with _quiet():
        try:
            quantizer = QDQQuantizer(
                _marked(copy),
                per_channel=True,
                reduce_range=target.seven_bits,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QInt8 if target.signed else QuantType.QUInt8,
                tensors_range=TensorsData(CalibrationMethod.MinMax, spans),
                nodes_to_quantize=wanted,
                nodes_to_exclude=[],
                op_types_to_quantize=list(INTEGER_OPS),
                extra_options={
                    "ActivationSymmetric": target.signed,
                    "WeightSymmetric": True,
                    "OpTypesToExcludeOutputQuantization": list(FLOATS_OUT),
                    "TensorQuantOverrides": scales,
                },
            )
            quantizer.quantize_model()
        except Exception as error:
            raise ArtifactError(f"quantize: onnxruntime's quantizer stopped: {error}") from error
    made = quantizer.model.model
    _read_unrounded(made, inputs, constants_of(model), _given_as_integers(model, set(wanted)))
    _read_sizes_off_integers(made)
    drop_unused(without_rounding(made))
    quantizer.model.topological_sort()  # it appends new nodes at the end; other engines need a sorted graph
    made.producer_name = "fcn-edge"
    made.producer_version = ""
    made.ir_version = model.ir_version
    return strip(made)


def _with_rounded(
    model: onnx.ModelProto, layers: Mapping[str, RoundedLayer]
) -> dict[str, list[dict[str, object]]]:
    """Set rounded weights and biases, in place, and return the scales as the quantizer takes them."""
    scales = {}
    for node in model.graph.node:
        layer = layers.get(node.name)
        if layer is None:
            continue
        names = [f"fcn_edge/rounded/{node.name}/{what}" for what in ("weight", "bias")]
        arrays = [array for array in (layer.weight, layer.bias) if array is not None]
        names = names[: len(arrays)]
        for name, value in zip(names, arrays, strict=True):
            model.graph.initializer.append(numpy_helper.from_array(value, name))
        node.input[:] = [node.input[0], *names]
        scales[names[0]] = [
            {"axis": layer.axis, "scale": np.float32(scale), "zero_point": np.int8(0)}
            for scale in layer.scale
        ]
    return scales


def _marked(model: onnx.ModelProto) -> onnx.ModelProto:
    """Mark types as known. Otherwise the quantizer writes the model to a folder to infer them."""
    entry = model.metadata_props.add()
    entry.key, entry.value = "onnx.infer", "onnxruntime.quant"
    return model


def _keep_biases_apart(model: onnx.ModelProto, wanted: AbstractSet[str]) -> None:
    """Give the biases of matrix products in integers three dimensions, in place.

    Where shapes are known, onnxruntime merges a product and its bias of one dimension into a Gemm of floats,
    before it looks for integers.
    """
    constants = constants_of(model)
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in model.graph.value_info}
    products = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.name in wanted and ranks.get(node.output[0], 0) > 2
    }
    for node in model.graph.node:
        if node.op_type != "Add" or products.isdisjoint(node.input):
            continue
        for index, name in enumerate(node.input):
            if name in constants and len(constants[name].dims) == 1:
                bias = onnx.TensorProto()
                bias.CopyFrom(constants[name])
                bias.name, bias.dims[:] = f"fcn_edge/bias/{node.name}", [1, 1, *bias.dims]
                model.graph.initializer.append(bias)
                node.input[index] = bias.name


def _given_as_integers(model: onnx.ModelProto, wanted: AbstractSet[str]) -> set[str]:
    return {
        name
        for node in model.graph.node
        if node.name in wanted and node.op_type not in FLOATS_OUT
        for name in node.output
    }


def _read_unrounded(
    made: onnx.ModelProto,
    inputs: Mapping[str, Sequence[str]],
    weights: Mapping[str, onnx.TensorProto],
    integers: AbstractSet[str],
) -> None:
    """Let nodes that stay in float read weights and floats as they were; the quantizer rounds for all.

    Args:
        made: what the quantizer made; it is changed.
        inputs: of the nodes that stay in float, by their names.
        weights: of the float model.
        integers: values that exist as integers alone.
    """
    present = set(constants_of(made))
    for node in made.graph.node:
        for index, name in enumerate(inputs.get(node.name, ())):
            if node.input[index] == name or name in integers:
                continue
            node.input[index] = name
            if name in weights and name not in present:
                made.graph.initializer.append(weights[name])
                present.add(name)


def _read_sizes_off_integers(model: onnx.ModelProto) -> None:
    """Let Shape read the input of a DequantizeLinear: the size is the same, and no float copy is made."""
    sources = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type == "Shape":
            node.input[:] = [sources.get(name, name) for name in node.input]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantizer, which advises to preprocess a model that the export has already simplified."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
