"""Operators of integers (QOperator) as float operators between DequantizeLinear and QuantizeLinear (QDQ).

    QLinearConv(x, w, b) = QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(w), DequantizeLinear(b)))

A file of ours holds integers in the second form alone, from which onnxruntime makes the first where it runs.
The integers of the weights stay as they are; the scale of a bias is that of its input times its weights'.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["OF_INTEGERS", "as_qdq"]

# Of each operator: the float operator, and how many of its inputs come as (tensor, scale, zero point).
_OPERATORS = {
    "QLinearConv": ("Conv", 2),
    "QLinearMatMul": ("MatMul", 2),
    "QLinearAdd": ("Add", 2),
    "QLinearMul": ("Mul", 2),
    "QLinearSigmoid": ("Sigmoid", 1),
    "QLinearLeakyRelu": ("LeakyRelu", 1),
    "QLinearAveragePool": ("AveragePool", 1),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", 1),
    "QLinearConcat": ("Concat", 0),  # any number, behind scale and zero point of the result
}
OF_INTEGERS = frozenset(_OPERATORS)


def as_qdq(model: onnx.ModelProto) -> None:
    """Write the operators of integers as float operators, in place."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type not in _OPERATORS:
            nodes.append(node)
            continue
        operator, count = _OPERATORS[node.op_type]
        name, inputs = node.output[0], []
        given = list(node.input)
        if not count:
            count, given = len(given) // 3, [*given[2:], *given[:2]]
        for place in range(count):
            tensor, scale, zero = given[3 * place : 3 * place + 3]
            axis = 0 if operator == "Conv" and place else 1  # of the scales, where each channel has one
            inputs.append(f"{name}/float_{place}")
            nodes.append(helper.make_node("DequantizeLinear", [tensor, scale, zero], [inputs[-1]], axis=axis))
        scale, zero, *bias = given[3 * count :]
        if bias and bias[0]:
            of_input, of_weight = (numpy_helper.to_array(constants[node.input[place]]) for place in (1, 4))
            graph.initializer.append(
                numpy_helper.from_array(np.asarray(of_input * of_weight), f"{name}/bias_scale")
            )
            inputs.append(f"{name}/bias")
            nodes.append(
                helper.make_node("DequantizeLinear", [bias[0], f"{name}/bias_scale"], [inputs[-1]], axis=0)
            )
        nodes.append(helper.make_node(operator, inputs, [f"{name}/float"], name=node.name))
        nodes[-1].attribute.extend(a for a in node.attribute if a.name != "channels_last")
        nodes.append(helper.make_node("QuantizeLinear", [f"{name}/float", scale, zero], [name]))
    del graph.node[:]
    graph.node.extend(nodes)
