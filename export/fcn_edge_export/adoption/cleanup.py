"""A model of others in the form that the rest of an adoption reads; what it computes stays the same.

Files are written by many tools, and onnxruntime, onnx's converter and onnxsim each read another part of them:
the domain "ai.onnx" written out, sides declared as -1 or 0, sparse weights, operators in any order, two
operators of one name. A graph that cannot be computed at all is refused here, by its own reason.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from fcn_edge_export.brevity import listed
from fcn_edge_runtime.errors import InputError

__all__ = ["MAX_BYTES", "cleaned", "hoist_constants", "reads"]

MAX_BYTES = (1 << 31) - 1


def cleaned(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with one spelling of ONNX's domain, dense weights, and operators in order.

    Args:
        file: named in messages.
        model: as it was read; it is changed.

    Raises:
        InputError: its graph is a cycle, names a tensor twice or one that nothing computes, or it was written
            for a newer ONNX.
    """
    _check_versions(file, model)
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in _all(nodes):
            if node.domain == "ai.onnx":
                node.domain = ""
    graph = model.graph
    hoist_constants(graph)
    for sparse in graph.sparse_initializer:
        graph.initializer.append(_dense(file, sparse))
    del graph.sparse_initializer[:]
    weights = {tensor.name for tensor in graph.initializer}
    images = [value for value in graph.input if value.name not in weights]  # IR 3 lists weights as inputs
    del graph.input[:]
    graph.input.extend(images)
    model.ir_version = max(model.ir_version, 4)
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value < 1:
                dim.Clear()
    ordered = _in_order(file, graph)
    del graph.node[:]
    graph.node.extend(ordered)
    used = Counter(node.name for node in graph.node)
    for index, node in enumerate(graph.node):
        if used[node.name] > 1:
            node.name = f"{node.name}_{index}"
    return model


def hoist_constants(graph: onnx.GraphProto) -> None:
    """Make weights of the operators that are constants, wherever these stand in a graph of operators."""
    kept = []
    for node in graph.node:
        value = _constant(node) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            graph.initializer.append(value)
    del graph.node[:]
    graph.node.extend(kept)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that an operator reads, those of graphs inside of it included."""
    yield from filter(None, node.input)
    for graph in _inner(node):
        made = {name for inner in graph.node for name in inner.output}
        made |= {value.name for value in (*graph.input, *graph.initializer)}
        outputs = (value.name for value in graph.output)
        yield from (
            n for n in (*(n for inner in graph.node for n in reads(inner)), *outputs) if n not in made
        )


def _check_versions(file: Path, model: onnx.ModelProto) -> None:
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if opset is None and not any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        raise InputError(f"{file} does not say which version of ONNX's operators it uses: it is damaged")
    for what, got, known in (
        ("opset", opset or 1, onnx.defs.onnx_opset_version()),
        ("IR version", model.ir_version, onnx.IR_VERSION),
    ):
        if got > known:
            raise InputError(f"{file} has {what} {got}, the installed onnx reads up to {known}: update onnx")


def _in_order(file: Path, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The operators so that each comes after those that it reads."""
    given = [value.name for value in graph.input]
    weights = [tensor.name for tensor in graph.initializer]
    made = [name for node in graph.node for name in node.output if name]
    count = Counter([*made, *weights, *given])
    if twice := [name for name, times in count.items() if times > 1]:
        raise InputError(f"{file} has more than one tensor of the name {listed(twice)}: it is damaged")
    known = {*given, *weights}
    waits = [set(reads(node)) - known for node in graph.node]
    if missing := sorted({name for names in waits for name in names} - set(made)):
        raise InputError(f"{file} has no operator that computes its tensor {listed(missing)}: it is damaged")
    readers: dict[str, list[int]] = {}
    for index, names in enumerate(waits):
        for name in names:
            readers.setdefault(name, []).append(index)
    ready = [index for index, names in enumerate(waits) if not names]  # a heap: their order is kept
    ordered: list[onnx.NodeProto] = []
    while ready:
        node = graph.node[heapq.heappop(ready)]
        ordered.append(node)
        for name in node.output:
            for index in readers.get(name, ()):
                waits[index].discard(name)
                if not waits[index]:
                    heapq.heappush(ready, index)
    if len(ordered) < len(graph.node):
        cycle = [n.name or n.op_type for n, names in zip(graph.node, waits, strict=True) if names]
        raise InputError(f"{file} has operators that wait for each other: {listed(cycle)}: it is damaged")
    return ordered


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    attribute = node.attribute[0] if node.attribute else onnx.AttributeProto()
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(attribute.t)
        tensor.name = node.output[0]
        return tensor
    dtype = {
        "value_int": np.int64,
        "value_ints": np.int64,
        "value_float": np.float32,
        "value_floats": np.float32,
    }
    if attribute.name not in dtype:
        return None
    value = np.array(onnx.helper.get_attribute_value(attribute), dtype[attribute.name])
    return numpy_helper.from_array(value, node.output[0])


def _dense(file: Path, sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    if not 0 < math.prod(sparse.dims) <= MAX_BYTES:
        raise InputError(f"{file} has weights {sparse.values.name[:80]!r} that are too large for one file")
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    dense[tuple(indices.T) if indices.ndim == 2 else np.unravel_index(indices, dense.shape)] = values
    return numpy_helper.from_array(dense, sparse.values.name)


def _inner(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _all(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in _inner(node):
            yield from _all(graph.node)
