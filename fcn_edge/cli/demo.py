"""fcn-edge demo: the main job on an example, from network to overlays."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.options import examples, quiet_option

__all__ = ["command"]


@click.command("demo", epilog=examples("fcn-edge demo", "fcn-edge demo -o /tmp/demo"))
@click.option(
    "-o",
    "--out",
    default="demo-out",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for everything it makes.",
)
@quiet_option
def command(*, out: Path, quiet: bool) -> None:
    """Export an example network, verify it, and segment photographs with it."""
    from fcn_edge.stack import require_export

    require_export()
    from fcn_edge.cli.progress import StageLines
    from fcn_edge.demo import run_demo

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    made = run_demo(out, StageLines(quiet=quiet), say)
    for result in made.results:
        top = sorted((a for a in result.areas if a.pixels), key=lambda area: -area.pixels)[:3]
        shares = ", ".join(f"{area.name} {area.share:.1%}" for area in top)
        height, width = result.size or (0, 0)
        click.echo(f"{result.source.name:<22} {width}x{height}  {result.milliseconds:6.1f} ms  {shares}")
    click.echo(f"\nmodel   {made.model}\nimages  {out / 'photographs'}\nsheet   {made.sheet}")
