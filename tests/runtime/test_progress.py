from __future__ import annotations

import pytest

from fcn_edge_runtime.progress import SILENT, Stages, time_text, tracked
from tests.runtime.recorded import Recorded


def test_stages_are_reported_and_kept_for_the_report():
    recorded = Recorded()
    stages = Stages(recorded)
    with stages.stage("trace") as did:
        did.text = "12 nodes"
    with stages.stage("verify", 3, "inputs"):
        pass
    assert recorded.stages == [("trace", None, ""), ("verify", 3, "inputs")]
    assert recorded.summaries == ["12 nodes", ""]
    assert [(stage.name, stage.summary) for stage in stages.done] == [("trace", "12 nodes"), ("verify", "")]
    assert all(stage.seconds >= 0 for stage in stages.done)


def test_a_stage_that_raises_is_neither_finished_nor_kept():
    recorded = Recorded()
    stages = Stages(recorded)
    with pytest.raises(ZeroDivisionError), stages.stage("trace"):
        1 / 0  # noqa: B018 - it raises
    assert (recorded.summaries, stages.done) == ([], [])


def test_an_item_is_done_when_the_next_one_is_requested():
    recorded = Recorded()
    items = tracked("ab", recorded)
    next(items)
    assert recorded.advances == []
    next(items)
    assert recorded.advances == [(1, 2)]
    assert next(items, None) is None
    assert recorded.advances == [(1, 2), (2, 2)]


def test_a_second_pass_goes_on_where_the_first_ended():
    recorded = Recorded()
    for before in (0, 2):
        list(tracked("ab", recorded, before=before, total=4))
    assert recorded.advances == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_work_without_a_receiver_runs_the_same():
    with Stages(None).stage("trace"):
        assert list(tracked("ab", None)) == list(tracked("ab", SILENT)) == ["a", "b"]


def test_stages_with_an_expected_time_report_the_time_left():
    recorded = Recorded()
    stages = Stages(recorded)
    with stages.stage("estimate"):
        pass
    assert recorded.expected == []
    stages.expect({"calibrate": 20, "gate": 10})
    with stages.stage("calibrate"):
        stages.expect({"calibrate": 40})
    with stages.stage("gate"):
        pass
    assert recorded.expected == [(0, 30), (20, 10), (40, 10), (10, 0)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (59.6, "60 s"), (99, "99 s"), (100, "2 min"), (1740, "29 min"), (4800, "1 h 20 min")],
)
def test_a_time_is_said_no_more_exactly_than_it_is_known(seconds, text):
    assert time_text(seconds) == text
