"""How long work reports its progress: one stage after another, each with a name, parts and a summary.

Every long function takes `progress: Progress | None = None`. What it reports is drawn by the caller: the
command line shows it on stderr, an application may show it in a window. Nothing here knows a terminal.

    progress.start("evaluate", 40, "images")    # stages with a known number of parts ...
    progress.advance(1)                         # ... report how many are done
    progress.finish("40 images")

    progress.start("timing", 1.0)               # without a unit, `done` is a share of the whole, 0..1
    progress.start("trace")                     # nothing is known but that it runs

A job that knows how long its stages will take tells so by `Stages.expect`, and the time left is shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["SILENT", "Progress", "Stage", "StageSummary", "Stages", "time_text", "tracked"]

T = TypeVar("T")


class Progress(Protocol):
    """Receives the progress of one job. Stages never overlap: one ends, or fails, before the next starts."""

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        """A stage starts.

        Args:
            stage: its name, one or a few words.
            total: how many parts it has; None where that is unknown, or where it has none.
            unit: what the parts are, in the plural ("frames"); "B" for bytes; empty for shares of the whole.
        """

    def advance(self, done: float, total: float | None = None) -> None:
        """`done` parts of the current stage are done; `total` is set where `start` did not know it."""

    def finish(self, summary: str = "") -> None:
        """The current stage is done. It is not called for a stage that raised."""

    def expect(self, seconds: float, after: float = 0.0) -> None:
        """The current stage will take about `seconds` from now, and all stages after it about `after`."""


class _Silent:
    def start(self, stage: str, total: float | None = None, unit: str = "") -> None: ...

    def advance(self, done: float, total: float | None = None) -> None: ...

    def finish(self, summary: str = "") -> None: ...

    def expect(self, seconds: float, after: float = 0.0) -> None: ...


SILENT: Progress = _Silent()


@dataclass(frozen=True)
class Stage:
    """A stage that is done: its name, its wall time in seconds, and what it did in a few words."""

    name: str
    seconds: float
    summary: str


@dataclass
class StageSummary:
    """The summary of a running stage, filled in by its body."""

    text: str = ""


class Stages:
    """Times the stages of a job and reports them to `progress`.

    Attributes:
        progress: receives them; `SILENT` where None was given.
        done: the stages so far, for the job's report.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress or SILENT
        self.done: list[Stage] = []
        self._running = ""
        self._expected: dict[str, float] = {}

    def expect(self, seconds: Mapping[str, float]) -> None:
        """State how long stages will take from now on, by their names: the time left is shown.

        Called again, it corrects the stages that it names; one of them may be running.
        """
        self._expected.update(seconds)
        self._report()

    def _report(self) -> None:
        """Pass on what is expected of the running stage, and of all that come after it."""
        stage = self._expected.pop(self._running, 0.0)
        if stage or self._expected:
            self.progress.expect(stage, sum(self._expected.values()))

    @contextmanager
    def stage(self, name: str, total: float | None = None, unit: str = "") -> Iterator[StageSummary]:
        """Run a stage; see `Progress.start`. Its body sets `.text`. A stage that raises is not listed."""
        self.progress.start(name, total, unit)
        self._running = name
        self._report()
        summary, begun = StageSummary(), time.perf_counter()
        yield summary
        self.done.append(Stage(name, time.perf_counter() - begun, summary.text))
        self.progress.finish(summary.text)


def tracked(
    items: Iterable[T], progress: Progress | None, *, before: int = 0, total: int | None = None
) -> Iterator[T]:
    """Iterate over the parts of the current stage; each is done when the next one is asked for.

    Args:
        items: the parts.
        progress: receives how many are done.
        before: how many parts of the stage were done before the first of these.
        total: parts of the stage; None takes the number of `items` where it has one.
    """
    if total is None and isinstance(items, Sized):
        total = before + len(items)
    for done, item in enumerate(items, before + 1):
        yield item
        if progress is not None:
            progress.advance(done, total)


def time_text(seconds: float) -> str:
    """A time as people say it, no more exact than an estimate is: "8 s", "3 min", "1 h 20 min"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
