"""`python -m benchmarks.comparison corridor`: the whole comparison. `make bench-engines` sets it up."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import click

from benchmarks.comparison.workers import ROOT
from fcn_edge.cli.options import SizeType


@click.command()
@click.argument("net", default="corridor")
@click.option(
    "--size",
    "sizes",
    type=SizeType(),
    metavar="HxW",
    multiple=True,
    help="Repeatable.  [default: 480x640 and 720x1280]",
)
@click.option("--seconds", type=click.FloatRange(0), default=4, show_default=True, help="Timing per engine.")
@click.option("--threads", type=click.IntRange(1), help="For each engine.  [default: all cores]")
@click.option(
    "--agreement",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.998,
    show_default=True,
    help="Share of labels that our int8 files must keep of their parents', on the verification frames.",
)
@click.option("--frames", type=click.IntRange(1), default=20, show_default=True, help="Held-out frames.")
@click.option("--only", "only", multiple=True, metavar="ENGINE[:VARIANT]", help="Run only these; repeatable.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("build/comparison"), show_default=True
)
@click.option("--environments", type=click.Path(path_type=Path), default=ROOT / ".venv-engines")
def main(
    *,
    net: str,
    sizes: tuple[tuple[int, int], ...],
    seconds: float,
    threads: int | None,
    frames: int,
    agreement: float,
    only: tuple[str, ...],
    output: Path,
    environments: Path,
) -> None:
    """Compare NET, a recipe, in fcn-edge with plain export and five other engines.

    Writes NET.md, NET.json and NET.png into the output folder, and the table to stdout.
    """
    from benchmarks.comparison.chart import draw
    from benchmarks.comparison.driver import run_size
    from benchmarks.comparison.materials import for_size, shared
    from benchmarks.comparison.roster import ROSTER, our_files
    from benchmarks.comparison.table import Occasion, as_json, as_markdown
    from fcn_edge_runtime._files import write_whole
    from fcn_edge_runtime.errors import FcnEdgeError
    from fcn_edge_runtime.session.cpu import processor_name
    from fcn_edge_runtime.session.devices import cores

    begun = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.0f} s  {line}", err=True)

    wanted = [c for c in ROSTER if not only or {c.engine, f"{c.engine}:{c.variant}"} & set(only)]
    if not wanted:
        raise click.UsageError(
            f"there is no engine {', '.join(only)}: expected one of benchmarks/comparison/roster.py"
        )
    threads = threads or cores()
    occasion = Occasion(
        net,
        dt.datetime.now(dt.timezone.utc).date().isoformat(),
        processor_name(),
        cores(),
        threads,
        os.getloadavg()[0],
    )
    try:
        common = shared(net, output.resolve() / net, our_files(wanted), say)
        found = []
        for height, width in sizes or ((480, 640), (720, 1280)):
            say(f"{height}x{width}  making frames and files")
            materials = for_size(common, height, width, threads, frames=frames, agreement=agreement, say=say)
            found.append(run_size(materials, wanted, environments, seconds, say))
            # Written after each size, so that an interruption leaves what was measured.
            table = as_markdown(occasion, found)
            write_whole(output / f"{net}.json", as_json(occasion, found).encode())
            write_whole(output / f"{net}.md", table.encode())
            write_whole(output / f"{net}.png", draw(occasion, found))
    except FcnEdgeError as error:
        raise click.ClickException(str(error)) from None
    say(f"done: {output / net}.md, .json and .png")
    click.echo(table, nl=False)


if __name__ == "__main__":
    main()
