from __future__ import annotations

import json

import numpy as np
import pytest

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.benchmark.operators import profile_model
from fcn_edge_runtime.benchmark.overhead import measure_overhead
from fcn_edge_runtime.benchmark.report import BenchmarkOptions
from fcn_edge_runtime.benchmark.run import _names, benchmark
from fcn_edge_runtime.errors import InputError, ModelError, UsageError

SHORT = {"seconds": 0.2, "device": "cpu"}


@pytest.fixture(scope="module")
def report(model_path):
    models = [str(model_path("plain")), str(model_path("wide"))]
    return benchmark(models, BenchmarkOptions(**SHORT, size=(33, 45), threads=2))


@pytest.mark.slow
def test_every_model_gets_every_measurement(report):
    assert [one.name for one in report.models] == ["plain.onnx", "wide.onnx"]
    for one in report.models:
        assert one.size == (33, 45)
        assert one.threads == 2
        times = one.latency
        assert 0 < times.p50_ms <= times.p90_ms <= times.p95_ms <= times.p99_ms <= times.max_ms
        assert one.frames_per_second == pytest.approx(1000 / times.mean_ms)
        assert one.cpu_seconds > 0
        assert one.cold.total_ms > 0
        assert one.spinning is not None
        assert sum(one.profile.shares.values()) == pytest.approx(1)
        assert one.overhead.ms > 0
        assert one.paced is None
        assert one.sweep == ()


def test_other_models_are_compared_with_the_first(report):
    assert [c.name for c in report.comparisons] == [one.name for one in report.models[1:]]
    assert {c.against for c in report.comparisons} == {report.models[0].name}
    # 300 classes instead of 3: a hundred times the work of the same layer.
    assert report.comparisons[0].ratio.median > 1


def test_cold_starts_are_compared_with_those_of_bare_onnxruntime(report):
    cold = report.models[0].cold
    assert cold.ratio.rounds >= 3
    # Loose: it only checks that the ratio is of these two.
    assert cold.ratio.median == pytest.approx(cold.total_ms / cold.bare_ms, rel=0.5)


def test_models_with_the_same_name_are_distinguished():
    assert _names(["a/m.onnx", "b/n.onnx"]) == ["m.onnx", "n.onnx"]
    assert _names(["a/m.onnx", "b/m.onnx", "a/m.onnx"]) == ["a/m.onnx", "b/m.onnx", "a/m.onnx (2)"]


def test_the_report_is_plain_json(report):
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["schema"] == "fcn-edge-bench/1"
    assert data["models"][0]["latency"]["frames"] >= 10
    assert data["machine"]["cores"] >= 1


def test_errors_are_raised_before_anything_is_measured(model_path, tmp_path):
    good = str(model_path("large"))
    with pytest.raises(ModelError, match="there is no model file"):
        benchmark([good, str(tmp_path / "none.onnx")], BenchmarkOptions(**SHORT))
    with pytest.raises(InputError, match="expected at least 40 each way"):
        benchmark([good], BenchmarkOptions(**SHORT, size=(10, 10)))
    with pytest.raises(InputError, match="no images"):
        benchmark([good], BenchmarkOptions(**SHORT, images=(str(tmp_path),)))
    with pytest.raises(UsageError, match="got no model"):
        benchmark([], BenchmarkOptions(**SHORT))


def test_the_parts_of_a_profile_add_up_to_the_run(model_path):
    frame = np.zeros((64, 64, 3), np.uint8)
    found = profile_model(str(model_path("plain")), "cpu", 1, [frame], seconds=0.01)
    nodes = sum(operator.ms for operator in found.operators)
    assert found.frames >= 3
    assert nodes == pytest.approx(sum(found.stages.values()))
    assert nodes + found.between_ms == pytest.approx(found.run_ms, rel=0.01, abs=0.05)
    assert {o.operator for o in found.operators} >= {"Conv", "ArgMax"}
    assert list(found.nodes) == sorted(found.nodes, key=lambda node: -node.ms)


def test_overhead_is_the_time_that_a_call_adds_to_the_run(model_path):
    with Segmenter(model_path("plain"), "cpu", 1) as segmenter:
        found = measure_overhead(segmenter, np.zeros((64, 64, 3), np.uint8), seconds=0.1)
    assert found.ms > 0
    assert found.spread_ms[0] <= found.ms <= found.spread_ms[1]
    assert found.size == (64, 64)
    assert found.rounds >= 11
