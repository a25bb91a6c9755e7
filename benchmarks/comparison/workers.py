"""Worker processes: started in their own environments, asked, and ended after a time-out."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from fcn_edge_runtime._child import environment_with, how_it_ended

__all__ = ["EngineProcess", "WorkerError", "interpreter"]

ROOT = Path(__file__).resolve().parents[2]


class WorkerError(Exception):
    """A worker failed; the message is the reason for the table."""


def interpreter(environment: str, environments: Path) -> Path:
    """The Python of an environment.

    Raises:
        WorkerError: the environment is not there.
    """
    python = environments / environment / "bin" / "python"
    if not python.exists():
        raise WorkerError(f"its environment {python.parent.parent} is not there: run `make bench-engines`")
    return python


class EngineProcess:
    """One engine at one precision in a process of its own. Ends with the `with` block.

    Args:
        python: of its environment.
        engine, variant: a module of `benchmarks.comparison.engines` and a key of its VARIANTS.
        described: the file that `Materials.save` wrote.
        threads: that it may use; also set for numerical libraries.
        log: gets the output of the process.
    """

    def __init__(
        self, python: Path, engine: str, variant: str, described: Path, threads: int, log: Path
    ) -> None:
        self._log = log
        self._buffer = b""
        environment = environment_with(
            (ROOT, ROOT / "export", ROOT / "runtime"),
            OMP_NUM_THREADS=str(threads),
            CI="true",  # so that engines do not report their use over the network
        )
        command = [str(python), "-m", "benchmarks.comparison.worker", engine, variant, str(described)]
        with log.open("wb") as stream:
            self._process = subprocess.Popen(  # noqa: S603 - our own worker
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
            )

    def ready(self, seconds: float) -> dict[str, Any]:
        """Wait until it is prepared; returns its settings and versions.

        Raises:
            WorkerError: it refuses, failed, crashed, or is not ready in time.
        """
        answer = self._answer(seconds)
        for key in ("refused", "failed"):
            if key in answer:
                raise WorkerError(str(answer[key]))
        return answer

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a question.

        Raises:
            WorkerError: it crashed, or did not answer in time.
        """
        try:
            self._pipe(self._process.stdin).write(json.dumps(question).encode() + b"\n")
            self._pipe(self._process.stdin).flush()
        except OSError:
            raise WorkerError(self._obituary()) from None
        return self._answer(seconds)

    def __enter__(self) -> EngineProcess:  # noqa: PYI034 - the class is final in practice
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it: ask first, then kill."""
        with contextlib.suppress(OSError):
            self._pipe(self._process.stdin).close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()

    def _answer(self, seconds: float) -> dict[str, Any]:
        stream = self._pipe(self._process.stdout)
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0, deadline - time.monotonic())):
                    self._process.kill()
                    raise WorkerError(f"no answer within {seconds:.0f} s")
                if not (data := os.read(stream.fileno(), 65536)):
                    raise WorkerError(self._obituary())
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _obituary(self) -> str:
        return f"its process {how_it_ended(self._process.wait(), self._log.read_text('utf-8', 'replace'))}"

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None  # noqa: S101 - Popen was given PIPE
        return stream
