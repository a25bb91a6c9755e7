"""Files that leave pixels of low confidence unlabeled, `export --reject`."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import fcn_edge
from fcn_edge_export.graph.reject import with_rejection, without_rejection
from fcn_edge_export.variants.variant import variant
from fcn_edge_runtime import Segmenter, UsageError, VerificationError
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.seal import sealed
from fcn_edge_runtime.trusted_session import selftest
from tests.runtime.maps.rasters import write_raster


def network(classes, gain=4.0):
    torch = pytest.importorskip("torch")
    from torch import nn

    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 3, padding=1)).eval()
    with torch.no_grad():
        net[2].weight *= gain
    return net


def named(classes):
    return Card(
        "sure", tuple(fcn_edge.ClassInfo(i, f"class {i}", (i % 256, 0, 0)) for i in range(max(classes, 2)))
    )


ALL = ("labels", "confidence", "probabilities")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function from the number of logits and options to a file that rejects below 0.6."""
    folder, made = tmp_path_factory.mktemp("reject"), {}

    def give(classes, outputs=ALL, **more):
        key = (classes, outputs, *more.items())
        if key not in made:
            path = folder / f"{len(made)}.onnx"
            options = fcn_edge.ExportOptions(outputs=outputs, reject=0.6, **more)
            fcn_edge.export(network(classes), named(classes), path, options=options)
            made[key] = path
        return made[key]

    return give


def check_rejected(path):
    """Labels are the most probable classes where they are sure enough, and unlabeled elsewhere."""
    with Segmenter(path, "cpu") as segmenter:
        found = segmenter(pattern(2, 61, 83, 3, 5, segmenter.card.input))
        assert segmenter.card.reject == 0.6
    scores = found.probabilities
    best = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(int)
    expected = np.where(found.confidence >= np.float32(0.6), best, 255)
    np.testing.assert_array_equal(found.labels, expected)
    assert 0.05 < (found.labels == 255).mean() < 0.95
    return found


@pytest.mark.parametrize("classes", [1, 4])
def test_pixels_below_the_confidence_are_unlabeled(exported, classes):
    check_rejected(exported(classes))


@pytest.mark.slow
def test_a_file_rejects_without_giving_its_confidence(exported):
    with Segmenter(exported(4, ("labels",)), "cpu") as segmenter:
        found = segmenter(pattern(2, 61, 83, 3, 5, segmenter.card.input))
        assert segmenter.outputs == ("labels",)
    np.testing.assert_array_equal(found.labels, check_rejected(exported(4)).labels)


@pytest.mark.slow
def test_a_padded_network_rejects_at_the_image_s_own_size(exported):
    check_rejected(exported(4, size_multiple=16))


@pytest.mark.parametrize(("classes", "kind"), [(4, np.uint8), (300, np.uint16)])
def test_labels_of_either_width_are_rejected(classes, kind):
    elem = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    shape = ["batch", "height", "width"]
    ends = [("given", "labels", elem), ("sure", "confidence", onnx.TensorProto.FLOAT)]
    nodes = [onnx.helper.make_node("Identity", [a], [b], name=f"fcn_edge/{b}") for a, b, _ in ends]
    inputs, outputs = (
        [onnx.helper.make_tensor_value_info(end[at], end[2], shape) for end in ends] for at in (0, 1)
    )
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs)
    plain = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    model = with_rejection(plain, named(classes), 0.6, confidence=False)
    labels = np.arange(4, dtype=kind).reshape(1, 2, 2) + kind(classes - 4)
    sure = np.array([0.59, 0.6, 0.2, 0.9], np.float32).reshape(1, 2, 2)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"given": labels, "sure": sure})
    assert found.dtype == kind
    nothing = np.iinfo(kind).max
    assert found.ravel().tolist() == [nothing, labels[0, 0, 1], nothing, labels[0, 1, 1]]


def test_a_file_that_rejects_passes_its_self_test(exported):
    report = selftest(exported(4))
    assert report.passed
    assert report.distinct > 1
    assert sum(case.wrong for case in report.cases) == 0


def test_a_file_that_rejects_is_verified_against_its_network(exported):
    path = exported(4)
    result = fcn_edge.verify(path, network(4))
    assert result.same_weights
    assert all(verdict.passed for verdict in result.verdicts)


def changed(path, tmp_path, least):
    """The file with another number in its graph, and a seal over it."""
    model = onnx.load(path)
    [limit] = [c for c in model.graph.initializer if c.name == "fcn_edge/reject/least"]
    limit.CopyFrom(onnx.numpy_helper.from_array(np.array(least, np.float32), limit.name))
    metadata = [p for p in model.metadata_props if p.key != "fcn_edge.sha256"]
    del model.metadata_props[:]
    model.metadata_props.extend(metadata)
    other = tmp_path / "changed.onnx"
    other.write_bytes(sealed(model.SerializeToString()))
    return other


@pytest.mark.slow
def test_a_graph_that_rejects_otherwise_than_its_card_fails(exported, tmp_path):
    with pytest.raises(VerificationError, match="labels differ"):
        fcn_edge.verify(changed(exported(4), tmp_path, 0.5), network(4))


def test_what_cannot_reject_is_refused(exported, tmp_path):
    path = exported(4)
    write_raster(tmp_path / "in.tif", Card("any").input, 64, 64)
    with pytest.raises(UsageError, match="export it without --reject"):
        variant(path, tmp_path / "v.onnx", "logits")
    with pytest.raises(UsageError, match="export it without --reject"):
        fcn_edge.quantize(path, tmp_path / "q.onnx", {"a": np.zeros((64, 64, 3), np.uint8)})
    with pytest.raises(UsageError, match="expected no threshold"):
        Segmenter(exported(4), "cpu", threshold=0.5)
    with pytest.raises(UsageError, match="export it without --reject"):
        fcn_edge.label_raster(tmp_path / "in.tif", path, tmp_path / "out.tif")


@pytest.mark.parametrize("wrong", [0, 1, -1, 1.5, float("nan"), "0.6"])
def test_a_confidence_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match="expected a number above 0 and below 1"):
        fcn_edge.ExportOptions(reject=wrong)


@pytest.mark.slow
def test_a_rejection_of_nearly_everything_is_refused(tmp_path):
    with pytest.raises(UsageError, match="give a lower one"):
        fcn_edge.export(
            network(4, gain=0.1),
            named(4),
            tmp_path / "a.onnx",
            options=fcn_edge.ExportOptions(reject=0.9),
        )
    assert not list(tmp_path.iterdir())


def test_rejection_comes_off_and_on_again(exported):
    model, card = onnx.load(exported(4)), named(4)
    again = with_rejection(without_rejection(model), card, 0.6, confidence=True)

    def shown(node):
        return node.op_type, tuple(node.input), tuple(node.output)

    assert sorted(map(shown, again.graph.node)) == sorted(map(shown, model.graph.node))
    assert [o.name for o in again.graph.output] == [o.name for o in model.graph.output]
