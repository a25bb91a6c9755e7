"""Opens hostile inputs, each in a child with limits, and compares what they cost with a good input.

A child is forked from a process that has imported what it needs, so a case costs milliseconds. Its processor
time and peak memory are those that the kernel reports when it ends; its own children count, too.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.hostile.registry import OPENED, Subject

# What SECURITY.md promises, beyond what a good input takes.
MOST_SECONDS, MOST_MEGABYTES = 2.0, 200.0
# Where a child is ended: a defense that fails is a row of the table and no dead machine.
ADDRESS_SPACE, TIMEOUT = 6 << 30, 20.0


@dataclass(frozen=True)
class Result:
    """How a case went.

    Attributes:
        name: of the case.
        outcome: what its child did.
        message: of our error; empty without one.
        seconds: processor time, less that of a good input.
        megabytes: peak memory, less that of a good input.
        held: the outcome was expected, and the costs are within the limits.
    """

    name: str
    outcome: str
    message: str
    seconds: float
    megabytes: float
    held: bool


def results(subject: Subject) -> Iterator[Result]:
    """Open every case of a subject, one after the other."""
    subject.warm()
    with tempfile.TemporaryDirectory(prefix="fcn-edge-hostile-") as text:
        folder = Path(text)
        good = _run(subject, _made(subject.good, folder / "good"))
        if good.outcome != OPENED:
            raise AssertionError(f"the good input of {subject.name}: {good.outcome} {good.message}")
        for number, case in enumerate(subject.cases):
            run = _run(subject, _made(case.make, folder / str(number)))
            seconds, megabytes = max(run.seconds - good.seconds, 0), max(run.megabytes - good.megabytes, 0)
            held = run.outcome in case.expected and seconds <= MOST_SECONDS and megabytes <= MOST_MEGABYTES
            yield Result(case.name, run.outcome, run.message, seconds, megabytes, held)


def _made(make, folder: Path) -> Path:
    folder.mkdir()
    return make(folder)


class _Run(NamedTuple):
    outcome: str
    message: str
    seconds: float
    megabytes: float


def _run(subject: Subject, path: Path) -> _Run:
    """Open a path in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _child(subject, path, writing)  # does not return
    os.close(writing)
    with contextlib.suppress(OSError):  # the child does the same: whoever is first
        os.setpgid(child, child)
    status, usage = _wait(child)
    with os.fdopen(reading, "rb") as pipe:
        outcome, _, message = pipe.read().decode("utf-8", "replace").partition("\n")
    if status is None:
        outcome = f"no end within {TIMEOUT:g} s"
    elif os.WIFSIGNALED(status):
        outcome = f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    elif not outcome:
        outcome = f"ended with exit code {os.WEXITSTATUS(status)}"
    return _Run(outcome, message, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _wait(child: int) -> tuple[int | None, resource.struct_rusage]:
    """The status of a child, None when its time was over, and what it used. Its group ends with it."""
    deadline = time.monotonic() + TIMEOUT
    ended, status, usage = os.wait4(child, os.WNOHANG)
    while not ended and time.monotonic() < deadline:
        time.sleep(0.002)
        ended, status, usage = os.wait4(child, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return (status, usage) if ended else (None, os.wait4(child, 0)[2])


def _child(subject: Subject, path: Path, writing: int) -> None:
    """Open the path and report over the pipe. Nothing of the parent's goes on after it."""
    code = 1
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        with tempfile.TemporaryFile() as printed:
            for descriptor in (1, 2):
                os.dup2(printed.fileno(), descriptor)
            outcome, message = _outcome(subject, path)
            printed.seek(0)
            if b"\x1b" in printed.read(1 << 20):
                outcome = "printed a control sequence"
        os.write(writing, f"{outcome}\n{message[:1000]}".encode("utf-8", "replace"))
        code = 0
    finally:
        os._exit(code)


def _outcome(subject: Subject, path: Path) -> tuple[str, str]:
    from fcn_edge_runtime.errors import FcnEdgeError

    try:
        wrong = subject.open(path)
    except FcnEdgeError as error:
        message = str(error)
        if "\n" in message or not message.isprintable():
            return "an error that is not one printable line", repr(message)
        return type(error).__name__, message
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        return f"traceback: {type(error).__name__}", " ".join(str(error).split())
    return (wrong, "") if wrong else (OPENED, "")
