"""fcn-edge bench: time and memory of one or several models on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.numbers import Real
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    device_option,
    examples,
    json_option,
    printable,
    quiet_option,
    size_option,
    threads_option,
)

if TYPE_CHECKING:
    from fcn_edge_runtime.benchmark.machine import Machine
    from fcn_edge_runtime.progress import Progress

__all__ = ["command"]


@click.command(
    "bench",
    short_help="Measure time and memory of one or several MODELs here.",
    epilog=examples(
        "fcn-edge bench road.onnx",
        "fcn-edge bench road.onnx road.int8.onnx --size 480x640 --plot bench.png",
        "fcn-edge bench road.onnx --images drive/ --rate 15 --seconds 60",
        "fcn-edge bench road.onnx --map ortho.tif",
        "fcn-edge bench road.onnx road.int8.onnx --limits --size 240x320",
        "fcn-edge bench road.onnx --sweep --plot sizes.png --json > bench.json",
    ),
)
@click.argument(
    "models", metavar="MODEL.onnx...", nargs=-1, required=True, type=FilePath(), shell_complete=files
)
@size_option
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Measure on the first 16 of these images; repeatable.  [default: computed images]",
)
@click.option(
    "--rate",
    type=Real(0.1, 1000),
    metavar="HZ",
    help="Send frames at a camera's rate, and count those that are not done before the next one.",
)
@click.option(
    "--seconds",
    type=Real(0.1, 3600),
    default=5.0,
    show_default=True,
    metavar="S",
    help="For timing the frames of each model; all other phases together take about twice that.",
)
@click.option(
    "--sweep",
    is_flag=True,
    help="Also measure sizes from 320x240 to 3840x2160, each in a process of its own.",
)
@click.option(
    "--plot", type=FilePath(path_type=Path), metavar="FILE.png", help="Draw the results (matplotlib)."
)
@click.option(
    "--map",
    "raster",
    metavar="RASTER",
    type=FilePath(),
    shell_complete=files,
    help="Measure maps of this raster instead: seconds, memory, and the share of the network in the time.",
)
@click.option(
    "--limits",
    is_flag=True,
    help="Measure how far each stage of a frame is from what this processor can do instead.",
)
@device_option
@threads_option
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="PROFILE.json",
    type=FilePath(),
    shell_complete=files,
    help="A profile from `fcn-edge tune` for one of the models on this machine; repeatable.",
)
@allow_operators_option
@json_option
@quiet_option
def command(
    *,
    models: tuple[str, ...],
    size: tuple[int, int] | None,
    images: tuple[str, ...],
    rate: float | None,
    seconds: float,
    sweep: bool,
    plot: Path | None,
    raster: str | None,
    limits: bool,
    device: str,
    threads: int | None,
    profiles: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure MODELs on this machine, from a frame to its labels.

    Cold start in fresh processes, compared with a bare onnxruntime session; percentiles of the time per
    frame; CPU time and peak memory; the cost of spinning threads; where onnxruntime spends the time. Several
    models are interleaved and compared with the first by ratios, which stay meaningful on a busy machine.
    docs/performance.md explains each number.
    """
    from fcn_edge.cli.progress import progress_on_stderr

    if limits:
        others = {
            "--images": images,
            "--map": raster,
            "--plot": plot,
            "--profile": profiles,
            "--rate": rate,
            "--sweep": sweep,
        }
        if given := [name for name, value in others.items() if value]:
            raise click.UsageError(f"--limits measures computed frames alone: leave out {', '.join(given)}")
    if raster is not None:
        with progress_on_stderr(quiet=quiet) as progress:
            _maps(raster, models, device, threads, progress, as_json=as_json)
        return
    if limits:
        with progress_on_stderr(quiet=quiet) as progress:
            _limits(models, size, device, threads, seconds, progress, as_json=as_json)
        return
    from fcn_edge.reports.bench_table import lines
    from fcn_edge_runtime.benchmark.report import BenchmarkOptions
    from fcn_edge_runtime.benchmark.run import benchmark

    if plot is not None:
        from fcn_edge.reports.bench_plots import require_plot

        require_plot(plot)
    options = BenchmarkOptions(size, images or None, rate, threads, device, profiles, seconds, sweep)
    with progress_on_stderr(quiet=quiet) as progress:
        report = benchmark(models, options, progress)
    _warn_if_busy(report.machine, "ratios still hold")
    if plot is not None:
        from fcn_edge.reports.bench_plots import write_plot

        write_plot(plot, report)
        click.echo(f"wrote {plot}", err=True)
    if as_json:
        click.echo(json.dumps(report.to_dict()))
        return
    for line in lines(report):
        click.echo(printable(line))


def _warn_if_busy(machine: Machine, otherwise: str) -> None:
    if machine.busy:
        click.echo(
            f"warning: this machine was busy at the start (load {machine.load:.1f} on {machine.cores} "
            f"cores): times are longer than on an idle machine, {otherwise}",
            err=True,
        )


def _limits(
    models: tuple[str, ...],
    size: tuple[int, int] | None,
    device: str,
    threads: int | None,
    seconds: float,
    progress: Progress,
    *,
    as_json: bool,
) -> None:
    from fcn_edge.reports.limits_table import lines
    from fcn_edge_runtime.benchmark.limits import measure_limits

    found = [
        measure_limits(model, size, device=device, threads=threads, seconds=seconds, progress=progress)
        for model in models
    ]
    _warn_if_busy(found[0].machine, "and what is reached of the limits is less")
    if as_json:
        click.echo(json.dumps([each.to_dict() for each in found]))
        return
    for line in lines(found):
        click.echo(printable(line))


def _maps(
    raster: str,
    models: tuple[str, ...],
    device: str,
    threads: int | None,
    progress: Progress,
    *,
    as_json: bool,
) -> None:
    from fcn_edge_runtime.maps.label_raster import MapOptions
    from fcn_edge_runtime.maps.measure import measure_map

    options = MapOptions(device=device, threads=threads)
    found = [measure_map(raster, model, options, progress) for model in models]
    if as_json:
        click.echo(json.dumps([speed.to_dict() for speed in found]))
        return
    for speed in found:
        height, width = speed.size
        click.echo(f"{printable(speed.model)} on {printable(raster)}, {width}x{height} pixels")
        click.echo(f"  {speed.seconds:.1f} s, {speed.pixels_a_second / 1e6:.2f} million pixels a second")
        click.echo(
            f"  the network alone takes {speed.network_seconds:.1f} s for {speed.overhead:.2f} times the "
            f"pixels, in tiles of {speed.tile[0]}x{speed.tile[1]}: {speed.efficiency.median:.0%} of the "
            f"map's time, {speed.processor_efficiency.median:.0%} of that of all cores"
        )
        if speed.peak is not None:
            click.echo(f"  peak memory {speed.peak >> 20} MiB")
