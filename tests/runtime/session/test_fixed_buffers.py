"""Buffers at fixed addresses; `test_cuda.py` shows them with a CUDA graph."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fcn_edge_runtime import Segmenter, SessionOptions
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.session.fixed_buffers import FixedBuffers, has_fixed_shapes

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLOAT = ARTIFACTS / "0.1.0-float.onnx"
SIZE = (64, 80)


def session(options=None):
    return Segmenter(FLOAT, "cpu", options=options or SessionOptions(size=SIZE)).session


def images(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 1, *SIZE, 3), np.uint8)


def test_results_are_those_of_a_usual_run_and_are_kept():
    opened = session()
    buffers = FixedBuffers(onnxruntime, opened.raw, "cpu")
    kept = [buffers.run(image, opened.outputs) for image in images()]
    for image, values in zip(images(), kept, strict=True):
        for name, value in zip(opened.outputs, values, strict=True):
            np.testing.assert_array_equal(value, opened.run(image)[name])


def test_outputs_may_differ_from_call_to_call():
    opened = session()
    buffers = FixedBuffers(onnxruntime, opened.raw, "cpu")
    (labels,) = buffers.run(images()[0], ["labels"])
    confidence, again = buffers.run(images()[0], ["confidence", "labels"])
    assert confidence.dtype == np.float32
    np.testing.assert_array_equal(labels, again)


def test_threads_do_not_mix_their_frames():
    opened = session()
    buffers = FixedBuffers(onnxruntime, opened.raw, "cpu")
    frames = list(images()) * 4
    expected = [opened.run(frame)["labels"] for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda frame: buffers.run(frame, ["labels"])[0], frames))
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


def test_shapes_are_fixed_where_the_size_is():
    assert has_fixed_shapes(session().raw)
    assert not has_fixed_shapes(session(SessionOptions()).raw)


@pytest.mark.parametrize("key", ["enable_cuda_graph", "trt_cuda_graph_enable"])
def test_a_cuda_graph_without_a_size_is_refused(key):
    with pytest.raises(UsageError, match="frames of one size"):
        Segmenter(FLOAT, "cpu", options=SessionOptions(provider_options={key: "1"}))
