"""What an ONNX file declares, read in bounded time and memory.

Messages are visited without recursion; weights are skipped by their length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fcn_edge_runtime.model.protobuf.fields import (
    Attribute,
    DataType,
    Function,
    Graph,
    Model,
    Node,
    OperatorSetId,
    SparseTensor,
    StringStringEntry,
    TrainingInfo,
)
from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader, damaged
from fcn_edge_runtime.model.protobuf.value_info import TensorInfo, read_value_info
from fcn_edge_runtime.model.protobuf.views import TensorView

__all__ = ["ModelSummary", "summarize"]

MAX_DEPTH = 64
MAX_TENSORS = 4096
MAX_METADATA = 16 << 20

# Bits of one element by data type where they are not 8; strings have no size of their own.
_BITS = {
    **dict.fromkeys((DataType.UINT2, DataType.INT2), 2),
    **dict.fromkeys((DataType.UINT4, DataType.INT4, DataType.FLOAT4E2M1), 4),
    **dict.fromkeys((DataType.UINT16, DataType.INT16, DataType.FLOAT16, DataType.BFLOAT16), 16),
    **dict.fromkeys((DataType.FLOAT, DataType.INT32, DataType.UINT32), 32),
    **dict.fromkeys((DataType.INT64, DataType.DOUBLE, DataType.UINT64, DataType.COMPLEX64), 64),
    DataType.COMPLEX128: 128,
}

# A message inside another: its kind, its first byte, and the one after its last.
Child = tuple[str, int, int]
# Which fields of a message hold further messages: message -> field number -> message.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {
        Model.GRAPH: "graph",
        Model.OPSET_IMPORT: "opset",
        Model.METADATA_PROPS: "metadata",
        Model.TRAINING_INFO: "training",
        Model.FUNCTIONS: "function",
    },
    "graph": {
        Graph.NODE: "node",
        Graph.INITIALIZER: "initializer",
        Graph.INPUT: "input",
        Graph.OUTPUT: "output",
        Graph.SPARSE_INITIALIZER: "sparse",
    },
    "subgraph": {
        Graph.NODE: "node",
        Graph.INITIALIZER: "initializer",
        Graph.SPARSE_INITIALIZER: "sparse",
    },
    "function": {Function.NODE: "node", Function.ATTRIBUTE_PROTO: "attribute"},
    "training": {TrainingInfo.INITIALIZATION: "subgraph", TrainingInfo.ALGORITHM: "subgraph"},
    "attribute": {
        Attribute.T: "tensor",
        Attribute.TENSORS: "tensor",
        Attribute.G: "subgraph",
        Attribute.GRAPHS: "subgraph",
        Attribute.SPARSE_TENSOR: "sparse",
        Attribute.SPARSE_TENSORS: "sparse",
    },
    "sparse": {SparseTensor.VALUES: "tensor", SparseTensor.INDICES: "tensor"},
}


@dataclass(frozen=True)
class ModelSummary:
    """What the file declares; nothing in it was computed or checked against the contract.

    Attributes:
        ir_version: ONNX IR version; 0 if absent.
        opsets: version by domain; "" is ONNX's own.
        function_count: local functions.
        external_tensors: names of tensors whose data is outside the file, wherever they are declared.
        metadata: value by key, as bytes.
        inputs: the graph's inputs.
        outputs: the graph's outputs.
        node_count: nodes, those of subgraphs included.
        op_types: how often each operator occurs; operators of other domains as "domain::name".
        parameter_count: elements of all initializers.
        largest_tensor_bytes: the size that the largest tensor declares, whether its data is there or not.
    """

    ir_version: int
    opsets: Mapping[str, int]
    function_count: int
    external_tensors: tuple[str, ...]
    metadata: Mapping[str, bytes]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    node_count: int
    op_types: Mapping[str, int]
    parameter_count: int
    largest_tensor_bytes: int


class _Walk(Reader):
    """A reader, and what it has found."""

    def __init__(self, buffer: memoryview) -> None:
        super().__init__(buffer)
        self.metadata_left = MAX_METADATA
        self.opsets: dict[str, int] = {}
        self.visited: Counter[str] = Counter()  # the messages that only contain others, by kind
        self.external: list[str] = []
        self.metadata: dict[str, bytes] = {}
        self.inputs: list[TensorInfo] = []
        self.outputs: list[TensorInfo] = []
        self.ops: Counter[str] = Counter()
        self.nodes = 0
        self.parameters = 0
        self.largest = 0


def summarize(buffer: bytes | bytearray | memoryview) -> ModelSummary:
    """Read what a serialized ModelProto declares, in bounded time and memory.

    Args:
        buffer: the whole file. It is only read, never copied.

    Raises:
        ModelError: the bytes are not protobuf of ONNX's form, or beyond a limit on fields, depth or sizes.
    """
    with memoryview(buffer) as view:
        walk = _Walk(view.cast("B"))
        stack: list[tuple[str, int, int, int]] = [("model", 0, len(walk.buffer), 0)]
        while stack:
            message, start, end, depth = stack.pop()
            if depth > MAX_DEPTH:
                raise damaged(f"it is nested more than {MAX_DEPTH} deep")
            if message == "node":
                stack += [(*child, depth + 2) for child in _node(walk, start, end)]
            elif message in _LEAVES:
                _LEAVES[message](walk, start, end)
            else:
                walk.visited[message] += 1
                stack += [(*child, depth + 1) for child in _inside(walk, message, start, end)]
        ir_version = _ir_version(walk)
    if walk.visited["graph"] != 1:
        raise damaged(f"it holds {walk.visited['graph']} graphs, expected one")
    # The stack reverses the order of siblings; inputs and outputs are given in the file's order.
    return ModelSummary(
        ir_version=ir_version,
        opsets=walk.opsets,
        function_count=walk.visited["function"],
        external_tensors=tuple(reversed(walk.external)),
        metadata=walk.metadata,
        inputs=tuple(reversed(walk.inputs)),
        outputs=tuple(reversed(walk.outputs)),
        node_count=walk.nodes,
        op_types=dict(sorted(walk.ops.items())),
        parameter_count=walk.parameters,
        largest_tensor_bytes=walk.largest,
    )


def _ir_version(walk: _Walk) -> int:
    version = 0
    for number, wire, value, _ in walk.fields(0, len(walk.buffer)):
        if number == Model.IR_VERSION and wire == VARINT:
            version = value
    return version


def _opset(walk: _Walk, start: int, end: int) -> None:
    domain, version = "", 0
    for number, wire, value, stop in walk.fields(start, end):
        if number == OperatorSetId.DOMAIN and wire == BYTES:
            domain = walk.text(value, stop)
        elif number == OperatorSetId.VERSION and wire == VARINT:
            version = value
    domain = "" if domain == "ai.onnx" else domain  # two names of one domain
    if domain in walk.opsets:
        raise damaged(f"the operator set {domain or 'ai.onnx'!r} is declared twice")
    walk.opsets[domain] = version


def _metadata(walk: _Walk, start: int, end: int) -> None:
    key, value = "", b""
    walk.metadata_left -= end - start
    if walk.metadata_left < 0:
        raise damaged(f"its metadata has more than {MAX_METADATA} bytes")
    for number, wire, position, stop in walk.fields(start, end):
        if number == StringStringEntry.KEY and wire == BYTES:
            key = walk.text(position, stop)
        elif number == StringStringEntry.VALUE and wire == BYTES:
            value = bytes(walk.buffer[position:stop])
    if key in walk.metadata:
        raise damaged(f"the metadata entry {key!r} occurs twice")
    walk.metadata[key] = value


def _inside(walk: _Walk, message: str, start: int, end: int) -> list[Child]:
    """The messages inside a message of this kind."""
    children = _CHILDREN[message]
    return [
        (children[number], first, last)
        for number, wire, first, last in walk.fields(start, end)
        if wire == BYTES and number in children
    ]


def _node(walk: _Walk, start: int, end: int) -> list[Child]:
    """Count the node. Returns what is inside its attributes: in one pass, as nodes are most of a file."""
    op_type = domain = ""
    inside: list[Child] = []
    for number, wire, first, last in walk.fields(start, end):
        if wire != BYTES:
            continue
        if number == Node.ATTRIBUTE:
            inside += _inside(walk, "attribute", first, last)
        elif number == Node.OP_TYPE:
            op_type = walk.text(first, last)
        elif number == Node.DOMAIN:
            domain = walk.text(first, last)
    walk.nodes += 1
    walk.ops[op_type if domain in ("", "ai.onnx") else f"{domain}::{op_type}"] += 1
    return inside


def _tensor(walk: _Walk, start: int, end: int) -> int:
    """Note the tensor's declared size and whether its data is outside the file. Returns its elements."""
    tensor = TensorView(walk, (start, end)).declared()
    if tensor.external and len(walk.external) < MAX_TENSORS:
        walk.external.append(tensor.name)
    walk.largest = max(walk.largest, tensor.elements * _BITS.get(tensor.data_type, 8) // 8)
    return tensor.elements


def _initializer(walk: _Walk, start: int, end: int) -> None:
    walk.parameters += _tensor(walk, start, end)


def _input(walk: _Walk, start: int, end: int) -> None:
    _add_value(walk, walk.inputs, start, end)


def _output(walk: _Walk, start: int, end: int) -> None:
    _add_value(walk, walk.outputs, start, end)


def _add_value(walk: _Walk, found: list[TensorInfo], start: int, end: int) -> None:
    if len(found) >= MAX_TENSORS:
        raise damaged(f"it has more than {MAX_TENSORS} inputs or outputs")
    found.append(read_value_info(walk, start, end))


_LEAVES = {
    "opset": _opset,
    "metadata": _metadata,
    "tensor": _tensor,
    "initializer": _initializer,
    "input": _input,
    "output": _output,
}
