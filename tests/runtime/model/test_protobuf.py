from __future__ import annotations

import random
import time

import numpy as np
import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.protobuf import fields
from fcn_edge_runtime.model.protobuf.reading import MAX_FIELDS, Reader
from fcn_edge_runtime.model.protobuf.summary import read_model, summarize
from fcn_edge_runtime.model.protobuf.tensors import read_tensor
from fcn_edge_runtime.model.protobuf.views import read_node
from fcn_edge_runtime.model.protobuf.writing import field, message

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - after the skip

from tests.runtime import make_models as mm  # noqa: E402 - needs onnx


def model_of(*nodes, initializers=(), **more):
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])
    graph = helper.make_graph(list(nodes), "g", [image], [], list(initializers))
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)], **more)


def external(name):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return tensor


def test_field_names_and_numbers_are_those_of_onnx():
    messages = {
        "TensorType": onnx.TypeProto.Tensor,
        "Dimension": onnx.TensorShapeProto.Dimension,
    }
    for name in set(fields.__all__) - {"DataType", "AttributeType"}:
        descriptor = messages.get(name, getattr(onnx, f"{name}Proto", None)).DESCRIPTOR
        known = {field.name.upper(): field.number for field in descriptor.fields}
        named = {key: number for key, number in vars(getattr(fields, name)).items() if key.isupper()}
        assert named
        assert named.items() <= known.items()
    for ours, theirs in (
        (fields.DataType, TensorProto.DataType),
        (fields.AttributeType, onnx.AttributeProto.AttributeType),
    ):
        named = {key: number for key, number in vars(ours).items() if key.isupper()}
        assert named
        assert named.items() <= dict(theirs.items()).items()


def test_onnx_reads_what_is_written():
    graph = message(fields.Model.GRAPH, field(fields.Graph.NAME, "ü" * 100))
    proto = onnx.ModelProto.FromString(field(fields.Model.IR_VERSION, 300_000) + graph)
    assert proto.ir_version == 300_000
    assert proto.graph.name == "ü" * 100


def test_views_hold_what_onnx_wrote():
    node = helper.make_node(
        "Pad",
        ["a", "", "b"],
        ["c"],
        name="n",
        domain="d",
        mode="edge",
        axis=-1,
        pads=[1, -2],
        slopes=[0.5, 1.0],
    )
    node.attribute.append(
        helper.make_attribute("t", numpy_helper.from_array(np.array([3, -4], np.int64), "t"))
    )
    data = node.SerializeToString()
    view = read_node(Reader(memoryview(data)), 0, len(data))
    assert (view.op_type, view.domain, view.inputs, view.outputs) == ("Pad", "d", ("a", "", "b"), ("c",))
    assert view.name == "n"
    assert view.attributes["mode"].s == "edge"
    assert (view.attributes["axis"].i, view.attributes["axis"].ints) == (-1, ())
    assert view.attributes["pads"].ints == (1, -2)
    assert view.attributes["slopes"].floats == 2
    assert view.attributes["t"].tensor.values().tolist() == [3, -4]


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8", "?"])
@pytest.mark.parametrize("typed", [False, True])
def test_small_tensors_have_the_values_onnx_wrote(dtype, typed):
    values = np.array([[0, 1, 1], [100, 3, 0]]).astype(dtype)
    tensor = numpy_helper.from_array(values, "t")
    if typed:
        tensor = helper.make_tensor("t", tensor.data_type, values.shape, values.reshape(-1).tolist())
    data = tensor.SerializeToString()
    view = read_tensor(Reader(memoryview(data)), 0, len(data))
    assert (view.name, view.dims, view.elements) == ("t", (2, 3), 6)
    assert np.array_equal(view.values(), values)
    assert view.values().dtype == values.dtype


def test_the_summary_equals_what_onnx_reads():
    card = mm.make_card()
    proto = mm.make_proto(card, ("labels", "confidence", "logits"))
    onnx.helper.set_model_props(proto, {"a": "1", "b": "zwei"})
    summary = summarize(proto.SerializeToString())
    assert summary.ir_version == proto.ir_version
    assert summary.opsets == {"": 18}
    assert summary.metadata == {"a": b"1", "b": b"zwei"}
    assert [t.name for t in summary.inputs] == ["image"]
    assert summary.inputs[0].dims == ("batch", "height", "width", 3)
    assert [t.name for t in summary.outputs] == ["labels", "confidence", "logits"]
    assert summary.outputs[2].elem_type == TensorProto.FLOAT
    assert summary.node_count == len(proto.graph.node)
    assert summary.op_types["Cast"] == 2
    assert summary.parameter_count == sum(int(np.prod(t.dims)) for t in proto.graph.initializer)
    assert len(read_model(proto.SerializeToString())[1].nodes) == len(proto.graph.node)


