import tracemalloc

import numpy as np
import onnx
import pytest

from fcn_edge_export.lowering.body import body_of, typed
from fcn_edge_export.lowering.ranges import (
    BINS,
    activation_ranges,
    clipped_by_entropy,
    clipped_by_error,
    clipped_by_percentile,
)
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card_facts import METHODS
from tests.export.parents import blocks, write_parent


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return typed(onnx.load(write_parent(tmp_path_factory.mktemp("ranges") / "parent.onnx")))


def batches(count):
    return (blocks(seed=index)[None] for index in range(count))


def test_the_body_lies_between_normalization_and_classifier(model):
    body = body_of(model)
    assert body.products == ("stem", "first", "second")
    assert body.additions == ("residual",)
    assert body.classifiers == ("classifier",)
    assert body.tensors[0] == "normalized"


def test_all_classifiers_and_learned_upsampling_stay_in_float():
    def conv(name, source, target, op="Conv"):
        return onnx.helper.make_node(op, [source, f"{name}.w"], [target], name=name)

    shapes = {"body": (8, 8, 3, 3), "coarse": (3, 8, 1, 1), "fine": (3, 8, 1, 1), "up": (3, 3, 4, 4)}
    nodes = [
        conv("body", "normalized", "b"),
        conv("coarse", "b", "c"),
        conv("up", "c", "u", "ConvTranspose"),
        conv("fine", "b", "f"),
        onnx.helper.make_node("Add", ["u", "f"], ["logits"], name="fuse"),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "heads",
        [value("normalized", 1, [1, 8, 16, 16])],
        [value("logits", 1, None)],
        [onnx.numpy_helper.from_array(np.ones(s, np.float32), f"{n}.w") for n, s in shapes.items()],
    )
    body = body_of(typed(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])))
    assert body.nodes == ("body",)
    assert body.classifiers == ("coarse", "fine")


def test_minimum_and_maximum_are_taken_over_all_frames(model):
    whole = activation_ranges(model, ["normalized", "sr"], batches(6))
    parts = [activation_ranges(model, ["normalized", "sr"], [blocks(seed=i)[None]]) for i in range(6)]
    for name, (low, high) in whole.items():
        assert low == min(part[name][0] for part in parts)
        assert high == max(part[name][1] for part in parts)
    assert whole["sr"][0] == 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_stays_within_the_observed_range(model, method):
    outer = activation_ranges(model, ["fr", "sum"], batches(3))
    for name, (low, high) in activation_ranges(model, ["fr", "sum"], batches(3), method).items():
        assert outer[name][0] - 1e-5 <= low < high <= outer[name][1] + 1e-5


@pytest.mark.parametrize("method", ["percentile", "entropy", "error"])
def test_the_order_of_frames_hardly_changes_ranges(model, method):
    def dimmed(count):
        return [(blocks(seed=index) // (count - index))[None] for index in range(count)]

    up, down = (
        activation_ranges(model, ["normalized", "fr", "sum"], each, method)
        for each in (dimmed(8), reversed(dimmed(8)))
    )
    for name, (low, high) in up.items():
        assert np.allclose(down[name], (low, high), atol=0.02 * (high - low))


def test_a_tensor_that_changes_on_a_later_frame_only_has_a_range(model):
    black = np.zeros((1, 48, 64, 3), np.uint8)
    low, high = activation_ranges(model, ["normalized"], [black, *batches(2)], "percentile")["normalized"]
    assert low < -1
    assert high > 1


def counts_of(values):
    return (
        np.histogram(values, BINS, (values.min(), values.max()))[0],
        float(values.min()),
        float(values.max()),
    )


def test_percentile_and_entropy_clip_a_single_outlier():
    values = np.append(np.abs(np.random.default_rng(0).normal(size=200_000)), 40.0)
    assert clipped_by_percentile(*counts_of(values))[1] < 6
    assert clipped_by_entropy(*counts_of(values))[1] < 20


def test_least_error_clips_each_end_by_itself():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(size=2_000_000), random.uniform(5, 9, 20_000), [-20.0]])
    low, high = clipped_by_error(*counts_of(values))
    assert -12 < low < -3
    assert high > 8


def test_least_error_is_below_that_of_other_ranges():
    values = np.maximum(np.random.default_rng(0).laplace(size=400_000), 0)
    counts = counts_of(values)

    def error(clip):
        low, high = clip(*counts)
        step = (high - low) / 255
        return np.square(np.clip(np.rint((values - low) / step) * step + low, low, high) - values).mean()

    assert error(clipped_by_error) < 0.9 * error(lambda _, low, high: (low, high))
    assert error(clipped_by_error) < error(clipped_by_entropy)
    assert error(clipped_by_error) < error(clipped_by_percentile)


def test_a_range_with_zeros_alone_is_kept():
    assert clipped_by_error(np.zeros(BINS, np.int64), 0.0, 1.0) == (0.0, 1.0)


def test_values_that_fill_their_range_are_hardly_clipped():
    values = np.random.default_rng(0).uniform(-1, 3, 200_000)
    for clip in (clipped_by_percentile, clipped_by_entropy, clipped_by_error):
        low, high = clip(*counts_of(values))
        assert low < -0.9
        assert high > 2.7


def test_memory_does_not_grow_with_the_number_of_frames(model):
    def peak(count):
        tracemalloc.start()
        activation_ranges(model, body_of(model).tensors, batches(count), "error")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    assert peak(60) < 2 * peak(6)


def test_an_unknown_method_is_a_usage_error(model):
    with pytest.raises(UsageError, match="expected one of minmax"):
        activation_ranges(model, ["fr"], batches(1), "best")
