from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from fcn_edge_runtime.timing import interleaved, ratio_of
from tests.runtime.recorded import Recorded


def order_of(count, rounds):
    """The order of the functions in each round."""
    ran = []
    interleaved([lambda i=i: ran.append(i) for i in range(count)], seconds=0, fewest=rounds, most=rounds)
    return [tuple(ran[start : start + count]) for start in range(count, len(ran), count)]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_functions_run_once_a_round_and_are_first_equally_often(count):
    rounds = order_of(count, 4 * count)
    assert all(sorted(one) == list(range(count)) for one in rounds)
    assert Counter(one[0] for one in rounds) == dict.fromkeys(range(count), 4)


def test_two_functions_alternate_in_going_first():
    assert order_of(2, 4) == [(0, 1), (1, 0), (0, 1), (1, 0)]


def test_the_first_run_of_each_is_not_counted():
    runs = []
    timings = interleaved([lambda: runs.append("a")], seconds=0, fewest=3, most=3)
    assert len(runs) == 4
    assert timings.seconds.shape == (3, 1)


def test_waiting_takes_wall_time_and_no_cpu_time():
    timings = interleaved([lambda: time.sleep(0.02)], seconds=0, fewest=5, most=5)
    assert timings.seconds.min() >= 0.02
    assert np.median(timings.cpu_seconds) < 0.01


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The machine became ten times slower halfway: the ratios are the same.
    other = np.array([1.0, 1.0, 1.0, 10.0, 10.0])
    found = ratio_of(other * [0.5, 0.4, 0.5, 0.6, 0.5], other)
    assert (found.median, found.rounds) == (pytest.approx(0.5), 5)
    assert found.spread == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.clear


def test_ratios_on_both_sides_of_one_are_not_a_clear_difference():
    ones = np.ones(4)
    assert not ratio_of(np.array([0.9, 0.9, 1.1, 1.1]), ones).clear
    assert ratio_of(np.array([1.2, 1.1, 1.1, 1.1]), ones).clear


def test_every_round_is_reported_and_the_last_one_completes_it():
    recorded = Recorded()
    interleaved([lambda: None], seconds=0, fewest=4, most=4, progress=recorded)
    shares = [done / total for done, total in recorded.advances]
    assert len(shares) == 4
    assert shares == sorted(shares)
    assert shares[-1] == 1