def places_for_external_data():
    constant = helper.make_node("Constant", [], ["c"], value=external("in attribute"))
    branch = helper.make_graph([constant], "branch", [], [])
    looped = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    sparse = onnx.SparseTensorProto()
    sparse.values.CopyFrom(external("in sparse"))
    with_sparse = model_of()
    with_sparse.graph.sparse_initializer.append(sparse)
    function = helper.make_function("d", "f", [], ["c"], [constant], [helper.make_opsetid("", 18)])
    trained = model_of()
    trained.training_info.add().algorithm.CopyFrom(
        helper.make_graph([], "t", [], [], [external("in training")])
    )
    listed = helper.make_node("Odd", [], ["c"], values=[external("in a list")])
    by_entry_alone = external("by its entry alone")
    by_entry_alone.ClearField("data_location")
    by_flag_alone = external("by its flag alone")
    del by_flag_alone.external_data[:]
    return {
        "initializer": model_of(initializers=[external("plain")]),
        "attribute": model_of(constant),
        "subgraph": model_of(looped),
        "sparse": with_sparse,
        "function": model_of(functions=[function]),
        "training": trained,
        "list": model_of(listed),
        "entry": model_of(initializers=[by_entry_alone]),
        "flag": model_of(initializers=[by_flag_alone]),
    }


@pytest.mark.security("external data anywhere in the graph", "refused")
@pytest.mark.parametrize("place", places_for_external_data())
def test_external_data_is_refused_wherever_it_hides(place):
    with pytest.raises(ModelError, match=r"outside the file|never writes"):
        summarize(places_for_external_data()[place].SerializeToString())


def lying_tensors():
    def floats(**more):
        return TensorProto(data_type=TensorProto.FLOAT, name="liar", **more)

    beside = numpy_helper.from_array(np.array([2, 2], np.int64), "liar")
    beside.int64_data.extend([50_000, 40_000])
    empty_beside = TensorProto(data_type=7, dims=[2], name="liar", raw_data=b"", int64_data=[2, 2])
    return {
        "larger than its data": floats(dims=[100_000, 100_000], raw_data=b"\0" * 4),
        "smaller than its data": floats(dims=[1], raw_data=b"\0" * 8),
        "without data": floats(dims=[1]),
        "of overflowing size": floats(dims=[1 << 40, 1 << 40], raw_data=b"\0" * 4),
        "of a negative size": floats(dims=[-1], raw_data=b"\0" * 4),
        "typed beside raw": beside,
        "typed beside nothing raw": empty_beside,
        "of data of another type": TensorProto(data_type=7, dims=[1], name="liar", float_data=[1.0]),
        "of text": TensorProto(data_type=8, dims=[1], name="liar", string_data=[b"x"]),
        "of no type": TensorProto(dims=[1], name="liar", raw_data=b"\0" * 4),
        "of no name": TensorProto(data_type=1, dims=[1], raw_data=b"\0" * 4),
        "in segments": floats(dims=[1], raw_data=b"\0" * 4, segment=TensorProto.Segment(begin=0, end=4)),
    }


@pytest.mark.security("a tensor whose data is missing, written twice, or of another size", "refused")
@pytest.mark.parametrize("kind", lying_tensors())
def test_a_tensor_that_lies_about_its_data_is_refused(kind):
    with pytest.raises(ModelError):
        summarize(model_of(initializers=[lying_tensors()[kind]]).SerializeToString())


