"""Weights rounded so that each layer, not each weight, errs least on calibration frames.

The error of a layer is the mean square of the change of its outputs, dW H dW', with H the covariance of its
inputs. Weights are rounded one input after another, and the error of each is made up for by the weights still
to be rounded, as far as their inputs vary together (Frantar et al., "GPTQ", 2023, after Hassibi and Stork's
"optimal brain surgeon", 1993). The mean error left goes into the bias (Nagel et al., 2019). Inputs are those
of the integer network, whose earlier layers are rounded already: the bias corrects their mean error, too.

Products of matrices are rounded in the same way, but have no bias to correct: a SegFormer keeps 99.88 % of
the labels instead of 99.87 %.

A rounded weight stays within the range of its channel: what holds for weights of eight or seven bits still
holds, such as that nothing saturates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fcn_edge_export.lowering.body import Body, constants_of
from fcn_edge_export.lowering.walk import Walk
from fcn_edge_runtime.progress import Progress, tracked

__all__ = ["RoundedLayer", "rounded_layers", "rounding_work"]

Array = npt.NDArray[Any]

POSITIONS = 512  # of a layer's output in each image that are taken as samples
MOST_INPUTS = 576  # of an output that are rounded together, 64 channels of 3x3; 1152 gave no more
AT_ONCE = 64  # inputs whose errors are passed on to all later ones by one matrix product
DAMPING = 0.01  # of the mean variance, added to each


@dataclass(frozen=True)
class RoundedLayer:
    """A product whose weights were rounded.

    Attributes:
        weight: as the product has them, float32, multiples of the scale.
        scale: (O,) float32, of each output channel.
        axis: of the weights, that of the output channels.
        bias: (O,) float32; None for a MatMul, which has none.
    """

    weight: Array
    scale: Array
    axis: int
    bias: Array | None


def rounded_layers(
    model: onnx.ModelProto,
    integers: onnx.ModelProto,
    body: Body,
    images: Sequence[Array],
    top: int,
    progress: Progress | None = None,
) -> dict[str, RoundedLayer]:
    """The products of the body by name, rounded in the order of the graph.

    Args:
        model: in float.
        integers: the same, its body or a part of it in integers, by `qdq.with_qdq`; its weights are changed
            in place.
        body: of both.
        images: (1, H, W, C) each, to learn from.
        top: the largest integer that a weight may be.
        progress: receives how many layers are done.
    """
    constants = constants_of(model)
    exact, small = Walk(model, images), Walk(integers, images)
    dequantized = {node.output[0]: node for node in integers.graph.node if node.op_type == "DequantizeLinear"}
    originals = {n.name: n for n in model.graph.node if n.name in body.products and _is_plain(n)}
    found = {}
    wanted = [n for n in integers.graph.node if n.name in originals and n.input[1] in dequantized]
    for node in tracked(wanted, progress):
        original = originals[node.name]
        source = dequantized[node.input[1]]
        weight, scale = (
            numpy_helper.to_array(c).astype(np.float64)
            for c in (constants[original.input[1]], small.constants[source.input[1]])
        )
        axis = _output_axis(original)
        weight = np.moveaxis(weight, axis, 0)
        groups = int(_attributes(original).get("group", 1))
        flat = weight.reshape(groups, len(weight) // groups, -1)
        steps = scale.reshape(groups, -1)
        samples = _samples(
            original, weight.shape, exact.values(original.input[0]), small.values(node.input[0])
        )
        at, parts = 0, []
        for covariance in samples.covariances:
            parts.append(_rounded(flat[..., at : at + covariance.shape[-1]], steps, covariance, top))
            at += covariance.shape[-1]
        rounded = np.concatenate(parts, 2)
        bias = numpy_helper.to_array(constants[original.input[2]]) if len(original.input) > 2 else 0.0
        means = flat @ samples.exact_mean[..., None] - (rounded * steps[..., None]) @ samples.mean[..., None]
        moved, whole = means.ravel(), rounded.reshape(weight.shape)
        values = np.moveaxis((whole.T * scale).T, 0, axis)
        found[node.name] = RoundedLayer(
            np.ascontiguousarray(values, np.float32),
            scale.astype(np.float32),
            axis,
            None if node.op_type == "MatMul" else (bias + moved).astype(np.float32),
        )
        _replace(small, source.input[0], np.moveaxis(whole, 0, axis).astype(np.int8))
        if len(node.input) > 2:
            source = dequantized[node.input[2]]
            step = numpy_helper.to_array(small.constants[source.input[1]]).astype(np.float64)
            _replace(small, source.input[0], np.rint((bias + moved) / step).astype(np.int32))
    return found


def rounding_work(model: onnx.ModelProto, body: Body, images: int) -> int:
    """Multiplications, about, of rounding the body's products to fit so many images."""
    constants, whole = constants_of(model), 0
    for node in model.graph.node:
        if node.name in body.products and _is_plain(node):
            dims = constants[node.input[1]].dims
            outputs = dims[_output_axis(node)]
            inputs = prod(dims) // outputs
            groups, together = int(_attributes(node).get("group", 1)), min(inputs, MOST_INPUTS)
            whole += (
                groups * inputs * together * (images * POSITIONS + together) + outputs * inputs * together
            )
    return whole


