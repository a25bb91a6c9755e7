"""The limits of a graph: only operators on the list, each within what the network of an export needs.

All of it is checked before onnxruntime reads the file, and without computing any tensor:

- the operators are those of `dry_run.operators`;
- the graph is in order: each name is made once, before it is used, and each stored tensor is used;
- what the operators make is followed for a small image, see `dry_run`. A session follows it again for each
  size of image before its first run.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.dry_run.operators import ALLOWED
from fcn_edge_runtime.model.dry_run.run import DryRun
from fcn_edge_runtime.model.protobuf.fields import DataType
from fcn_edge_runtime.model.protobuf.summary import GraphView

__all__ = ["check_limits"]

# Height and width of the image that every file is followed for, moved into the range that it takes.
SIDE = 64
_KINDS = {"uint8": DataType.UINT8, "uint16": DataType.UINT16, "float32": DataType.FLOAT}


def check_limits(
    graph: GraphView, card: Card, size: int, name: str = "the model", allowed: Collection[str] = ()
) -> DryRun:
    """Refuse a graph that is not in order, or that makes more than the network of an export does.

    Args:
        graph: what `read_model` gave.
        card: the file's card.
        size: bytes of the file.
        name: what messages call the file.
        allowed: further operators to accept; of another domain as "domain::name".

    Returns:
        The graph, ready to be followed for other sizes of image.

    Raises:
        ModelError: names the operator and what it would make.
    """
    _check_operators(graph, name, allowed)
    _check_order(graph, name)
    run = DryRun(
        graph, size, len(card.classes), _KINDS[card.input.dtype], name, allowed, partial(_seen, card)
    )
    side = max(SIDE, card.geometry.smallest_size)
    height, width = (min(side, most) for most in card.geometry.largest_size or (side, side))
    run.check(1, height, width, card.input.channels)
    return run


def _seen(card: Card, height: int, width: int) -> tuple[int, int]:
    """(height, width) of what the network sees of an image."""
    if card.working_size is not None:
        height, width = card.working_size.of(height, width)
    multiple = card.geometry.size_multiple
    return height + -height % multiple, width + -width % multiple


def _check_operators(graph: GraphView, name: str, allowed: Collection[str]) -> None:
    for node in graph.nodes:
        operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        if operator not in ALLOWED and operator != "Constant" and operator not in allowed:
            raise ModelError(
                f"{name} has the operator {operator[:80]}, which is not on the list of those that an export "
                f"writes: allow it if you trust the file (--allow-operators {operator[:80]})"
            )


def _check_order(graph: GraphView, name: str) -> None:
    """Each value is made once and before it is used, and each stored tensor is used."""
    there = {tensor.name for tensor in graph.inputs}
    used: set[str] = set()

    def add(value: str) -> None:
        if value in there:
            raise ModelError(f"{name} makes {value!r} twice: export again")
        there.add(value)

    for value in graph.tensors:
        add(value)
    for node in graph.nodes:
        missing = [value for value in node.inputs if value and value not in there]
        if missing:
            raise ModelError(
                f"{name} has an operator {node.op_type} that reads {missing[0]!r} before it is "
                "made: export again"
            )
        used.update(node.inputs)
        for value in filter(None, node.outputs):
            add(value)
    missing = [tensor.name for tensor in graph.outputs if tensor.name not in there]
    if missing:
        raise ModelError(f"{name} never makes its output {missing[0]!r}: export again")
    unused = graph.tensors.keys() - used
    if unused:
        raise ModelError(f"{name} holds {len(unused)} tensors that no operator reads: export again")