def written_twice():
    """Messages whose parts occur twice, which protobuf merges or takes the last of: (message, twice)."""
    whole = mm.make_proto(mm.make_card())
    node = helper.make_node("Add", ["a", "b"], ["c"], name="n", axis=1)
    data = node.SerializeToString()
    attribute = node.attribute[0].SerializeToString()
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "t").SerializeToString()
    value = whole.graph.input[0].SerializeToString()
    graph, f = whole.graph.SerializeToString(), fields

    def in_node(more):
        return message(f.Model.GRAPH, graph, field(f.Graph.NODE, data + more))

    def in_tensor(more):
        return message(f.Model.GRAPH, graph, field(f.Graph.INITIALIZER, tensor + more))

    def in_attribute(more):
        inner = attribute + more
        changed = field(f.Node.OP_TYPE, "Add") + field(f.Node.ATTRIBUTE, inner)
        return message(f.Model.GRAPH, graph, field(f.Graph.NODE, changed))

    return {
        "graph": field(f.Model.GRAPH, graph) + field(f.Model.GRAPH, graph),
        "version": field(f.Model.IR_VERSION, 10) * 2 + field(f.Model.GRAPH, graph),
        "operator": in_node(field(f.Node.OP_TYPE, "Sub")),
        "domain": in_node(field(f.Node.DOMAIN, "") + field(f.Node.DOMAIN, "com.microsoft")),
        "name": in_node(field(f.Node.NAME, "other")),
        "attribute": in_node(field(f.Node.ATTRIBUTE, attribute)),
        "number of an attribute": in_attribute(field(f.Attribute.I, 7)),
        "text beside a number": in_attribute(field(f.Attribute.S, "x")),
        "type of an attribute": in_attribute(field(f.Attribute.TYPE, 3)),
        "name of a tensor": in_tensor(field(f.Tensor.NAME, "other")),
        "type of a tensor": in_tensor(field(f.Tensor.DATA_TYPE, 7)),
        "data of a tensor": in_tensor(field(f.Tensor.RAW_DATA, b"\0" * 8)),
        "input": message(f.Model.GRAPH, graph, field(f.Graph.INPUT, value + value)),
        "name of the graph": message(f.Model.GRAPH, graph, field(f.Graph.NAME, "other")),
    }


@pytest.mark.security("a part of a file that is written twice, so that readers differ", "refused")
@pytest.mark.parametrize("part", written_twice())
def test_what_is_written_twice_is_refused(part):
    onnx.ModelProto.FromString(written_twice()[part])  # protobuf reads it
    with pytest.raises(ModelError):
        summarize(written_twice()[part])


@pytest.mark.security("names that are not UTF-8, too long, or have control characters", "refused")
@pytest.mark.parametrize("name", [b"\xff", b"\xfe", b"a\x1b[31m", b"a\nb", b"x" * 100_000, "\u202e".encode()])
def test_a_name_that_cannot_be_printed_is_refused(name):
    for number in (fields.Node.NAME, fields.Node.OP_TYPE, fields.Node.INPUT, fields.Node.OUTPUT):
        with pytest.raises(ModelError, match=r"a name|the name") as caught:
            summarize(message(fields.Model.GRAPH, message(fields.Graph.NODE, field(number, name))))
        assert str(caught.value).isprintable()


def test_damaged_bytes_give_a_summary_or_a_model_error():
    data = mm.make_proto(mm.make_card()).SerializeToString()
    numbers = random.Random(5)  # noqa: S311 - a seed for repetition, not a secret
    refused = 0
    for _ in range(3000):
        bad = bytearray(data)
        for _ in range(numbers.randint(1, 4)):
            bad[numbers.randrange(len(bad))] = numbers.randrange(256)
        try:
            summarize(bytes(bad))
        except ModelError:
            refused += 1
    assert refused > 300


def test_every_truncation_gives_a_summary_or_a_model_error():
    data = mm.make_proto(mm.make_card()).SerializeToString()
    for length in range(len(data)):
        try:
            summarize(data[:length])
        except ModelError as error:
            assert "export again" in str(error)  # noqa: PT017 - a truncated file may also be legal


def test_millions_of_empty_fields_are_refused_in_bounded_time():
    data = field(fields.Graph.NODE, b"") * (2 * MAX_FIELDS)
    start = time.process_time()
    with pytest.raises(ModelError, match="more than"):
        summarize(field(fields.Model.GRAPH, data))
    assert time.process_time() - start < 5


def test_duplicate_graphs_or_keys_and_bad_wire_types_are_refused():
    graph = model_of().SerializeToString()
    with pytest.raises(ModelError, match="2 graphs"):
        summarize(graph + b"\x3a\x00")
    entry = b"\x72\x06\x0a\x01k\x12\x01v"
    with pytest.raises(ModelError, match="twice"):
        summarize(graph + entry + entry)
    for bad in (b"\x0b", b"\x0f", b"\x00\x00", b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x3a"):
        with pytest.raises(ModelError):
            summarize(graph + bad)
