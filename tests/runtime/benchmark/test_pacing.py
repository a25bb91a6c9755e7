from __future__ import annotations

import time

import pytest

from fcn_edge_runtime.benchmark.latency import latency_of
from fcn_edge_runtime.benchmark.pacing import Block, paced, run_block


def test_a_slow_model_drops_frames_and_counts_missed_deadlines():
    ran = []

    def slow():
        ran.append(1)
        time.sleep(0.035)  # the period is 10 ms: three frames arrive meanwhile

    found = paced([run_block(slow, 100, 0.4)], 100)
    assert found.offered == 40
    assert len(ran) == found.offered - found.dropped
    # Sleeping alone takes three and a half periods: every frame is late on any machine.
    assert found.late == len(ran) <= 14
    assert found.missed == 40
    assert found.latency.p50_ms >= 35


def test_an_instant_model_gets_every_frame_on_time():
    block = run_block(lambda: None, 50, 0.2)
    assert block.offered == 10
    # The last frame arrives, and its period ends, no sooner than it should.
    assert block.seconds >= 10 / 50
    found = paced([block], 50)
    assert found.dropped + len(block.latencies) == 10
    assert found.cpu_seconds < 0.1


def test_blocks_add_up():
    blocks = [
        Block((0.01, 0.03), (0.01, 0.02), 4, 0.1, 0.2),
        Block((0.01, 0.01), (0.01, 0.01), 2, 0.1, 0.2),
    ]
    found = paced(blocks, 50)
    assert (found.offered, found.dropped, found.late, found.missed) == (6, 2, 1, 3)
    assert found.frames_per_second == pytest.approx(10)
    assert found.cpu_seconds == pytest.approx(0.05)
    assert found.busy == pytest.approx(0.05 / 0.4)


def test_percentiles_are_in_milliseconds():
    found = latency_of([i / 1000 for i in range(101)])
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms) == pytest.approx((50, 90, 95, 99))
    assert (found.max_ms, found.mean_ms, found.frames) == (100, pytest.approx(50), 101)
