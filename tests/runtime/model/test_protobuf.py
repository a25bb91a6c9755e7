from __future__ import annotations

import random
import time

import numpy as np
import pytest

from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.model.limits import check_limits
from fcn_edge_runtime.model.protobuf.reading import MAX_FIELDS
from fcn_edge_runtime.model.protobuf.summary import summarize

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - after the skip

from tests.runtime import make_models as mm  # noqa: E402 - needs onnx


def model_of(*nodes, initializers=(), **fields):
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])
    graph = helper.make_graph(list(nodes), "g", [image], [], list(initializers))
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)], **fields)


def external(name, field="raw_data"):
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return tensor


def test_the_summary_says_what_onnx_says():
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


def test_a_tensor_that_declares_more_than_it_holds_is_counted_as_it_declares():
    liar = TensorProto(dims=[100_000, 100_000], data_type=TensorProto.FLOAT, name="liar")
    assert summarize(model_of(initializers=[liar]).SerializeToString()).largest_tensor_bytes == 4 * 10**10


def test_damaged_bytes_give_a_summary_or_our_error_and_nothing_else():
    data = mm.make_proto(mm.make_card()).SerializeToString()
    numbers = random.Random(5)  # noqa: S311 - a seed for repetition, no secret
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


def test_every_cut_gives_a_summary_or_our_error():
    data = mm.make_proto(mm.make_card()).SerializeToString()
    for length in range(len(data)):
        try:
            summarize(data[:length])
        except ModelError as error:
            assert "export again" in str(error)  # noqa: PT017 - a cut may also be legal


def test_a_model_nested_too_deep_is_refused_without_recursion():
    data = b""
    for _ in range(3000):
        node = b"\x2a" + varint(len(data) + 1 + len(varint(len(data)))) + b"\x32" + varint(len(data)) + data
        data = b"\x0a" + varint(len(node)) + node
    with pytest.raises(ModelError, match="nested"):
        summarize(b"\x3a" + varint(len(data)) + data)


def test_a_model_of_millions_of_empty_fields_is_refused_in_bounded_time():
    data = b"\x0a\x00" * (2 * MAX_FIELDS)
    start = time.process_time()
    with pytest.raises(ModelError, match="fields"):
        summarize(b"\x3a" + varint(len(data)) + data)
    assert time.process_time() - start < 5


def test_two_graphs_two_equal_keys_and_foreign_wire_types_are_refused():
    graph = model_of().SerializeToString()
    with pytest.raises(ModelError, match="2 graphs"):
        summarize(graph + b"\x3a\x00")
    entry = b"\x72\x06\x0a\x01k\x12\x01v"
    with pytest.raises(ModelError, match="twice"):
        summarize(graph + entry + entry)
    for bad in (b"\x0b", b"\x0f", b"\x00\x00", b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x3a"):
        with pytest.raises(ModelError):
            summarize(graph + bad)


def giants():
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


@pytest.mark.parametrize("kind", giants())
def test_operators_that_make_giants_of_constants_are_found(kind):
    with pytest.raises(ModelError, match="has an operator"):
        check_limits(giants()[kind].SerializeToString())


def test_an_ordinary_model_makes_no_giants():
    check_limits(mm.make_proto(mm.make_card()).SerializeToString())


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])
