"""Child processes: what may crash or hang runs in a process of its own, and ends as a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "Child",
    "ChildError",
    "environment_with",
    "how_it_ended",
    "our_environment",
    "run_child",
    "started",
]

_LONGEST = 200  # characters of a child's last line


class ChildError(Exception):
    """A child process did not finish. The message continues a sentence: "ended with signal SIGSEGV".

    Attributes:
        killed: whether a signal ended it.
    """

    def __init__(self, message: str, *, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


class Child:
    """A program that was started and may still run.

    Args:
        process: the program, with text pipes.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def finish(self, given: str = "", *, seconds: float | None = None) -> str:
        """Wait for its end, and return what it wrote to stdout.

        Args:
            given: what it reads from stdin.
            seconds: wait so long; None has no limit.

        Raises:
            ChildError: it ended with another exit code than 0, or took longer than `seconds`.
        """
        try:
            output, errors = self._process.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ChildError(f"took longer than {seconds:g} s") from None
        code = self._process.returncode
        if code != 0:
            last = errors.strip() or output.strip()
            raise ChildError(how_it_ended(code, last), killed=code < 0)
        return output


@contextmanager
def started(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Child]:
    """A program that runs beside this one, and no longer than the context.

    Args:
        command: the program and its arguments.
        environment: its environment variables; None takes those of this process.
        folder: its working directory; None takes that of this process.

    Raises:
        OSError: it could not be started.
    """
    with subprocess.Popen(  # noqa: S603 - callers run our own interpreter, or a wheel's own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        cwd=folder,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()  # nothing, if it has ended


def run_child(
    command: Sequence[str],
    *,
    seconds: float | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Args:
        command: the program and its arguments.
        seconds: end it after this long; None waits.
        environment: its environment variables; None takes those of this process.
        folder: its working directory; None takes that of this process.

    Raises:
        ChildError: it ended with another exit code than 0, or took longer than `seconds`.
        OSError: it could not be started.
    """
    with started(command, environment=environment, folder=folder) as child:
        return child.finish(seconds=seconds)


def how_it_ended(code: int, output: str = "") -> str:
    """How a process ended, in words: "ended with signal SIGSEGV", "ended with exit code 1 (no such file)".

    Args:
        code: as `subprocess` gives it, negative for a signal.
        output: what the process wrote; the last line of it gives the reason.
    """
    how = f"exit code {code}"
    if code < 0:
        try:
            how = f"signal {signal.Signals(-code).name}"
        except ValueError:  # real-time signals have no names
            how = f"signal {-code}"
    lines = output.strip().splitlines()
    return f"ended with {how}" + (f" ({lines[-1].strip()[:_LONGEST]})" if lines else "")


def our_environment() -> dict[str, str]:
    """The environment variables of this process, with its import path: the child finds what we found."""
    return environment_with(sys.path)


def environment_with(paths: Iterable[str | os.PathLike[str]], **variables: str) -> dict[str, str]:
    """The environment variables of this process, with another import path and further variables."""
    found = [os.fspath(path) for path in paths]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in found if path), **variables}