def _replace(walk: Walk, name: str, value: Array) -> None:
    walk.constants[name].CopyFrom(numpy_helper.from_array(value, name))


@dataclass(frozen=True)
class _Samples:
    """What the outputs of a product of G groups read, K inputs each, over positions of all images.

    Attributes:
        covariances: (G, k, k) of the inputs in the integer network, for each `MOST_INPUTS` of them.
        mean: (G, K) of these inputs.
        exact_mean: the same in the float network.
    """

    covariances: tuple[Array, ...]
    mean: Array
    exact_mean: Array


def _samples(
    node: onnx.NodeProto, shape: tuple[int, ...], exact: Sequence[Array], small: Sequence[Array]
) -> _Samples:
    groups, inputs = int(_attributes(node).get("group", 1)), prod(shape[1:])
    cuts = [slice(at, min(at + MOST_INPUTS, inputs)) for at in range(0, inputs, MOST_INPUTS)]
    squares = [np.zeros((groups, cut.stop - cut.start, cut.stop - cut.start)) for cut in cuts]
    sums, count = np.zeros((2, groups, inputs)), 0
    for seed, pair in enumerate(zip(small, exact, strict=True)):
        own, other = (_read(image, node, shape[2:], seed).reshape(groups, inputs, -1) for image in pair)
        sums += np.stack([own.sum(2), other.sum(2)])
        count += own.shape[2]
        for index, cut in enumerate(cuts):
            squares[index] += own[:, cut] @ own[:, cut].transpose(0, 2, 1)
    mean, exact_mean = sums / count
    covariances = [
        square / count - mean[:, cut, None] * mean[:, None, cut]
        for square, cut in zip(squares, cuts, strict=True)
    ]
    return _Samples(tuple(covariances), mean, exact_mean)


def _read(value: Array, node: onnx.NodeProto, kernel: tuple[int, ...], seed: int) -> Array:
    """What some outputs of a product read of a value."""
    if node.op_type == "Conv":
        return _patches(value[0], node, kernel, seed)
    rows = value.reshape(-1, value.shape[-1])
    return np.asarray(rows[np.random.default_rng(seed).permutation(len(rows))[:POSITIONS]].T)


def _patches(image: Array, node: onnx.NodeProto, kernel: tuple[int, ...], seed: int) -> Array:
    """What some outputs of a convolution read of an image (C, H, W): (C, kH * kW, outputs)."""
    attributes = _attributes(node)
    pads = attributes.get("pads", [0, 0, 0, 0])
    padded = np.pad(image, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    spread = attributes.get("dilations", [1, 1])
    stride = attributes.get("strides", [1, 1])
    height, width = (
        (side - gap * (reach - 1) - 1) // step + 1
        for side, gap, reach, step in zip(padded.shape[1:], spread, kernel, stride, strict=True)
    )
    places = np.random.default_rng(seed).permutation(height * width)[:POSITIONS]
    rows = np.arange(kernel[0])[:, None, None] * spread[0] + places // width * stride[0]
    columns = np.arange(kernel[1])[:, None] * spread[1] + places % width * stride[1]
    return padded[:, rows, columns].reshape(len(padded), -1, len(places))


def _rounded(weight: Array, scale: Array, covariance: Array, top: int) -> Array:
    """Integers (G, O, K) for weights (G, O, K) with scales (G, O) and covariances (G, K, K) of the inputs.

    With inverse(H) = U' U, U upper triangular, an error e of the weight of input k costs e^2 / U[k, k]^2 at
    least, and just that where the weight of each later input j is moved by -e U[k, j] / U[k, k].
    """
    left = weight.copy()
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    damping = DAMPING * variance.mean(1) + np.finfo(np.float32).tiny
    order = np.argsort(-variance, axis=1, kind="stable")  # inputs that matter most are rounded first
    left = np.take_along_axis(left, order[:, None], 2)
    damped = covariance + damping[:, None, None] * np.eye(covariance.shape[1])
    damped = np.take_along_axis(np.take_along_axis(damped, order[:, None], 2), order[:, :, None], 1)
    upper = np.linalg.inv(np.linalg.cholesky(damped[:, ::-1, ::-1]))[:, ::-1, ::-1]
    found, errors = np.empty_like(left), np.empty_like(left)
    for first in range(0, left.shape[2], AT_ONCE):
        last = min(first + AT_ONCE, left.shape[2])
        for k in range(first, last):
            found[..., k] = np.clip(np.rint(left[..., k] / scale), -top, top)
            errors[..., k] = (left[..., k] - found[..., k] * scale) / upper[:, k, k, None]
            left[..., k + 1 : last] -= errors[..., k, None] * upper[:, None, k, k + 1 : last]
        left[..., last:] -= errors[..., first:last] @ upper[:, first:last, last:]
    return np.take_along_axis(found, np.argsort(order, axis=1)[:, None], 2)


def _attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether a product is of matrices, or a convolution that says itself how it pads."""
    return node.op_type != "Conv" or _attributes(node).get("auto_pad", b"NOTSET") == b"NOTSET"


def _output_axis(node: onnx.NodeProto) -> int:
    """The axis of a product's weights that is that of its output channels."""
    return 0 if node.op_type == "Conv" or _attributes(node).get("transB") else 1
