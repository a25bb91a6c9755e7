"""GELU in the form that onnxruntime knows as one operation, instead of five.

    x ((1 + erf(x / sqrt(2))) / 2)    becomes    (x (1 + erf(x / sqrt(2)))) / 2

The numbers stay the same to the last bit, since halving is exact.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

__all__ = ["halve_gelu_last"]


def halve_gelu_last(model: onnx.ModelProto) -> None:
    """Halve the product of each GELU, not its factor, in place."""
    graph = model.graph
    made = {node.output[0]: node for node in graph.node}
    halves = {
        c.name
        for c in graph.initializer
        if not c.dims and c.data_type == onnx.TensorProto.FLOAT and numpy_helper.to_array(c) == 0.5
    }
    readers: dict[str, int] = {}
    for name in (*(n for node in graph.node for n in node.input), *(v.name for v in graph.output)):
        readers[name] = readers.get(name, 0) + 1
    for node in graph.node:
        for index, name in enumerate(node.input if node.op_type == "Mul" else ()):
            factor = made.get(name)
            if factor is None or factor.op_type != "Mul" or readers[name] > 1:
                continue
            half, erf = (n for n in sorted(factor.input, key=lambda n: n not in halves))
            if half in halves and _is_one_plus_erf(erf, made):
                factor.input[:] = [node.input[1 - index], erf]
                node.input[:] = [factor.output[0], half]
                break


def _is_one_plus_erf(name: str, made: dict[str, onnx.NodeProto]) -> bool:
    node = made.get(name)
    if node is None or node.op_type != "Add":
        return False
    return any(name in made and made[name].op_type == "Erf" for name in node.input)
