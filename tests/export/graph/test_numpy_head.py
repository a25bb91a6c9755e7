"""The head in numpy against PyTorch, and files that are run without the head they hold."""

from __future__ import annotations

import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

from fcn_edge_export import export
from fcn_edge_export.options import ExportOptions
from fcn_edge_runtime import Segmenter, UsageError
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.session.numpy_head import labels_of_logits
from fcn_edge_runtime.session.session import SessionOptions
from tests.export import networks
from tests.export.graph.test_sparse_head import HEADS, differing, drawn, scores
from tests.export.parents import blocks, write_parent

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
NUMPY = SessionOptions(head="numpy")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("classes", "align_corners"), HEADS)
def test_labels_equal_those_of_pytorch_at_hundreds_of_sizes(classes, align_corners):
    random = np.random.default_rng(classes)
    for index in range(200):
        kind, low, height, width = drawn(random, index, classes)
        labels = labels_of_logits(low, height, width, align_corners=align_corners)
        count, worst = differing(labels, low, align_corners=align_corners)
        assert worst <= 1, (kind, low.shape, height, width, count)


@pytest.mark.parametrize("size", [(240, 320), (517, 513), (480, 640), (7, 9), (1, 1)])
def test_no_pixel_differs_where_logits_are_smooth(size):
    low = scores(np.random.default_rng(0), (1, 7, -(-size[0] // 8), -(-size[1] // 8)), "smooth")
    assert differing(labels_of_logits(low, *size, align_corners=False), low, align_corners=False)[0] == 0


def test_fewer_pixels_than_logits_are_fine():
    low = scores(np.random.default_rng(1), (1, 4, 50, 70), "noise")
    labels = labels_of_logits(low, 20, 31, align_corners=False)
    assert differing(labels, low, align_corners=False)[1] <= 1


def test_classes_above_255_keep_their_numbers():
    low = np.zeros((1, 300, 3, 4), np.float32)
    low[0, 299, :, 2:] = 1
    labels = labels_of_logits(low, 12, 16, align_corners=False, dtype="uint16")
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) == {0, 299}


@pytest.mark.parametrize(
    ("classes", "channels", "dtype", "align_corners"),
    [
        (5, 3, "uint8", False),
        (1, 3, "uint8", False),
        pytest.param(300, 3, "uint8", False, marks=pytest.mark.slow),
        (5, 1, "uint16", True),
    ],
    ids=["color", "binary", "300 classes", "16 bits, corners aligned"],
)
@pytest.mark.sampled(1)
def test_an_exported_file_labels_the_same_without_its_head(tmp_path, classes, channels, dtype, align_corners):
    net = networks.seeded(lambda: networks.Plain(channels, classes))
    net.align_corners = align_corners
    card = Card("net", (), InputSpec.default(channels, dtype))
    path = export(
        net, card, tmp_path / "net.onnx", options=ExportOptions(outputs=("labels", "confidence"))
    ).path
    with Segmenter(path, "cpu") as whole, Segmenter(path, "cpu", options=NUMPY) as cut:
        assert cut.outputs == ("labels",)
        for size in ((61, 83), (64, 96), (5, 7)):
            image = (np.random.default_rng(5).random((2, *size, channels)) * 256).astype(dtype)
            expected, got = whole(image).labels, cut(image).labels
            assert got.dtype == expected.dtype
            assert (got != expected).mean() < 1e-3
        assert len(np.unique(got)) > 1


def test_an_int8_file_labels_the_same_without_its_head():
    path = ARTIFACTS / "0.1.0-int8.onnx"
    with Segmenter(path, "cpu") as whole, Segmenter(path, "cpu", options=NUMPY) as cut:
        for size in ((61, 83), (64, 96), (5, 7)):
            assert np.array_equal(whole(blocks(*size)).labels, cut(blocks(*size)).labels)


@pytest.mark.parametrize("kind", ["sparse", "padded", "float", "binary"])
def test_the_numpy_head_is_refused_for_other_heads(kind):
    with pytest.raises(UsageError, match="the head 'numpy' is for models whose labels are the argmax"):
        Segmenter(ARTIFACTS / f"0.1.0-{kind}.onnx", "cpu", options=NUMPY)


def test_an_unknown_head_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="head is 'torch', expected one of auto, graph, numpy"):
        Segmenter(write_parent(tmp_path / "p.onnx"), "cpu", options=SessionOptions(head="torch"))


def test_the_labels_are_the_only_output(tmp_path):
    path = write_parent(tmp_path / "p.onnx")
    assert Segmenter(path, "cpu", options=NUMPY).outputs == ("labels",)
    with pytest.raises(UsageError, match=r"has no outputs .*, it has labels"):
        Segmenter(path, "cpu", options=NUMPY, outputs=["confidence"])


def test_many_threads_may_label_at_once(tmp_path):
    path = write_parent(tmp_path / "p.onnx")
    frames = [blocks(40 + i, 60 - i, seed=i) for i in range(8)]
    with Segmenter(path, "cpu", options=NUMPY) as cut, Segmenter(path, "cpu") as whole:
        expected = [whole(frame).labels for frame in frames]
        wrong = []

        def work(index):
            if not np.array_equal(cut(frames[index]).labels, expected[index]):
                wrong.append(index)

        threads = [threading.Thread(target=work, args=(i % 8,)) for i in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_nan_logits_give_labels_without_a_warning():
    low = np.full((1, 3, 4, 4), np.nan, np.float32)
    low[0, :, 2:] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = labels_of_logits(low, 32, 32, align_corners=False)
    assert labels.max() < 3


def test_memory_of_many_classes_is_not_that_of_all_pixels():
    logits = np.random.default_rng(0).normal(0, 1, (1, 300, 60, 80)).astype(np.float32)
    tracemalloc.start()
    labels_of_logits(logits, 240, 320, align_corners=False, dtype=np.uint16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 240 * 320 * 4 / 2
