"""Files that leave the border of an image unlabeled, `export --border unlabeled`."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from fcn_edge_export import ExportOptions, quantize, verify
from fcn_edge_export.graph.unlabeled_border import with_border, with_unlabeled_border
from fcn_edge_export.probe import Question, probe
from fcn_edge_export.reference import LogitsNetwork
from fcn_edge_runtime import Segmenter, UsageError
from fcn_edge_runtime.evaluation.evaluate import evaluate
from fcn_edge_runtime.trusted_session import selftest
from tests.export.public_styles import ValidUNet
from tests.export.test_idioms import exported, seeded
from tests.export.test_reject import named

CROP = 4  # rows and columns that it lacks


def without_padding():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The file of a network without padding that leaves the border unlabeled."""
    return exported(seeded(without_padding), tmp_path_factory.mktemp("border"), border="unlabeled")


def test_what_the_network_covers_is_labeled_and_the_rest_not(made):
    image = np.random.default_rng(0).integers(0, 256, (61, 84, 3), np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = seeded(without_padding)(x).argmax(1)[0].numpy()
    with Segmenter(made.path) as segmenter:
        labels = segmenter(image).labels
    assert (labels[2:-2, 2:-2] == expected).mean() > 0.999
    labels = labels.copy()
    labels[2:-2, 2:-2] = 255
    assert (labels == 255).all()


@pytest.mark.parametrize("size", [(61, 84), (64, 97)])
def test_sides_between_two_of_a_grid_are_covered_as_far(size):
    height, width = size
    net = seeded(ValidUNet)
    found = probe(net, 3, Question(border="unlabeled"))
    assert (found.crop, found.grid, found.smallest) == (16, (2, 0), 24)
    network = LogitsNetwork.of(net, found, border="unlabeled")
    x = torch.randn(2, 3, height, width)
    with torch.no_grad():
        covered = net(F.pad(x, (0, width % 2, 0, height % 2), mode="replicate"))
        logits = network(x)
    assert logits.shape == (2, 3, height, width)
    torch.testing.assert_close(logits[..., 8:-8, 8:-8], covered[..., : height - 16, : width - 16])
    assert int((logits != 0).any(1).sum()) == 2 * (height - 16) * (width - 16)


def test_a_file_with_an_unlabeled_border_is_verified(made):
    assert made.card.net.border == "unlabeled"
    assert "4 rows and columns of border left unlabeled" in made.stages[0].summary
    assert selftest(made.path).passed
    assert verify(made.path, seeded(without_padding)).verdicts[0].passed


def test_an_unlabeled_border_is_not_evaluated(made, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    image = np.random.default_rng(1).integers(0, 256, (64, 90, 3), np.uint8)
    with Segmenter(made.path) as segmenter:
        truth = segmenter(image).labels
        Image.fromarray(image).save(tmp_path / "images" / "a.png")
        mask = Image.fromarray(np.where(truth == 255, 0, truth).astype(np.uint8))
        mask.save(tmp_path / "labels" / "a.png")
        found = evaluate(segmenter, tmp_path / "images", tmp_path / "labels")
    assert found.scores.pixel_accuracy == 1
    assert found.scores.pixels == (64 - CROP) * (90 - CROP)


def test_what_needs_every_label_refuses_an_unlabeled_border(made, tmp_path):
    with pytest.raises(UsageError, match="export it without --border unlabeled"):
        quantize(made.path, tmp_path / "q.onnx", {"a": np.zeros((64, 64, 3), np.uint8)})
    with pytest.raises(UsageError, match="expected no threshold"):
        Segmenter(made.path, threshold=0.5)
    for options in ({"reject": 0.5}, {"working_size": "0.5x"}):
        with pytest.raises(UsageError, match="--border reflect goes with each"):
            ExportOptions(border="unlabeled", **options)


def test_a_map_of_a_file_with_an_unlabeled_border_is_refused(made):
    from fcn_edge_runtime.maps.network import TileNetwork

    with pytest.raises(UsageError, match="export it with --border reflect"):
        TileNetwork(made.path)


@pytest.mark.parametrize(("classes", "kind"), [(4, np.uint8), (300, np.uint16)])
def test_borders_of_labels_of_either_width_are_unlabeled(classes, kind):
    elem = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    ends = [onnx.helper.make_tensor_value_info(n, elem, [1, "h", "w"]) for n in ("given", "labels")]
    node = onnx.helper.make_node("Identity", ["given"], ["labels"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    plain = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    model = with_unlabeled_border(plain, named(classes), 3)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    labels = np.full((1, 5, 6), classes - 1, kind)
    [found] = session.run(None, {"given": labels})
    nothing = np.iinfo(kind).max
    assert found.dtype == kind
    np.testing.assert_array_equal(found, with_border(labels, 3, nothing))
    assert (found[:, 1:3, 1:4] == classes - 1).all()
    assert (found == nothing).sum() == 5 * 6 - 2 * 3
