"""`fcn-edge plan`: what makes a model keep up with a camera here, and what it costs in labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.label_options import label_folder, label_options
from fcn_edge.cli.numbers import POSITIVE_SECONDS, Real
from fcn_edge.cli.options import (
    FilePath,
    SizeType,
    allow_operators_option,
    examples,
    json_option,
    model_argument,
    printable,
    quiet_option,
)

__all__ = ["command"]


@click.command(
    "plan",
    short_help="Find out how MODEL keeps up with a camera here.",
    epilog=examples(
        "fcn-edge plan road.onnx --rate 10 --images frames/",
        "fcn-edge plan road.onnx --size 720x1280 --rate 10 --images frames/ --labels labels/",
        "fcn-edge plan mine.onnx --weights mine.pth --rate 30 --images frames/ --seconds 60 -o plan",
    ),
)
@model_argument
@click.option(
    "--rate",
    type=Real(0, 1000, above=True),
    required=True,
    metavar="HZ",
    help="Frames a second that must be segmented: 95 % of them before the next one comes.",
)
@click.option(
    "--images",
    multiple=True,
    required=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Frames as the camera sees them, sixteen or more of different scenes; repeatable.",
)
@click.option(
    "--size",
    type=SizeType(),
    metavar="HxW",
    help="Height and width of the frames; images of another size are resampled.  [default: the images' own]",
)
@click.option(
    "--labels",
    type=FilePath(path_type=Path),
    metavar="DIR",
    shell_complete=files,
    help="True labels of --images: mean IoU then decides.  [default: the share of labels that stay equal]",
)
@label_options
@click.option(
    "--weights",
    metavar="FILE|URL",
    type=FilePath(),
    shell_complete=files,
    help="What MODEL was exported or adopted from, for the commands of the plan; not needed for a recipe.",
)
@click.option(
    "--seconds",
    type=POSITIVE_SECONDS,
    default=180.0,
    show_default=True,
    metavar="N",
    help="Time for everything, to within one option; those that do not fit are listed.",
)
@click.option(
    "-o",
    "--out",
    type=FilePath(path_type=Path),
    metavar="DIR",
    help="Also write plan.json there; the commands of the plan put their files there.  [default: none, "
    "beside MODEL]",
)
@allow_operators_option
@json_option
@quiet_option
def command(
    *,
    model: str,
    rate: float,
    images: tuple[str, ...],
    size: tuple[int, int] | None,
    labels: Path | None,
    weights: str | None,
    seconds: float,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Measure what makes MODEL keep up with a camera on this machine, and print the commands that make it.

    MODEL as it is, the session options that `fcn-edge tune` finds, int8 (the file beside MODEL, or a trial
    calibrated on half of the images) and smaller working sizes run interleaved on the same frames. Of those
    that keep up, the plan takes the one with the best labels. Exits with 1 if none keeps up.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge.planning.plan import PlanOptions, plan
    from fcn_edge.reports.plan_table import lines, verdict
    from fcn_edge_runtime._files import require_writable
    from fcn_edge_runtime.errors import FcnEdgeError

    options = PlanOptions(rate, size, seconds, weights, out)
    folder = label_folder(labels, given)
    if out is not None:
        require_writable(out)
    with progress_on_stderr(quiet=quiet) as progress:
        made = plan(model, images, options, labels=folder, progress=progress)
    if out is not None:
        made.save(out)
    for warning in made.warnings:
        click.echo(f"warning: {printable(warning)}", err=True)
    if as_json:
        click.echo(json.dumps(made.to_dict()))
    else:
        for line in lines(made):
            click.echo(printable(line))
    if made.chosen is None:
        raise FcnEdgeError(verdict(made))
