"""fcn-edge evaluate: a model against images whose labels are known."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fcn_edge.cli.options import (
    OutputPath,
    device_option,
    examples,
    json_option,
    model_argument,
    printable,
    profile_option,
    quiet_option,
    threads_option,
)

__all__ = ["command"]


@click.command(
    "evaluate",
    epilog=examples(
        "fcn-edge evaluate road.onnx --images val/images --labels val/labels",
        "fcn-edge evaluate road.onnx --images val/images --labels val/labels -o report --json",
    ),
)
@model_argument
@click.option("--images", required=True, multiple=True, metavar="DIR", help="The images; repeatable.")
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Palette or gray PNGs of class ids with the same names; 255 is not counted.",
)
@click.option(
    "-o",
    "--out",
    type=OutputPath(path_type=Path),
    metavar="DIR",
    help="Write confusion.png, worst.png and evaluation.json here.",
)
@device_option
@threads_option
@profile_option
@json_option
@quiet_option
def command(
    *,
    model: str,
    images: tuple[str, ...],
    labels: Path,
    out: Path | None,
    device: str,
    threads: int | None,
    profile: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Evaluate MODEL: IoU of each class, mean IoU, pixel accuracy, confusion matrix.

    Pixels of all images are counted together, as in PASCAL VOC and Cityscapes; unlabeled pixels are left out.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime._files import require_writable, write_whole
    from fcn_edge_runtime.evaluation.evaluate import find_pairs, score_pairs
    from fcn_edge_runtime.segmenter import Segmenter

    pairs = find_pairs(images, labels)
    if out is not None:
        require_writable(out)
    with Segmenter(model, device, threads, outputs=("labels",), profile=profile) as segmenter:
        with progress_on_stderr(quiet=quiet) as progress:
            found = score_pairs(segmenter, pairs, progress)
        ran = segmenter.session.facts()
        if out is not None:
            from fcn_edge.reports.plots import write_confusion, write_worst

            write_confusion(out / "confusion.png", found)
            write_worst(out / "worst.png", segmenter, found)
            write_whole(out / "evaluation.json", (json.dumps(found.to_dict(), indent=2) + "\n").encode())
    if as_json:
        click.echo(json.dumps({**ran, **found.to_dict()}))
        return
    for entry, iou in zip(found.card.classes, found.scores.iou, strict=True):
        click.echo(f"{printable(entry.name):<20} {'absent' if iou is None else f'{iou:.4f}'}")
    click.echo(f"{'mean IoU':<20} {found.scores.mean_iou:.4f}")
    click.echo(f"{'pixel accuracy':<20} {found.scores.pixel_accuracy:.4f}")
    click.echo(
        f"{len(found.images)} images, {found.scores.pixels} labeled pixels, "
        f"on {ran['device']} ({ran['why']})",
        err=True,
    )
    if out is not None:
        click.echo(f"wrote confusion.png, worst.png and evaluation.json to {out}", err=True)
