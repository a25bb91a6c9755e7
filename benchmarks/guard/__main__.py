"""Is this change slower? The wheel of this tree beside that of a release or commit, case by case, in turns.

    python -m benchmarks.guard [--base v0.1.0|COMMIT|path.whl] [--rounds 11] [--only CASE] [--fail-above 1.2]

Both run on the same Python and the same libraries, each time in a new process, so that neither's threads,
memory or caches are the other's. A ratio is that of two runs of one round. A case is called slower where
three quarters of its rounds are slower by more than the margin. The exit code is 0 whatever the table says,
unless `--fail-above` is given.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.guard import cases
from benchmarks.guard.cases import CASES, Cost
from benchmarks.guard.wheels import Version, unpacked_base, unpacked_tree
from fcn_edge.cli.progress import progress_on_stderr
from fcn_edge_runtime._child import ChildError, environment_with, run_child
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.progress import Stages
from fcn_edge_runtime.session.cpu import processor_name
from fcn_edge_runtime.timing import Ratio, interleaved, ratio_of

_IMAGES = 16
_SIZE = (240, 320)
_RASTER = 512  # pixels a side


class CaseError(Exception):
    """One of the two does not get through a case."""


@dataclass
class Runner:
    """Runs a case with one version, and keeps what it cost."""

    version: Version
    case: str
    materials: Path
    costs: list[Cost] = field(default_factory=list)

    def __call__(self) -> None:
        """Run it once more."""
        command = [sys.executable, "-P", str(cases.__file__), self.case, str(self.materials)]
        # Modules are compiled once, as those of an installed package are.
        environment = environment_with([self.version.folder], PYTHONDONTWRITEBYTECODE="")
        try:
            answer = run_child(command, seconds=300, environment=environment, folder=self.materials)
        except ChildError as error:
            raise CaseError(f"{self.version.name}: {error}") from None
        self.costs.append(Cost(**json.loads(answer)))


@dataclass(frozen=True)
class Row:
    """A case of both.

    Attributes:
        case: its name.
        base_ms: the median of the other version, by the clock.
        wall: new relative to old.
        processor: the same of processor time.
    """

    case: str
    base_ms: float
    wall: Ratio
    processor: Ratio


def compare(case: str, new: Version, base: Version, materials: Path, rounds: int, stages: Stages) -> Row:
    """Run a case with both, in turns.

    Raises:
        CaseError: one of them fails in it.
    """
    runners = [Runner(version, case, materials) for version in (new, base)]
    with stages.stage(case, 1.0):
        interleaved(runners, seconds=0, fewest=rounds, most=rounds, progress=stages.progress)
    own, other = (runner.costs[1:] for runner in runners)  # the first round warms up
    return Row(
        case,
        1000 * statistics.median(cost.wall for cost in other),
        ratio_of(np.array([cost.wall for cost in own]), np.array([cost.wall for cost in other])),
        ratio_of(np.array([cost.processor for cost in own]), np.array([cost.processor for cost in other])),
    )


def write_materials(base: Version, folder: Path) -> None:
    """The base's files, a folder of images and, where rasterio is installed, a raster."""
    for kept in base.kept:
        kept.rename(folder / kept.name)
    images = folder / cases.IMAGES
    images.mkdir()
    random = np.random.default_rng(0)
    for index in range(_IMAGES):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize(_SIZE[::-1], Image.Resampling.BICUBIC).save(images / f"{index:03d}.jpg")
    if _has_rasterio():
        _write_raster(folder / cases.RASTER, random)


def _has_rasterio() -> bool:
    return importlib.util.find_spec("rasterio") is not None


def _write_raster(path: Path, random: np.random.Generator) -> None:
    import rasterio

    pixels = random.integers(0, 256, (3, _RASTER, _RASTER), np.uint8)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=_RASTER,
        height=_RASTER,
        count=3,
        dtype="uint8",
        crs="EPSG:32632",
        transform=rasterio.Affine(1, 0, 500_000, 0, -1, 5_300_000),
    ) as raster:
        raster.write(pixels)


def _mark(ratio: Ratio, margin: float) -> str:
    if ratio.spread[0] > 1 + margin:
        return "slower"
    return "faster" if ratio.spread[1] < 1 / (1 + margin) else ""


def _shown(ratio: Ratio, margin: float) -> str:
    low, high = ratio.spread
    return f"{ratio.median:5.2f} ({low:.2f} to {high:.2f}) {_mark(ratio, margin):6}"


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.guard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="", help="a commit, a tag or a wheel; default: the last release")
    parser.add_argument("--new", type=Path, help="a wheel in the place of this working tree")
    parser.add_argument("--only", action="append", choices=list(CASES), help="this case; may be repeated")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--margin", type=float, default=0.05, help="what slower has to exceed")
    parser.add_argument("--fail-above", type=float, help="exit 1 where a lower quartile is above this ratio")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error(f"got {given.rounds} rounds, expected 1 or more")
    return given


def _wanted(only: list[str] | None) -> list[str]:
    wanted = only or list(CASES)
    if "map" in wanted and not _has_rasterio():
        click.echo("map is left out: rasterio is not installed")
        wanted = [case for case in wanted if case != "map"]
    return wanted


def _measured(given: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """The rows, and what could not be measured."""
    rows: list[Row] = []
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as place, progress_on_stderr(quiet=False, width=16) as progress:
        folders = [Path(place) / name for name in ("base", "new", "materials")]
        for folder in folders:
            folder.mkdir()
        stages = Stages(progress)
        with stages.stage("wheels"):
            base = unpacked_base(given.base, folders[0])
            new = unpacked_tree(folders[1], given.new)
        write_materials(base, folders[2])
        click.echo(f"old: {base.name}\nnew: {new.name}\n{processor_name()}, {given.rounds} rounds in turns\n")
        for case in _wanted(given.only):
            try:
                rows.append(compare(case, new, base, folders[2], given.rounds, stages))
            except CaseError as error:
                missing.append(f"{case}: {error}")
    return rows, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; returns the exit code."""
    given = _parsed(arguments)
    try:
        rows, missing = _measured(given)
    except FcnEdgeError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    click.echo(
        f"{'time, new / old':16} {'old, ms':>8}   {'by the clock':30} {'by the processor':30}".rstrip()
    )
    for row in rows:
        cells = (_shown(row.wall, given.margin), _shown(row.processor, given.margin))
        click.echo(f"{row.case:16} {row.base_ms:8.2f}   {cells[0]:30} {cells[1]:30}".rstrip())
    for line in missing:
        click.echo(f"not measured: {line}")
    click.echo(
        f"\nmedian (quartiles); slower or faster: the quartiles exclude 1 by more than {given.margin:.0%}"
    )
    return _exit_code(rows, missing, given.fail_above)


def _exit_code(rows: list[Row], missing: list[str], limit: float | None) -> int:
    if limit is None:
        return 0
    above = [row.case for row in rows if max(row.wall.spread[0], row.processor.spread[0]) > limit]
    if above:
        click.echo(f"slower than {limit:g} times: {', '.join(above)}", err=True)
    return 1 if above or missing else 0


if __name__ == "__main__":
    sys.exit(main())
