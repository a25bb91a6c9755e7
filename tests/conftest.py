"""What all tests share."""

import os
import signal

import pytest

# Two test processes on two cores must not run two threads each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# A shell starts background jobs (`make test &`, `nohup make test`) with SIGINT ignored, which every process
# inherits from its parent: Ctrl-C works in the tests and in the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_ctrl_c():
    """Ctrl-C ends this run as before, also after a test called `main`, which takes it over for good."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if signal.getsignal(signal.SIGINT) is not before:
        signal.signal(signal.SIGINT, before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The cases of a test that is marked `sampled(count)` are slow, but for the first ones."""
    seen = {}
    for item in items:
        marker = item.get_closest_marker("sampled")
        if marker is not None:
            test = item.nodeid.partition("[")[0]
            seen[test] = seen.get(test, 0) + 1
            if seen[test] > marker.args[0]:
                item.add_marker(pytest.mark.slow)
