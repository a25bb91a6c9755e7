"""What all tests share."""

import os
import signal

import pytest

# Two test processes on two cores must not run two threads each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def ctrl_c():
    """Ctrl-C works in this test and in the processes it starts.

    A shell starts background jobs (`make test &`, `nohup make test`) with SIGINT ignored, and every process
    inherits that from its parent.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
