"""Recordings that were made to do harm, through the command: few lines, nothing half written."""

from __future__ import annotations

import dataclasses

import pytest

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.robot.bag.reader import LATEST, decode_frame, open_bag
from fcn_edge_runtime.robot.bag.segment import BagOptions, segment_bag
from tests.hostile.bags import BOTH, TOPIC, chunk, image, indexed, mcap, message


def good(number, time):
    return message(image(data=bytes([number % 256]) * 144), time=time)


@pytest.mark.security("thousands of different bad messages", "counted; ten lines, and how many more")
def test_2000_bad_encodings_are_ten_lines_and_a_number(robot, model, tmp_path):
    bad = [message(image(encoding=f"x{i}" + "y" * 50_000), 10 + i) for i in range(200)]
    bad += [message(image(encoding=f"x{i}"), 10 + i) for i in range(200, 2000)]
    (tmp_path / "bad.mcap").write_bytes(mcap(BOTH, good(1, 5), *bad))
    done = robot("bag", "bad.mcap", "--model", model, "-o", "out.mcap", "-q")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 12
    assert lines[10] == "failed: and 41 more"
    assert lines[-1] == "error: 2000 of 2001 frames failed"
    assert len(done.stderr) + len(done.stdout) < 10_000


@pytest.mark.security("a bag that fails in the middle", "how many messages were read; no output")
def test_a_bag_that_fails_in_the_middle_says_how_many_were_read(pipeline, tmp_path):
    wrong = chunk(message(time=2**63), begin=20, end=20)
    path = tmp_path / "half.mcap"
    path.write_bytes(indexed(chunk(BOTH + good(1, 10) + good(2, 10)), wrong, count=3))
    with open_bag(path) as bag, pytest.raises(InputError, match=r"; 2 of 3 messages were read before$"):
        segment_bag(bag, TOPIC, pipeline, tmp_path / "out.mcap", BagOptions())
    assert [each.name for each in tmp_path.iterdir()] == ["half.mcap"]


@pytest.mark.parametrize("suffix", ["mcap", "db3"])
def test_the_last_moment_that_ros_counts_is_segmented(pipeline, tmp_path, suffix):
    path = tmp_path / "late.mcap"
    path.write_bytes(mcap(BOTH, good(1, LATEST)))
    with open_bag(path) as bag:
        segment_bag(bag, TOPIC, pipeline, tmp_path / f"out.{suffix}", BagOptions())
    with open_bag(tmp_path / f"out.{suffix}") as written:
        assert {record.time for record in written.records(written.channels)} == {LATEST}


@pytest.mark.parametrize("start", [0.0, 1e10])
def test_a_start_beyond_the_end_is_an_empty_span(pipeline, tmp_path, start):
    path = tmp_path / "a.mcap"
    path.write_bytes(mcap(BOTH, good(1, LATEST - 5)))
    options = BagOptions(start=start, duration=1e-9) if start else BagOptions(start=1.0)
    with open_bag(path) as bag, pytest.raises(InputError, match="there are 0 frames"):
        segment_bag(bag, TOPIC, pipeline, tmp_path / "out.mcap", options)


@pytest.mark.parametrize(
    "wrong", [{"start": float("nan")}, {"start": -1.0}, {"duration": float("inf")}, {"every": 0}]
)
def test_spans_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(UsageError, match="expected seconds from 0"):
        BagOptions(**wrong)


def test_chunks_whose_times_overlap_are_read_in_order(tmp_path):
    first = chunk(BOTH + good(1, 10) + good(3, 30) + good(5, 50), begin=10, end=50)
    second = chunk(good(2, 20) + good(4, 40), begin=20, end=40)
    data = indexed(first, second, count=5)
    # The index of the helper says that every chunk begins at 10: true enough to be read first.
    (tmp_path / "a.mcap").write_bytes(data)
    with open_bag(tmp_path / "a.mcap") as bag:
        times = [record.time for record in bag.records(bag.channels)]
        spans = [record.time for record in bag.records(bag.channels, 20, 41)]
    assert times == [10, 20, 30, 40, 50]
    assert spans == []  # the index says that nothing is after 10


def test_a_foreign_connection_is_named(tmp_path):
    (tmp_path / "a.mcap").write_bytes(mcap(BOTH, good(1, 10)))
    with open_bag(tmp_path / "a.mcap") as bag:
        record = next(bag.records(bag.channels))
        foreign = dataclasses.replace(record, channel=dataclasses.replace(record.channel, encoding="json"))
        with pytest.raises(InputError, match="as json, expected sensor_msgs"):
            decode_frame(foreign)
