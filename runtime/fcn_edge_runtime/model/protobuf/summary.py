"""A whole file: what it declares, and its graph. Read in one pass, in bounded time and memory.

Weights are skipped by their length. What ONNX allows and an export never writes is refused: local functions,
training graphs, sparse tensors, graphs inside of nodes, fields of other versions of the format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fcn_edge_runtime.model.protobuf.fields import Graph, Model, OperatorSetId, StringStringEntry
from fcn_edge_runtime.model.protobuf.reading import BYTES, VARINT, Reader, Span, damaged, unwritten
from fcn_edge_runtime.model.protobuf.tensors import TensorView, read_tensor
from fcn_edge_runtime.model.protobuf.value_info import TensorInfo, read_value_info
from fcn_edge_runtime.model.protobuf.views import NodeView, read_node

__all__ = ["GraphView", "ModelSummary", "read_model", "summarize"]

MAX_NODES = 6144  # several times the deepest network that we know of
MAX_TENSORS = 8192
MAX_VALUES = 64  # inputs, outputs, entries of the metadata
MAX_METADATA = 16 << 20

_SKIPPED = frozenset(
    (
        Model.PRODUCER_NAME,
        Model.PRODUCER_VERSION,
        Model.DOMAIN,
        Model.MODEL_VERSION,
        Model.DOC_STRING,
    )
)
_SKIPPED_IN_GRAPH = frozenset((Graph.DOC_STRING, Graph.METADATA_PROPS))


@dataclass(frozen=True)
class ModelSummary:
    """What the file declares; nothing in it was computed or checked against the contract.

    Attributes:
        ir_version: ONNX IR version; 0 if absent.
        opsets: version by domain; "" is ONNX's own.
        metadata: value by key, as bytes.
        inputs: the graph's inputs.
        outputs: the graph's outputs.
        node_count: nodes.
        op_types: how often each operator occurs; operators of other domains as "domain::name".
        parameter_count: elements of all initializers.
    """

    ir_version: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, bytes]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    node_count: int
    op_types: Mapping[str, int]
    parameter_count: int


@dataclass(frozen=True)
class GraphView:
    """The graph of a file.

    Attributes:
        nodes: in the file's order.
        tensors: the initializers by name.
        inputs: the graph's inputs.
        outputs: the graph's outputs.
    """

    nodes: tuple[NodeView, ...]
    tensors: Mapping[str, TensorView]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def summarize(buffer: bytes | bytearray | memoryview) -> ModelSummary:
    """What a serialized ModelProto declares; see `read_model`."""
    return read_model(buffer)[0]


def read_model(buffer: bytes | bytearray | memoryview) -> tuple[ModelSummary, GraphView]:
    """Read a serialized ModelProto.

    Args:
        buffer: the whole file. It is only read, never copied; the graph refers to it.

    Raises:
        ModelError: the bytes are not protobuf of ONNX's form, beyond a limit, or hold what an export never
            writes.
    """
    reader = Reader(memoryview(buffer).cast("B"))
    ir_version: int | None = None
    graphs: list[Span] = []
    opsets: dict[str, int] = {}
    metadata: dict[str, bytes] = {}
    metadata_left = MAX_METADATA
    for number, wire, first, last in reader.fields(0, len(reader.buffer)):
        if number == Model.IR_VERSION and wire == VARINT and ir_version is None:
            ir_version = first
        elif number == Model.GRAPH and wire == BYTES:
            graphs.append((first, last))
        elif number == Model.OPSET_IMPORT and wire == BYTES:
            _add_opset(reader, opsets, first, last)
        elif number == Model.METADATA_PROPS and wire == BYTES:
            metadata_left -= last - first
            if metadata_left < 0 or len(metadata) >= MAX_VALUES:
                raise damaged(f"its metadata has more than {MAX_METADATA} bytes, or {MAX_VALUES} entries")
            _add_metadata(reader, metadata, first, last)
        elif number not in _SKIPPED:
            raise unwritten(f"the field {number} of a model twice, or of another form")
    if len(graphs) != 1:
        raise damaged(f"it holds {len(graphs)} graphs, expected one")
    graph = _read_graph(reader, *graphs[0])
    summary = ModelSummary(
        ir_version=ir_version or 0,
        opsets=opsets,
        metadata=metadata,
        inputs=graph.inputs,
        outputs=graph.outputs,
        node_count=len(graph.nodes),
        op_types=dict(sorted(Counter(map(_operator, graph.nodes)).items())),
        parameter_count=sum(tensor.elements for tensor in graph.tensors.values()),
    )
    return summary, graph


def _operator(node: NodeView) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def _read_graph(  # noqa: C901, PLR0912 - one branch a field
    reader: Reader, start: int, end: int
) -> GraphView:
    nodes: list[NodeView] = []
    tensors: dict[str, TensorView] = {}
    inputs: list[TensorInfo] = []
    outputs: list[TensorInfo] = []
    named = False
    values = 0
    for number, wire, first, last in reader.fields(start, end):
        if wire != BYTES:
            raise unwritten(f"a graph with the field {number} of another form")
        if number == Graph.NODE:
            if len(nodes) >= MAX_NODES:
                raise damaged(f"it has more than {MAX_NODES} nodes")
            nodes.append(read_node(reader, first, last))
        elif number == Graph.INITIALIZER:
            tensor = read_tensor(reader, first, last)
            if tensor.name in tensors or not tensor.name:
                raise damaged(f"it has two tensors of the name {tensor.name!r}, or one without a name")
            if len(tensors) >= MAX_TENSORS:
                raise damaged(f"it has more than {MAX_TENSORS} stored tensors")
            tensors[tensor.name] = tensor
        elif number in (Graph.INPUT, Graph.OUTPUT):
            found = inputs if number == Graph.INPUT else outputs
            if len(found) >= MAX_VALUES:
                raise damaged(f"it has more than {MAX_VALUES} inputs or outputs")
            found.append(read_value_info(reader, first, last))
        elif number == Graph.VALUE_INFO:
            values += 1  # what a tool noted about tensors between nodes; onnxruntime infers it again
        elif number == Graph.NAME and not named:
            named = True
            reader.text(first, last)
        elif number not in _SKIPPED_IN_GRAPH:
            raise unwritten(f"a graph with the field {number}, such as a sparse tensor's")
    if values > MAX_NODES:
        raise damaged(f"it describes {values} tensors, at most {MAX_NODES} are read")
    return GraphView(tuple(nodes), tensors, tuple(inputs), tuple(outputs))


def _add_opset(reader: Reader, opsets: dict[str, int], start: int, end: int) -> None:
    domain: str | None = None
    version: int | None = None
    for number, wire, value, stop in reader.fields(start, end):
        if number == OperatorSetId.DOMAIN and wire == BYTES and domain is None:
            domain = reader.text(value, stop)
        elif number == OperatorSetId.VERSION and wire == VARINT and version is None:
            version = value
        else:
            raise unwritten(f"an operator set with the field {number} twice, or of another form")
    domain = "" if domain in (None, "ai.onnx") else domain  # two names of one domain
    if domain in opsets or len(opsets) >= MAX_VALUES:
        raise damaged(f"the operator set {domain or 'ai.onnx'!r} is declared twice")
    opsets[domain or ""] = version or 0


def _add_metadata(reader: Reader, metadata: dict[str, bytes], start: int, end: int) -> None:
    key: str | None = None
    content: bytes | None = None
    for number, wire, value, stop in reader.fields(start, end):
        if number == StringStringEntry.KEY and wire == BYTES and key is None:
            key = reader.text(value, stop)
        elif number == StringStringEntry.VALUE and wire == BYTES and content is None:
            content = bytes(reader.buffer[value:stop])
        else:
            raise unwritten(f"a metadata entry with the field {number} twice, or of another form")
    if (key or "") in metadata:
        raise damaged(f"the metadata entry {key!r} occurs twice")
    metadata[key or ""] = content or b""
