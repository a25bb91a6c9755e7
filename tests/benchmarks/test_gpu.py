from __future__ import annotations

from benchmarks.gpu.rows import Row, fastest


def test_the_log_names_the_fastest_way_that_ran():
    slow, fast = (Row("net", how, (9, 9), 1, ms) for how, ms in (("slow", 2.0), ("fast", 1.0)))
    failed = Row("net", "failed", (9, 9), 1, why="no GPU")
    assert fastest([slow, failed, fast]) == "fastest: fast, 1.0 ms a frame"
    assert fastest([failed]) == "nothing ran"
