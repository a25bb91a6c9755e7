"""What `run` prints of its results: a line for each input, or one JSON object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fcn_edge.cli.options import LONGEST_NAME, named_error, printable
from fcn_edge.cli.times import Times

if TYPE_CHECKING:
    from fcn_edge_runtime.batch import FileResult
    from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["show_failures", "show_results"]


def show_results(
    model: str, segmenter: Segmenter, done: list[FileResult], times: Times | None, *, as_json: bool
) -> None:
    """Print what became of each input."""
    from fcn_edge_runtime.imaging.finding import is_video

    if as_json:
        good = [result for result in done if result.error is None]
        volumes = [result.to_dict() for result in good if _is_volume(result.source)]
        report = {
            "model": model,
            "sha256": segmenter.digest,
            **segmenter.session.facts(),
            **({} if segmenter.threshold is None else {"threshold": segmenter.threshold}),
            "images": [
                result.to_dict()
                for result in good
                if not (is_video(result.source) or _is_volume(result.source))
            ],
            "videos": [result.to_dict() for result in good if is_video(result.source)],
            **({"volumes": volumes} if volumes else {}),
            "failed": [result.to_dict() for result in done if result.error is not None],
            **({} if times is None else {"time": times.to_dict()}),
        }
        click.echo(json.dumps(report))
        return
    for result in done:
        if result.size is not None:  # also of a video that is cut short
            _show_one(result)


def _show_one(result: FileResult) -> None:
    from fcn_edge_runtime.imaging.finding import is_video

    height, width = result.size or (0, 0)
    top = sorted((a for a in result.areas if a.pixels), key=lambda area: -area.pixels)[:3]
    shares = ", ".join(f"{printable(area.name, LONGEST_NAME)} {area.share:.1%}" for area in top)
    volume = _is_volume(result.source)
    of = "slices" if volume else "frames" if is_video(result.source) else ""
    each = f"{result.frames} {of}, " if of else ""
    click.echo(
        f"{printable(str(result.source))}: {width}x{height}, {each}{result.milliseconds:.1f} ms"
        f"{' each' if each else ''}: {shares}"
    )
    dice = result.to_dict().get("dice") if volume else None
    for name, value in (dice or {}).items():
        click.echo(f"  Dice {printable(name, LONGEST_NAME):<20} {'n/a' if value is None else f'{value:.4f}'}")


def show_failures(done: list[FileResult]) -> bool:
    """Print which inputs failed, on stderr; gives whether any did."""
    failed = [result for result in done if result.error is not None]
    for result in failed:
        click.echo(f"failed: {named_error(str(result.source), str(result.error))}", err=True)
    if failed:
        click.echo(f"error: {len(failed)} of {len(done)} {_kind(done)} failed", err=True)
    return bool(failed)


def _kind(done: list[FileResult]) -> str:
    from fcn_edge_runtime.imaging.finding import is_video

    kinds = {
        "volumes" if _is_volume(result.source) else "videos" if is_video(result.source) else "images"
        for result in done
    }
    return " and ".join(sorted(kinds))


def _is_volume(path: Path) -> bool:
    from fcn_edge_runtime.medical.series import is_volume

    return is_volume(path)
