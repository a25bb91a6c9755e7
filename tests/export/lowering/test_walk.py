import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fcn_edge_export.lowering.body import typed
from fcn_edge_export.lowering.walk import Walk
from fcn_edge_runtime.session.session import open_session
from tests.export.parents import blocks, write_parent


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return typed(onnx.load(write_parent(tmp_path_factory.mktemp("walk") / "parent.onnx")))


def images(count):
    return [blocks(seed=index)[None] for index in range(count)]


def computed(model, name, image):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(onnx.ValueInfoProto(name=name))
    return open_session(copy.SerializeToString(), "cpu").raw.run([name], {"image": image})[0]


def test_values_asked_for_in_turn_are_those_of_one_pass(model):
    walk = Walk(model, images(2))
    for name in ("normalized", "sr", "fr", "sum", "logits", "labels"):
        for image, value in zip(images(2), walk.values(name), strict=True):
            assert np.allclose(value, computed(model, name, image), atol=1e-5)


def test_only_values_that_are_still_read_are_kept(model):
    walk = Walk(model, images(1))
    walk.values("p")
    held = set(walk._values[0])
    assert "p" in held
    assert held.isdisjoint({"s", "sr", "f", "fr", "g", "sum", "sumr"})


def test_a_constant_changed_in_between_changes_what_follows(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    walk = Walk(copy, images(1))
    assert walk.values("sr")[0].any()
    weight = walk.constants["first.weight"]
    weight.CopyFrom(numpy_helper.from_array(np.zeros(tuple(weight.dims), np.float32), weight.name))
    assert not walk.values("fr")[0].any()
