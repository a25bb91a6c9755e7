"""Operators off the list are refused, and so is what makes too much, for any size of image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fcn_edge_runtime import ModelError, Segmenter, UsageError
from fcn_edge_runtime.model.allowed import ALLOW_OPERATORS
from fcn_edge_runtime.model.card import WorkingSize
from fcn_edge_runtime.model.dry_run.operators import ALLOWED
from fcn_edge_runtime.model.dry_run.values import COMPUTED
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.session.session import open_session

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - after the skip

from tests.runtime import make_models as mm  # noqa: E402 - needs onnx

node = helper.make_node


def with_nodes(path, nodes, initializers=(), labels="index", card=None):
    """A file with these nodes after the network; they may make the labels of `labels`."""
    card = card or mm.make_card()
    proto = mm.make_proto(card)
    golden = mm.make_golden(card, proto)
    proto.graph.node[-1].input[0] = labels
    last = proto.graph.node.pop()
    proto.graph.node.extend([*nodes, last])
    proto.graph.initializer.extend(initializers)
    path.write_bytes(mm.finish(proto, card, golden))
    return path


def const(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)


def test_every_listed_operator_is_onnx_own():
    schemas = {s.name: s for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    for name in ALLOWED:
        known = [
            s.since_version
            for s in onnx.defs.get_all_schemas_with_history()
            if s.name == name and s.domain == "" and s.since_version <= 18
        ]
        assert known, name
        # No graphs, no sequences, no text: neither may come in by an operator's attributes.
        kinds = {str(a.type) for a in schemas[name].attributes.values()}
        assert not any("GRAPH" in kind for kind in kinds), name
    assert COMPUTED.keys() <= ALLOWED.keys()


@pytest.mark.security("an operator that an export does not write", "refused; `--allow-operators` accepts it")
def test_an_operator_off_the_list_can_be_allowed(tmp_path, monkeypatch):
    path = with_nodes(
        tmp_path / "m.onnx",
        [node("MaxUnpool", ["logits", "places", "shape"], ["unpooled"], kernel_shape=[1, 1])],
        [const("places", np.zeros((1, 3, 64, 64))), const("shape", [1, 3, 64, 64])],
    )
    with pytest.raises(ModelError, match=r"MaxUnpool, which is not on the list.*--allow-operators MaxUnpool"):
        Segmenter(path, "cpu")
    image = np.zeros((64, 64, 3), np.uint8)
    with Segmenter(path, "cpu", allow_operators=["MaxUnpool"]) as segmenter:
        assert segmenter(image).labels.shape == (64, 64)
    with pytest.raises(UsageError, match="expected a list of names"):
        Segmenter(path, "cpu", allow_operators="MaxUnpool")
    monkeypatch.setenv(ALLOW_OPERATORS, "Loop, MaxUnpool")
    with Segmenter(path, "cpu") as segmenter:
        assert segmenter(image).labels.shape == (64, 64)


@pytest.mark.security("a graph that grows with the image faster than it", "refused at the size where it does")
def test_a_graph_is_followed_again_for_each_size_of_image(tmp_path):
    # A row times a column of the image's pixels: harmless for a small image.
    path = with_nodes(
        tmp_path / "m.onnx",
        [
            node("ReduceMean", ["logits", "one"], ["average"]),
            node("Reshape", ["average", "to_row"], ["row"]),
            node("Transpose", ["row"], ["column"]),
            node("MatMul", ["column", "row"], ["outer"]),
            node("ReduceMax", ["outer"], ["most"], keepdims=0),
            node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
            node("Min", ["whole", "zero"], ["nothing"]),
            node("Max", ["index", "nothing"], ["same"]),
        ],
        [const("one", [1]), const("to_row", [1, -1]), const("zero", 0)],
        labels="same",
    )
    with Segmenter(path, "cpu", 1) as segmenter:
        assert segmenter(np.zeros((64, 64, 3), np.uint8)).labels.shape == (64, 64)
        with pytest.raises(ModelError, match=r"MatMul with which tensors take over .* an image of 1x300x400"):
            segmenter(np.zeros((300, 400, 3), np.uint8))
        assert segmenter(np.zeros((64, 64, 3), np.uint8)).labels.shape == (64, 64)


def seeing(path, side, *, working=None, multiple=1):
    """A file that resizes its logits to side x side for every image, and a card that says what it sees."""
    nodes = [
        node("Resize", ["logits", "", "", "sides"], ["large"], mode="linear"),
        node("ReduceMax", ["large"], ["most"], keepdims=0),
        node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
        node("Min", ["whole", "zero"], ["nothing"]),
        node("Max", ["index", "nothing"], ["same"]),
    ]
    constants = [const("sides", [1, 3, side, side]), const("zero", 0)]
    card = mm.make_card(working_size=working)
    card = replace(card, geometry=replace(card.geometry, size_multiple=multiple))
    return with_nodes(path, nodes, constants, labels="same", card=card)


LARGE = [
    {"working": WorkingSize(None, (4096, 4096))},
    {"multiple": 4096},
    {"working": WorkingSize((1, 2), None, least=4096)},
]


@pytest.mark.parametrize("large", LARGE)
def test_a_small_image_may_take_what_its_network_sees(large, tmp_path):
    with ModelFile.open(seeing(tmp_path / "m.onnx", 4096, **large)) as file:
        assert file.limits is not None


@pytest.mark.parametrize(
    "other",
    [{}, {"working": WorkingSize((1, 2), None)}, {"working": WorkingSize(None, (64, 64))}, {"multiple": 64}],
)
def test_a_small_image_may_not_take_what_a_large_one_takes(other, tmp_path):
    with pytest.raises(ModelError, match=r"Resize .* for an image of 1x64x64"):
        ModelFile.open(seeing(tmp_path / "m.onnx", 4096, **other))


@pytest.mark.security("a card with the largest working size", "4 GB of tensors for an image at most")
@pytest.mark.parametrize("large", LARGE)
def test_what_a_card_states_does_not_lift_the_limits(large, tmp_path):
    with pytest.raises(ModelError, match=r"Resize .* for an image of 1x64x64"):
        ModelFile.open(seeing(tmp_path / "m.onnx", 20_000, **large))


@pytest.mark.parametrize(
    ("nodes", "initializers", "message"),
    [
        ([node("Neg", ["nowhere"], ["x1"])], [], "reads 'nowhere' before it is made"),
        ([node("Neg", ["logits"], ["nchw"])], [], "makes 'nchw' twice"),
        ([node("Neg", ["logits"], ["image"])], [], "makes 'image' twice"),
        ([], [const("unused", [1])], "holds 1 tensors that no operator reads"),
        ([node("Neg", ["image"], ["x1"])], [const("image", [1])], "makes 'image' twice"),
    ],
)
def test_a_graph_out_of_order_is_refused(tmp_path, nodes, initializers, message):
    with pytest.raises(ModelError, match=message):
        ModelFile.open(with_nodes(tmp_path / "m.onnx", nodes, initializers))


@pytest.mark.security("a card that lists other operators than the file has", "refused")
def test_a_card_that_lists_other_operators_is_refused(tmp_path):
    card = mm.make_card()
    proto = mm.make_proto(card)
    path = tmp_path / "m.onnx"
    path.write_bytes(mm.finish(proto, card))
    with ModelFile.open(path) as model:
        text = model.card.to_json()
    assert '"ArgMax":1' in text
    proto.ClearField("metadata_props")
    path.write_bytes(mm.finish(proto, text.replace('"ArgMax":1', '"ArgMax":2'), mm.make_golden(card, proto)))
    with pytest.raises(ModelError, match="has 1 operators ArgMax, its card lists 2"):
        ModelFile.open(path)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (64, 64), (480, 640)])
def test_the_followed_shapes_are_those_onnxruntime_makes(tmp_path, size):
    import onnxruntime

    from fcn_edge_runtime.model.dry_run import run as dry
    from fcn_edge_runtime.model.protobuf.summary import read_model

    seen = {}
    path = tmp_path / "m.onnx"
    # Sizes that a graph computes, in every way that a value is followed.
    nodes = [
        node("Shape", ["image"], ["dims"]),
        node("Slice", ["dims", "one", "three"], ["hw"]),
        node("Cast", ["hw"], ["hw_float"], to=TensorProto.FLOAT),
        node("Mul", ["hw_float", "half"], ["halved"]),
        node("Ceil", ["halved"], ["up"]),
        node("Cast", ["up"], ["up_int"], to=TensorProto.INT64),
        node("Concat", ["first", "up_int"], ["target"], axis=0),
        node("Resize", ["logits", "", "", "target"], ["small"], mode="linear"),
        node("Shape", ["small"], ["small_dims"], start=2),
        node("Mod", ["small_dims", "three"], ["rest"]),
        node("Sub", ["three", "rest"], ["more"]),
        node("Concat", ["none", "more"], ["pads"], axis=0),
        node("Pad", ["small", "pads"], ["padded"]),
        node("ReduceProd", ["more"], ["count"], keepdims=0),
        node("Range", ["zero", "count", "step"], ["range"]),
        node("Unsqueeze", ["range", "one"], ["column"]),
        node("Div", ["column", "two"], ["column_half"]),
        node("Expand", ["column_half", "more"], ["g"]),
    ]
    constants = [
        const("one", [1]),
        const("three", [3]),
        const("two", [2]),
        const("half", [0.5], np.float32),
        const("first", [1, 3]),
        const("none", [0] * 6),
        const("zero", 0),
        const("step", 1),
    ]
    nodes = nodes[:17]  # up to what has one shape whatever the image
    with_nodes(path, nodes, constants)
    proto = onnx.load(path)
    names = [name for n in proto.graph.node for name in n.output]
    for name in names:
        if name not in [o.name for o in proto.graph.output]:
            proto.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(names, {"image": np.zeros((1, *size, 3), np.uint8)})
    follow = dry._follow

    def noted(step, inputs, count):
        made = follow(step, inputs, count)
        seen.update(zip(step.outputs, made, strict=False))
        return made

    graph = read_model(path.read_bytes())[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dry, "_follow", noted)
        dry.DryRun(graph, path.stat().st_size, 3, 1, "m").check(1, *size, 3)
    assert len(seen) == len(names)
    for name, value in zip(names, values, strict=True):
        assert seen[name].dims == value.shape, name
        if seen[name].value is not None:
            assert np.array_equal(seen[name].value, value), name
    assert {"pads", "count", "range", "column_half"} <= {
        n for n, known in seen.items() if known.value is not None
    }


def test_a_session_of_bytes_is_not_followed(model_path):
    from fcn_edge_runtime.model.seal import unsealed

    session = open_session(unsealed(model_path("plain").read_bytes()), "cpu")
    assert session.limits is None
