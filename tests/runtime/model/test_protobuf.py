from __future__ import annotations

import random
import time

import numpy as np
import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.limits import check_limits
from fcn_edge_runtime.model.protobuf import fields
from fcn_edge_runtime.model.protobuf.reading import MAX_FIELDS, Reader
from fcn_edge_runtime.model.protobuf.summary import summarize
from fcn_edge_runtime.model.protobuf.views import read_attribute, read_node
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
    for name in set(fields.__all__) - {"DataType"}:
        descriptor = messages.get(name, getattr(onnx, f"{name}Proto", None)).DESCRIPTOR
        known = {field.name.upper(): field.number for field in descriptor.fields}
        named = {key: number for key, number in vars(getattr(fields, name)).items() if key.isupper()}
        assert named
        assert named.items() <= known.items()
    named = {key: number for key, number in vars(fields.DataType).items() if key.isupper()}
    assert named.items() <= dict(TensorProto.DataType.items()).items()


def test_onnx_reads_what_is_written():
    graph = message(fields.Model.GRAPH, field(fields.Graph.NAME, "ü" * 100))
    proto = onnx.ModelProto.FromString(field(fields.Model.IR_VERSION, 300_000) + graph)
    assert proto.ir_version == 300_000
    assert proto.graph.name == "ü" * 100


def test_views_hold_what_onnx_wrote():
    node = helper.make_node(
        "Pad", ["a", "", "b"], ["c"], name="n", domain="d", mode="edge", axis=-1, pads=[1, -2]
    )
    node.attribute.add(name="many", ints=range(65))
    node.attribute.add(name="t").t.CopyFrom(numpy_helper.from_array(np.array([3, -4], np.int64), "t"))
    node.attribute.add(name="g").g.SetInParent()
    node.attribute.add(name="sparse").sparse_tensor.SetInParent()
    data = node.SerializeToString()
    reader = Reader(memoryview(data))
    view = read_node(reader, 0, len(data))
    assert (view.op_type, view.domain, view.inputs, view.outputs) == ("Pad", "d", ("a", "", "b"), ("c",))
    assert reader.text(*view.name) == "n"
    found = {a.name: a for a in (read_attribute(reader, *span) for span in view.attributes)}
    assert found["mode"].s == b"edge"
    assert (found["axis"].i, found["axis"].ints) == (-1, ())
    assert found["pads"].ints == (1, -2)
    assert found["many"].ints is None
    assert found["t"].tensor.declared() == ("t", TensorProto.INT64, 2, False)
    assert found["t"].tensor.numbers() == (3, -4)
    assert len(found["g"].graphs) == 1
    assert [name for name, attribute in found.items() if attribute.sparse] == ["sparse"]


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
    assert summary.largest_tensor_bytes == mm.weights_for(card).nbytes
    assert summary.external_tensors == ()


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
def test_external_data_is_found_wherever_it_hides(place):
    assert summarize(places_for_external_data()[place].SerializeToString()).external_tensors


def test_a_tensor_counts_with_the_size_that_it_declares():
    liar = TensorProto(dims=[100_000, 100_000], data_type=TensorProto.FLOAT, name="liar")
    assert summarize(model_of(initializers=[liar]).SerializeToString()).largest_tensor_bytes == 4 * 10**10


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
            check_limits(bytes(bad))
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


def test_a_model_nested_too_deep_is_refused_without_recursion():
    data = b""
    for _ in range(3000):
        attribute = message(fields.Node.ATTRIBUTE, field(fields.Attribute.G, data))
        data = field(fields.Graph.NODE, attribute)
    with pytest.raises(ModelError, match="nested"):
        summarize(field(fields.Model.GRAPH, data))


def test_millions_of_empty_fields_are_refused_in_bounded_time():
    data = field(fields.Graph.NODE, b"") * (2 * MAX_FIELDS)
    start = time.process_time()
    with pytest.raises(ModelError, match="fields"):
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


def oversized():
    def const(name, values, dtype=np.int64):
        return numpy_helper.from_array(np.array(values, dtype), name)

    node = helper.make_node
    big = [50_000, 40_000]
    inside = helper.make_graph([node("ConstantOfShape", ["s"], ["c"])], "inside", [], [])
    return {
        "zeros": model_of(node("ConstantOfShape", ["s"], ["c"]), initializers=[const("s", big)]),
        "by constant node": model_of(
            node("Constant", [], ["s"], value_ints=big), node("Expand", ["x", "s"], ["c"])
        ),
        "by constant tensor": model_of(
            node("Constant", [], ["s"], value=const("v", big)), node("Tile", ["x", "s"], ["c"])
        ),
        "resize to sizes": model_of(
            node("Resize", ["x", "", "", "s"], ["c"]), initializers=[const("s", [1, 1, *big])]
        ),
        "resize by scales": model_of(
            node("Resize", ["x", "", "s"], ["c"]), initializers=[const("s", [1, 1, 1e5, 1e5], np.float32)]
        ),
        "pad": model_of(node("Pad", ["x", "s"], ["c"]), initializers=[const("s", [0, 0, 0, 10**9])]),
        "random": model_of(node("RandomNormal", [], ["c"], shape=big)),
        "in a subgraph": model_of(
            node("If", ["x"], ["y"], then_branch=inside, else_branch=inside), initializers=[const("s", big)]
        ),
    }


@pytest.mark.parametrize("kind", oversized())
def test_oversized_constants_are_refused(kind):
    with pytest.raises(ModelError, match="has an operator"):
        check_limits(oversized()[kind].SerializeToString())


def test_an_ordinary_model_is_within_the_limits():
    check_limits(mm.make_proto(mm.make_card()).SerializeToString())
