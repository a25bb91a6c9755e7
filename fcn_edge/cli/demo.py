"""fcn-edge demo: the whole workflow on the corridor model, from the network to a page with results."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.options import OutputPath, examples, quiet_option

__all__ = ["command"]


@click.command("demo", epilog=examples("fcn-edge demo", "fcn-edge demo -o /tmp/demo"))
@click.option(
    "-o",
    "--out",
    default="demo-out",
    show_default=True,
    type=OutputPath(path_type=Path),
    metavar="DIR",
    help="Folder for everything it makes.",
)
@quiet_option
def command(*, out: Path, quiet: bool) -> None:
    """Export the corridor model, verify it, evaluate it on held-out frames, and segment photographs."""
    from fcn_edge._extras import require_export

    require_export()
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge.demo.demo import run_demo

    with progress_on_stderr(quiet=quiet) as progress:
        made = run_demo(out, progress)
    if made.evaluation is not None:
        scores = made.evaluation.scores
        for entry, iou in zip(made.evaluation.card.classes, scores.iou, strict=True):
            click.echo(f"{entry.name:<12} IoU {'absent' if iou is None else f'{iou:.4f}'}")
        click.echo(f"mean IoU {scores.mean_iou:.4f} on {len(made.evaluation.images)} held-out frames\n")
    click.echo(f"model    {made.exported.path}")
    for name, path in (("frames", made.sheet), ("photos", made.photographs), ("page", made.page)):
        if path is not None:
            click.echo(f"{name:<8} {path}")
