"""fcn-edge demo: five models exported, verified and put to use, on one page."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.options import FilePath, examples, printable, quiet_option

__all__ = ["command"]


@click.command("demo", epilog=examples("fcn-edge demo", "fcn-edge demo -o /tmp/demo"))
@click.option(
    "-o",
    "--out",
    default="demo-out",
    show_default=True,
    type=FilePath(path_type=Path),
    metavar="DIR",
    help="Folder for everything it makes.",
)
@quiet_option
def command(*, out: Path, quiet: bool) -> None:
    """Export the recipes that have weights, verify them, and show five uses on one page, index.html.

    People in a photograph, a land-cover map, a robot's corridor, a brain scan, and effects, each with the
    classes' shares, the time, the agreement with PyTorch, and the score against held-out truth.
    """
    from fcn_edge._extras import require_export

    require_export()
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge.demo.demo import run_demo

    with progress_on_stderr(quiet=quiet) as progress:
        made = run_demo(out, progress)
    for use in made.uses:
        click.echo(f"{use.title}: {printable(use.score if use.model is not None else use.text)}")
    for name, path in (("page", made.page), ("gallery", made.gallery)):
        if path is not None:
            click.echo(f"{name:<8} {printable(str(path))}")
