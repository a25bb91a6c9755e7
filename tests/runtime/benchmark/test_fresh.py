from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime._memory import available_bytes, peak_bytes
from fcn_edge_runtime.benchmark import sweep as sweeping
from fcn_edge_runtime.benchmark.fresh import FreshJob, run_fresh
from fcn_edge_runtime.benchmark.sweep import sweep
from fcn_edge_runtime.errors import ModelError

FRAME = np.zeros((40, 50, 3), np.uint8)


@pytest.fixture
def job(model_path):
    return FreshJob(str(model_path("plain")), "cpu", "CPUExecutionProvider", 1)


@pytest.mark.parametrize("bare", [False, True])
def test_a_fresh_process_reports_its_stages_and_peak_memory(job, bare):
    # This process has used more memory than the child needs; the child's peak must not include it.
    np.ones(400_000_000, np.uint8).sum()
    found = run_fresh(FreshJob(**{**vars(job), "bare": bare, "fewest": 3, "most": 3}), FRAME)
    assert min(found.start, found.imported, found.load, found.first) > 0
    assert found.to_first_mask == pytest.approx(found.imported + found.load + found.first)
    assert len(found.frames) == 3
    if found.peak_bytes is not None:
        assert 10_000_000 < found.peak_bytes < 400_000_000


def test_a_model_that_cannot_run_is_reported_in_one_line(job, tmp_path):
    with pytest.raises(ModelError, match="in a process of its own: there is no model file"):
        run_fresh(FreshJob(**{**vars(job), "model": str(tmp_path / "none.onnx")}), FRAME)
    with pytest.raises(ModelError, match="in a process of its own: the image has shape"):
        run_fresh(job, FRAME[..., :2])


def test_a_process_that_dies_differs_from_one_that_fails(job):
    with pytest.raises(ModelError, match=r"it ended with exit code 1 \("):
        run_fresh(FreshJob(**{**vars(job), "bare": True, "model": "none.onnx"}), FRAME)


def test_a_sweep_measures_each_size_in_its_own_process(job):
    points = sweep(job, lambda size: np.zeros((*size, 3), np.uint8), ((8, 8), (700, 900)))
    assert [(p.height, p.width, p.skipped) for p in points] == [(8, 8, ""), (700, 900, "")]
    assert all(p.frames >= 2 and p.frame_ms > 0 for p in points)
    if points[0].peak_bytes is not None:
        # Scores of three classes in float32 alone take 7.5 MB at the larger size.
        assert points[1].peak_bytes - points[0].peak_bytes > 5_000_000


def test_a_size_that_fails_ends_the_sweep_keeping_earlier_ones(job):
    def frame(size):
        return np.zeros((*size, 3 if size[0] < 20 else 2), np.uint8)

    points = sweep(job, frame, ((8, 8), (20, 20), (30, 30)))
    assert points[0].frame_ms > 0
    assert "the image has shape" in points[1].skipped
    assert points[2].skipped.startswith("after 20x20: ")


def test_a_size_that_would_not_fit_into_memory_is_not_tried(job, monkeypatch):
    # The memory left depends on the machine; here there is little.
    monkeypatch.setattr(sweeping, "available_bytes", lambda: 1_000_000)
    points = sweep(job, lambda size: np.zeros((*size, 3), np.uint8), ((8, 8), (300, 300), (9000, 9000)))
    if points[0].peak_bytes is None:
        pytest.skip("this system does not report peak memory")
    assert points[2].frame_ms is None
    assert "GB are left" in points[2].skipped


def test_memory_is_reported_in_bytes():
    peak, left = peak_bytes(), available_bytes()
    assert peak is None or 10_000_000 < peak < 10**12
    assert left is None or 0 <= left < 10**15
