"""A given file in half or double precision as one in float32: the same weights, the same operators.

A file of ours computes in float32. Its weights are those of the given file, exactly for float16 and rounded
for float64. On a CPU onnxruntime computes float16 in float32 by itself, and has no convolution in float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

__all__ = ["precision_of", "widened"]

_OTHERS = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16", TensorProto.DOUBLE: "float64"}
_TYPED = ("to", "dtype", "output_dtype")  # attributes that hold a type


def precision_of(model: onnx.ModelProto) -> str:
    """Whether a model computes in "float16", "bfloat16" or "float64" anywhere; "float32" if not."""
    kinds = {tensor.data_type for tensor in _tensors(model.graph)}
    kinds |= {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    # Sizes are computed in float64, too, which onnxruntime does as it is.
    kinds |= {
        a.i for n in model.graph.node for a in n.attribute if a.name == "to" and a.i == TensorProto.BFLOAT16
    }
    return next((name for kind, name in _OTHERS.items() if kind in kinds), "float32")


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in which every float16, bfloat16 and float64 is a float32."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in _tensors(result.graph):
        if tensor.data_type in _OTHERS:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in result.graph.node:
        for attribute in node.attribute:
            if attribute.name in _TYPED and attribute.i in _OTHERS:
                attribute.i = TensorProto.FLOAT
    for value in (*result.graph.input, *result.graph.output):
        if value.type.tensor_type.elem_type in _OTHERS:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del result.graph.value_info[:]
    return result


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Weights, and constants inside of operators."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
