"""Steps that overlap, in order, with few items in memory."""

import threading

import pytest

from fcn_edge_runtime._overlap import attempted, overlapped


def results(futures):
    return [future.exception() or future.result() for future in futures]


def test_results_come_in_order_whatever_failed_between():
    def run(item):
        if item == 3:
            raise ValueError("third")
        return item

    found = results(overlapped(range(7), run, lambda item: 10 * item))
    assert [*found[:3], *found[4:]] == [0, 10, 20, 40, 50, 60]
    assert str(found[3]) == "third"


def test_what_items_raise_comes_after_those_before():
    def items():
        yield from range(3)
        raise ValueError("the fourth is damaged")

    done = overlapped(items(), lambda item: item, lambda item: item)
    assert [next(done).result() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(done)


@pytest.mark.parametrize(("size", "most"), [(1, 4), (9_000_000, 2)])
def test_large_items_are_made_two_ahead(size, most):
    made = []
    done = overlapped((made.append(i) or i for i in range(20)), str, str, lambda _: size)
    for taken, _ in enumerate(done, 1):
        assert len(made) - taken < most


def test_both_steps_and_the_items_run_at_once():
    together = threading.Barrier(3, timeout=10)  # breaks unless three threads wait

    def items():
        for item in range(6):
            if item == 2:
                together.wait()
            yield item

    def run(item):
        if item == 1:
            together.wait()
        return item

    def write(item):
        if item == 0:
            together.wait()
        return item

    assert results(overlapped(items(), run, write)) == list(range(6))


def test_a_caller_that_stops_ends_the_threads():
    before = threading.active_count()
    done = overlapped(range(100), str, str)
    next(done)
    done.close()
    assert threading.active_count() == before


def test_an_attempt_keeps_what_it_raised():
    assert attempted(lambda: 5).result() == 5
    assert isinstance(attempted(lambda: 1 / 0).exception(), ZeroDivisionError)
