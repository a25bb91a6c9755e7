"""What a parser may do with any bytes: return a value or raise one of our errors, at little cost."""

from __future__ import annotations

import contextlib
import resource
import time
from pathlib import Path

from fcn_edge_runtime.errors import FcnEdgeError

SECONDS = 2.0  # of the processor
BYTES = 200 << 20


class Finding(Exception):  # noqa: N818 - not an error of the program
    """An input took more time or memory than a bad file may, or its error has several lines."""


def attempt(call, *arguments):
    """Call. Returns our own error if it raises one; None if it returns a value."""
    try:
        call(*arguments)
    except FcnEdgeError as error:
        if "\n" in str(error):
            raise Finding("an error of several lines") from error
        return error
    return None


def check(target, data, slower=1):
    """Give the bytes to a target. Returns the error it raised, None if it accepted them.

    `slower`: how much slower the code is than usual, where its branches are counted.

    Raises:
        Finding: it took too long, or too much memory.
        Exception: any other error; a finding.
    """
    before, start = _peak(reset=True), time.process_time()
    error = attempt(target.run, data)
    seconds, grown = time.process_time() - start, _peak() - before
    if seconds > slower * SECONDS:
        raise Finding(f"{seconds:.1f} s of the processor, expected at most {slower * SECONDS}; {error}")
    if grown > BYTES:
        raise Finding(f"{grown >> 20} MB, expected at most {BYTES >> 20}; {error}")
    return error


def _peak(*, reset=False):
    """The peak memory of this process, since the last reset where the kernel allows one."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
