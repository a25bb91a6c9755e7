"""Progress on stderr: a line for each stage that is done, on a terminal a live bar for the running one."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.options import printable
from fcn_edge.cli.streams import unfiltered
from fcn_edge_runtime.progress import SILENT, Progress, time_text

if TYPE_CHECKING:
    import rich.progress

__all__ = ["progress_on_stderr"]

_REDRAW = 0.1  # seconds; work that reports thousands of parts a second is not slowed down by drawing
_SOON = 5.0  # seconds: less time left is not worth a word


@contextlib.contextmanager
def progress_on_stderr(*, quiet: bool, width: int = 9) -> Iterator[Progress]:
    """Show the progress of the block.

    Args:
        quiet: show nothing.
        width: columns for the stages' names.
    """
    if quiet:
        yield SILENT
        return
    shown = _Bar(width) if sys.stderr.isatty() else _Lines(width)
    try:
        yield shown
    finally:
        shown.clear()


class _Lines:
    """One line a stage, once it is done: name, seconds, summary, and the time left where it is known."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._name, self._begun = "", 0.0
        self._after = 0.0

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:  # noqa: ARG002 - Progress's
        self._name, self._begun = self._padded(stage), time.perf_counter()
        self._after = 0.0

    def advance(self, done: float, total: float | None = None) -> None:
        pass

    def finish(self, summary: str = "") -> None:
        seconds = time.perf_counter() - self._begun
        self.clear()
        left = f"; about {time_text(self._after)} left" if self._after > _SOON else ""
        click.echo(f"{self._name} {seconds:6.1f} s  {printable(summary)}{left}".rstrip(), err=True)

    def expect(self, seconds: float, after: float = 0.0) -> None:  # noqa: ARG002 - Progress's
        self._after = after

    def clear(self) -> None:
        """Erase the line of a stage that runs, or failed."""

    def _padded(self, stage: str) -> str:
        return f"{printable(stage):<{self._width}}"


class _Bar(_Lines):
    """The same, and while a stage runs a bar, its parts, the elapsed and the remaining time.

    The remaining time is that of the stage; of the whole job where the job expects one.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self._live: rich.progress.Progress | None = None
        self._task: Any = None
        self._total: float | None = None
        self._unit, self._drawn = "", 0.0
        self._ends: float | None = None  # when the stage is expected to be done

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        super().start(stage, total, unit)
        self.clear()
        self._unit, self._total, self._ends = unit, total, None
        self._live = _live_bar(redraws_itself=total is None)
        self._task = self._live.add_task(self._name, total=total, amount=_amount(0, total, unit), left="")
        self._live.start()
        self._drawn = time.monotonic()

    def advance(self, done: float, total: float | None = None) -> None:
        self._total = self._total if total is None else total
        if self._live is None or time.monotonic() - self._drawn < _REDRAW:
            return
        amount, left = _amount(done, self._total, self._unit), self._left(done)
        self._live.update(
            self._task, completed=done, total=self._total, amount=amount, left=left, refresh=True
        )
        self._drawn = time.monotonic()

    def expect(self, seconds: float, after: float = 0.0) -> None:
        super().expect(seconds, after)
        self._ends = time.perf_counter() + seconds
        if self._live is not None:
            self._live.update(self._task, left=self._left(0), refresh=True)

    def _left(self, done: float) -> str:
        """The time left, in words; empty where nothing tells it.

        The stage's own is by its pace once a part is done, and what was expected of it before.
        """
        now = time.perf_counter()
        if done > 0 and self._total is not None:
            stage = (now - self._begun) / done * (self._total - done)
        elif self._ends is not None:
            stage = self._ends - now
        else:
            return ""
        return f"{time_text(max(0.0, stage) + self._after)} left"

    def clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _live_bar(*, redraws_itself: bool) -> rich.progress.Progress:
    """A bar that is erased at the end.

    Only a stage that cannot report parts is redrawn by a thread: benchmarks count the processor time of the
    whole process, and a thread of ours would be part of what they measure.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=Console(file=unfiltered(sys.stderr), highlight=False),
        auto_refresh=redraws_itself,
        refresh_per_second=4,
        transient=True,
        redirect_stdout=False,  # stdout carries the result and may be another file
    )


def _amount(done: float, total: float | None, unit: str) -> str:
    """How far a stage is, in words: `12 of 40 frames`, `3.1 of 44.8 MB`, `62 %`; empty if it has no parts."""
    if unit == "B":
        of = "" if total is None else f" of {total / 1e6:.1f}"
        return f"{done / 1e6:.1f}{of} MB"
    if unit:
        of = "" if total is None else f" of {total:.0f}"
        return f"{done:.0f}{of} {unit}"
    return "" if total is None else f"{100 * done / max(total, 1e-9):.0f} %"
