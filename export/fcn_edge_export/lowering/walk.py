"""The values of a graph for some images, computed part by part as they are asked for.

Every node runs once, and a value that no later node reads is dropped. So looking at the input of every layer
takes the time of one pass, and the memory of what a pass holds at a time. Between two looks the constants of
what is not yet computed may change: that is how a layer is fitted to what the layers before it give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper

from fcn_edge_export.lowering.body import read_by
from fcn_edge_runtime.session.config import exact_integers
from fcn_edge_runtime.session.session import SessionOptions, open_session

__all__ = ["Walk"]

Array = npt.NDArray[Any]


class Walk:
    """A pass through a model that stops wherever a value is asked for.

    Attributes:
        constants: of the model, by name: those of nodes that did not run yet may be changed.
    """

    def __init__(self, model: onnx.ModelProto, images: Sequence[Array]) -> None:
        self._model = model
        self._nodes = list(model.graph.node)
        self._maker = {name: index for index, node in enumerate(self._nodes) for name in node.output if name}
        self._readers: dict[str, set[int]] = {}  # that did not run yet
        for index, node in enumerate(self._nodes):
            for name in read_by(node):
                self._readers.setdefault(name, set()).add(index)
        self._values = [{"image": image} for image in images]
        self.constants = {constant.name: constant for constant in model.graph.initializer}

    def values(self, name: str) -> list[Array]:
        """The value of that name for each image; it must not be one that was dropped."""
        if name not in self._values[0]:
            self._run(name)
        return [values[name] for values in self._values]

    def _run(self, name: str) -> None:
        needed, given = self._needed(name)
        for readers in self._readers.values():
            readers.difference_update(needed)
        part = [self._nodes[index] for index in sorted(needed)]
        wanted = [v for node in part for v in node.output if v == name or self._readers.get(v)]
        raw = open_session(
            self._bytes(part, given, wanted), "cpu", options=SessionOptions(config=exact_integers())
        ).raw
        for values in self._values:
            got = raw.run(wanted, {v: values[v] for v in given})
            values.update(zip(wanted, got, strict=True))
            for value in [v for v in values if v != name and not self._readers.get(v)]:
                del values[value]

    def _needed(self, name: str) -> tuple[set[int], list[str]]:
        """The nodes that must run for a value, and the known values that they read."""
        nodes: set[int] = set()
        given: dict[str, None] = {}
        waiting = [name]
        while waiting:
            value = waiting.pop()
            if value in self._values[0]:
                given[value] = None
            elif value in self._maker and self._maker[value] not in nodes:
                nodes.add(self._maker[value])
                waiting.extend(read_by(self._nodes[self._maker[value]]))
        return nodes, list(given)

    def _bytes(self, part: Sequence[onnx.NodeProto], given: Sequence[str], wanted: Sequence[str]) -> bytes:
        read = {name for node in part for name in read_by(node)}
        first = self._values[0]
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(first[name].dtype), [None] * first[name].ndim
            )
            for name in given
        ]
        graph = helper.make_graph(
            part,
            "part",
            inputs,
            [onnx.ValueInfoProto(name=name) for name in wanted],
            [constant for name, constant in self.constants.items() if name in read],
        )
        imports, version = self._model.opset_import, self._model.ir_version
        model = helper.make_model(graph, opset_imports=imports, ir_version=version)
        return bytes(model.SerializeToString())
