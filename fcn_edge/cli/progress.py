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
from fcn_edge_runtime.progress import SILENT, Progress

if TYPE_CHECKING:
    import rich.progress

__all__ = ["progress_on_stderr"]

_REDRAW = 0.1  # seconds; work that reports thousands of parts a second is not slowed down by drawing


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
    """One line a stage, once it is done: name, seconds, summary."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._name, self._begun = "", 0.0

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:  # noqa: ARG002 - Progress's
        self._name, self._begun = self._padded(stage), time.perf_counter()

    def advance(self, done: float, total: float | None = None) -> None:
        pass

    def finish(self, summary: str = "") -> None:
        seconds = time.perf_counter() - self._begun
        self.clear()
        click.echo(f"{self._name} {seconds:6.1f} s  {printable(summary)}".rstrip(), err=True)

    def clear(self) -> None:
        """Erase the line of a stage that runs, or failed."""

    def _padded(self, stage: str) -> str:
        return f"{printable(stage):<{self._width}}"


class _Bar(_Lines):
    """The same, and while a stage runs a bar, its parts, the elapsed and the remaining time."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self._live: rich.progress.Progress | None = None
        self._task: Any = None
        self._total: float | None = None
        self._unit, self._drawn = "", 0.0

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        super().start(stage, total, unit)
        self.clear()
        self._unit, self._total = unit, total
        self._live = _live_bar(redraws_itself=total is None)
        self._task = self._live.add_task(self._name, total=total, amount=_amount(0, total, unit))
        self._live.start()
        self._drawn = time.monotonic()

    def advance(self, done: float, total: float | None = None) -> None:
        self._total = self._total if total is None else total
        if self._live is None or time.monotonic() - self._drawn < _REDRAW:
            return
        amount = _amount(done, self._total, self._unit)
        self._live.update(self._task, completed=done, total=self._total, amount=amount, refresh=True)
        self._drawn = time.monotonic()

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
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        *([] if redraws_itself else [TimeRemainingColumn(compact=True)]),
    ]
    return Progress(
        *columns,
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
