from __future__ import annotations

import pytest

from fcn_edge_runtime.benchmark.limits import measure_limits, work_of
from fcn_edge_runtime.benchmark.peaks import CHANNELS, LAYERS, SIDE, _convolutions, measure_peaks
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.dry_run.run import DryRun
from fcn_edge_runtime.model.protobuf.fields import DataType
from fcn_edge_runtime.model.protobuf.summary import read_model


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("integers", [False, True])
def test_products_and_bytes_are_counted_exactly(kernel, integers):
    graph = read_model(_convolutions(kernel, integers=integers))[1]
    kind = DataType.UINT8 if integers else DataType.FLOAT
    known = DryRun(graph, 1 << 30, 2, kind, "peak").follow(1, CHANNELS, SIDE, SIDE)
    work = work_of(graph, known)
    macs = LAYERS * SIDE * SIDE * CHANNELS * CHANNELS * kernel * kernel
    assert (work.float_macs, work.int8_macs) == ((0, macs) if integers else (macs, 0))
    tensors = LAYERS * CHANNELS * (2 * SIDE * SIDE + CHANNELS * kernel * kernel)
    assert work.moved == (1 if integers else 4) * tensors


def test_the_peaks_of_the_processor_are_measured():
    peaks = measure_peaks("cpu", 1, 0.01)
    assert min(peaks.float_macs, peaks.int8_macs, peaks.copied) > 1e6


def test_the_stages_take_the_whole_frame(model_path):
    found = measure_limits(model_path("rgb"), (48, 64), device="cpu", threads=1, seconds=0.01)
    assert sum(stage.ms for stage in found.stages) == pytest.approx(found.frame_ms, rel=1e-6)
    assert found.limit_ms < found.frame_ms
    assert found.work.float_macs > 0
    assert found.work.int8_macs == 0


def test_a_frame_below_the_smallest_size_is_wrong_usage(model_path):
    with pytest.raises(UsageError, match="got the size 24x40, expected at least 40 each way"):
        measure_limits(model_path("large"), (24, 40), device="cpu", seconds=0.01)
