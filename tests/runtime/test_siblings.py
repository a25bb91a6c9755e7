"""Processors that share a core, in folders written as Linux writes its own."""

import os

import pytest

from fcn_edge_runtime._siblings import cores_of
from fcn_edge_runtime.session import devices


@pytest.fixture
def machine(tmp_path):
    """Writes the description of a machine: each processor's siblings, and whether cores have threads."""

    def write(siblings, active="1"):
        for number, text in enumerate(siblings):
            place = tmp_path / f"cpu{number}" / "topology"
            place.mkdir(parents=True)
            (place / "thread_siblings_list").write_text(f"{text}\n")
        if active:
            (tmp_path / "smt").mkdir()
            (tmp_path / "smt" / "active").write_text(f"{active}\n")
        return tmp_path

    return write


APART = ("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7")
BESIDE = ("0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7")


@pytest.mark.parametrize("siblings", [APART, BESIDE])
def test_two_threads_of_a_core_count_once(machine, siblings):
    assert cores_of(range(len(siblings)), machine(siblings)) == 4


def test_only_cores_that_may_be_used_count(machine):
    folder = machine(APART)
    assert cores_of({0, 1, 4}, folder) == 2
    assert cores_of({1, 2, 3, 5}, folder) == 3


def test_cores_with_and_without_a_second_thread_count(machine):
    siblings = ("0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7")  # as in processors with efficient cores
    assert cores_of(range(8), machine(siblings)) == 6


def test_every_processor_is_a_core_where_threads_are_off(machine):
    assert cores_of(range(4), machine(APART, active="0")) == 4


def test_large_and_small_cores_of_a_board_all_count(machine):
    assert cores_of(range(8), machine([str(n) for n in range(8)], active="")) == 8


def test_processors_that_linux_does_not_describe_are_cores(tmp_path):
    assert cores_of({0, 3, 11}, tmp_path / "none") == 3


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux tells which processors may be used")
@pytest.mark.parametrize(
    ("quota", "stated", "expected"), [(None, "", 4), (2.5, "", 2), (6.0, "", 4), (None, "3", 3)]
)
def test_the_least_of_all_limits_is_the_default(monkeypatch, machine, quota, stated, expected):
    folder = machine(APART)
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))
    monkeypatch.setattr(devices, "cores_of", lambda processors: cores_of(processors, folder))
    monkeypatch.setattr(devices, "granted_cores", lambda: quota)
    assert devices.cores() == expected
