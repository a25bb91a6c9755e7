"""Progress on stderr: export stages as they are done, verification inputs and downloads as they go."""

from __future__ import annotations

import sys

import click

from fcn_edge_runtime.progress import Stage

__all__ = ["StageLines", "show_download"]


class StageLines:
    """One line a stage: name, seconds, what it did. On a terminal the running stage shows, too."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._name = ""

    def started(self, name: str) -> None:
        """A stage begins."""
        self._name = name
        self._show(f"{name:<9} ...")

    def step(self, done: int, total: int) -> None:
        """`done` of `total` parts of the stage are done."""
        filled = 20 * done // max(total, 1)
        self._show(f"{self._name:<9} [{'#' * filled}{'.' * (20 - filled)}] {done}/{total}")

    def finished(self, stage: Stage) -> None:
        """A stage is done."""
        if not self._quiet:
            self._clear()
            click.echo(f"{stage.name:<9} {stage.seconds:6.1f} s  {stage.summary}", err=True)

    def _show(self, text: str) -> None:
        if self._live:
            click.echo(f"\r\x1b[2K{text}", err=True, nl=False)

    def _clear(self) -> None:
        self._show("")


def show_download(done: int, total: int | None) -> None:
    """Bytes fetched so far, on one line of a terminal."""
    if sys.stderr.isatty():
        of = f" of {total / 1e6:.1f}" if total else ""
        end = "\n" if total and done >= total else ""
        click.echo(f"\r\x1b[2Kfetching  {done / 1e6:.1f}{of} MB{end}", err=True, nl=False)
