"""How time, memory and files grow, and whether anything grows faster than its input.

    python -m benchmarks.scaling MODEL.onnx [-o build/scaling] [--quick] [--only pixels]

prints each curve with the exponent of its growth, and writes `scaling.png` and `scaling.json`. An exponent of
1 is proportional; one above 1.15, of the whole curve or of its last two points, is named. On a machine with
other work, believe the processor's time rather than the clock's. Ten minutes on two quiet cores at most;
`--quick` takes one and shows what the page looks like.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.scaling.axes import AXES, Extent, Setting
from benchmarks.scaling.curves import LIMIT, Axis
from benchmarks.scaling.page import amount, draw
from fcn_edge.cli.progress import progress_on_stderr
from fcn_edge_runtime._child import ChildError
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Stages
from fcn_edge_runtime.session.cpu import processor_name


def _show(axis: Axis) -> None:
    click.echo(f"\n{axis.name}: {axis.setting}")
    for curve in axis.curves:
        span = f"{curve.x[0]:,.0f} to {curve.x[-1]:,.0f}"
        cost = f"{amount(curve.y[0], curve.unit)} to {amount(curve.y[-1], curve.unit)}"
        mark = "  super-linear" if curve.super_linear else ""
        click.echo(
            f"  {curve.name:43} {span:24} {cost:20} {curve.exponent:z5.2f} {curve.at_the_end:z9.2f}{mark}"
        )
    for note in axis.notes:
        click.echo(f"  not measured: {note}")


def _json(title: str, axes: Sequence[Axis]) -> bytes:
    found = []
    for axis in axes:
        curves = [
            {**asdict(c), "exponent": c.exponent, "at_the_end": c.at_the_end, "super_linear": c.super_linear}
            for c in axis.curves
        ]
        found.append({**asdict(axis), "curves": curves})
    return (json.dumps({"title": title, "limit": LIMIT, "axes": found}, indent=1) + "\n").encode()


def _axis(name: str, setting: Setting) -> Axis:
    try:
        return AXES[name](setting)
    except (FcnEdgeError, ChildError) as error:  # the other axes are still worth their time
        return Axis(name, "", (), (str(error),))


def _measured(given: argparse.Namespace, extent: Extent) -> list[Axis]:
    wanted = given.only or list(AXES)
    axes = []
    with tempfile.TemporaryDirectory() as place, progress_on_stderr(quiet=False) as progress:
        stages = Stages(progress)
        setting = Setting(given.model.resolve(), extent, Path(place), stages.progress)
        for name in wanted:
            with stages.stage(name, None, "points"):
                axes.append(_axis(name, setting))
    return axes


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("build/scaling"))
    parser.add_argument("--only", action="append", choices=list(AXES), help="this axis; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller points: to look at")
    given = parser.parse_args(arguments)
    try:
        with ModelFile.open(given.model) as file:
            name = file.card.name
        require_writable(given.out)
        axes = _measured(given, Extent.quick() if given.quick else Extent())
    except FcnEdgeError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    title = f"{name}, {processor_name()}{', a quick run: the times are rough' if given.quick else ''}"
    click.echo(title)
    click.echo(f"\n  {'':43} {'from ... to':24} {'cost':20} exponent, of the last two")
    for axis in axes:
        _show(axis)
    steep = [f"{axis.name}, {curve.name}" for axis in axes for curve in axis.curves if curve.super_linear]
    click.echo(f"\nsuper-linear, an exponent above {LIMIT}: {'; '.join(steep) or 'none'}")
    write_whole(given.out / "scaling.json", _json(title, axes))
    write_whole(given.out / "scaling.png", draw(title, axes))
    click.echo(f"{given.out / 'scaling.png'}, {given.out / 'scaling.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
