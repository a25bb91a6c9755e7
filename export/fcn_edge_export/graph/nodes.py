"""Nodes and constants of a graph in the making, all named `fcn_edge/...` so that a viewer shows our part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["Nodes", "rename"]


class Nodes:
    """A growing piece of a graph.

    Attributes:
        nodes: in the order in which they were added.
        constants: that they read.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        name = output if output.startswith("fcn_edge/") else f"fcn_edge/{output}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a constant, and return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"fcn_edge/{name}"))
        return f"fcn_edge/{name}"


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a tensor another name, wherever it is made or read. Graphs inside of nodes are not looked at."""
    for constant in graph.initializer:
        if constant.name == old:
            constant.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
