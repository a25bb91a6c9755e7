"""`fcn-edge tune`: find the session options that make a model faster on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.numbers import POSITIVE_SECONDS, THREADS
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    device_option,
    examples,
    json_option,
    model_argument,
    printable,
    quiet_option,
    size_option,
)

if TYPE_CHECKING:
    from fcn_edge_runtime.benchmark.tune import Tuned

__all__ = ["command"]


@click.command(
    "tune",
    short_help="Find the session options that make MODEL faster here.",
    epilog=examples(
        "fcn-edge tune road.onnx -o road.profile.json",
        "fcn-edge tune road.onnx --images frames/ --budget 120 -o road.profile.json",
        "fcn-edge tune road.onnx --images frames/ --fixed-size -o camera.profile.json",
        "fcn-edge tune road.onnx --size 720x1280 --prefer cpu --max-threads 2 -o road.profile.json",
        "fcn-edge run road.onnx photos/ -o out --profile road.profile.json",
    ),
)
@model_argument
@click.option(
    "-o",
    "--out",
    required=True,
    type=FilePath(path_type=Path),
    metavar="PROFILE.json",
    help="The profile to write.",
)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Frames to time; repeatable.",
)
@size_option
@click.option(
    "--budget",
    type=POSITIVE_SECONDS,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for the whole search, to within one comparison.",
)
@click.option(
    "--max-threads",
    type=THREADS,
    metavar="N",
    help="The largest number of threads.  [default: all cores this process may use]",
)
@click.option(
    "--prefer",
    type=click.Choice(["latency", "cpu"]),
    default="latency",
    show_default=True,
    help="What to lower: the time per frame, or the CPU time of all threads, which leaves more to "
    "other programs.",
)
@click.option(
    "--fixed-size",
    is_flag=True,
    help="Also try a session for frames of this size alone. If it pays, the profile refuses other sizes.",
)
@device_option
@allow_operators_option
@json_option
@quiet_option
def command(
    *,
    model: str,
    out: Path,
    images: tuple[str, ...],
    size: tuple[int, int] | None,
    budget: float,
    max_threads: int | None,
    prefer: str,
    fixed_size: bool,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the session options that make MODEL faster on this machine, and write them to PROFILE.json.

    Device, the head in numpy, bfloat16 in OpenVINO, threads, spinning, graph optimization, memory arena and
    memory pattern are tried one at a time, each interleaved with the best so far, frame by frame. A change is
    taken only if it pays beyond the noise. Another device, bfloat16 and a fixed size may change up to 0.5 %
    of the labels, another head only ties, the rest none. The profile is for this model, processor and
    onnxruntime; use it with --profile. The sparse head and the precision are properties of the file:
    `fcn-edge export --head auto` and `fcn-edge quantize` choose those.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime.benchmark.tune import TuneOptions, tune
    from fcn_edge_runtime.session.profile import require_profile_place

    options = TuneOptions(size, device, budget, max_threads, prefer, fixed_size)
    require_profile_place(out, model)
    with progress_on_stderr(quiet=quiet, width=27) as progress:
        found = tune(model, images or None, options=options, progress=progress)
    found.profile.save(out)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps({"profile": str(out), "found": asdict(found.profile), **_figures(found)}))
        return
    _show(found, out)


def _figures(found: Tuned) -> dict[str, Any]:
    """Everything except the profile, as plain JSON values."""
    return {key: value for key, value in asdict(found).items() if key != "profile"}


def _show(found: Tuned, out: Path) -> None:
    options, total = found.profile.options, found.total
    for trial in (*found.trials, *([] if total is None else [total])):
        click.echo(printable(str(trial)))
    before = f"{found.milliseconds:.1f} ms per frame, {found.cpu_milliseconds:.1f} ms of CPU time"
    if found.untried:
        untried = f"{found.untried} of {len(found.trials)} changes were not tried"
        click.echo(f"warning: {untried}: give a larger --budget", err=True)
    if total is None or not total.taken:
        click.echo(f"nothing is faster than the defaults here: {before}; {printable(str(out))} keeps them")
        return
    click.echo(
        f"{printable(str(out))}: {options}; {before} -> {total.milliseconds:.1f} ms, "
        f"{total.cpu_milliseconds:.1f} ms"
    )
