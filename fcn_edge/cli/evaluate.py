"""fcn-edge evaluate: a model against images whose labels are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.label_options import label_folder, label_options
from fcn_edge.cli.numbers import PROBABILITY
from fcn_edge.cli.options import (
    LONGEST_NAME,
    FilePath,
    allow_operators_option,
    device_option,
    examples,
    json_option,
    model_argument,
    named_error,
    printable,
    profile_option,
    quiet_option,
    threads_option,
    trusted_keys_option,
)
from fcn_edge.cli.volume_options import reading_from, volume_options

if TYPE_CHECKING:
    from fcn_edge_runtime.evaluation.evaluate import Evaluation
    from fcn_edge_runtime.evaluation.masks import Pair
    from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["command"]

_SHOWN = (0.5, 0.7, 0.9, 0.95, 0.99)  # confidences; the whole curve is in --json


def _probabilities(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    return () if value is None else tuple(PROBABILITY.convert(text, param, ctx) for text in value.split(","))


@click.command(
    "evaluate",
    epilog=examples(
        "fcn-edge evaluate road.onnx --images val/images --labels val/labels",
        "fcn-edge evaluate road.onnx --images val/images --labels val/labels -o report --json",
        "fcn-edge evaluate people.onnx --images val --labels masks --foreground 255 --suffix _mask",
        "fcn-edge evaluate road.onnx --images val/images --labels val/colors --labels-by color",
        "fcn-edge evaluate people.onnx --images val --labels masks --foreground 255 --threshold 0.3,0.5,0.7",
        "fcn-edge evaluate brain.onnx --images scans --labels truth",
    ),
)
@model_argument
@click.option(
    "--images",
    required=True,
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Folder of the images; repeatable.",
)
@click.option(
    "--labels",
    required=True,
    type=FilePath(path_type=Path),
    metavar="DIR",
    help="Folder of the true labels: PNG masks named like the images, NIfTI or DICOM for volumes; 255 is "
    "unlabeled and not counted.",
)
@label_options
@click.option(
    "--threshold",
    "thresholds",
    callback=_probabilities,
    metavar="P,...",
    help="Labels need at least this probability. Several, for models of two classes: a table of IoU, "
    "precision and recall of class 1, then all scores at the best.",
)
@click.option(
    "-o",
    "--out",
    type=FilePath(path_type=Path),
    metavar="DIR",
    help="Write confusion.png, worst.png and evaluation.json here, and coverage.png where MODEL computes "
    "confidence.",
)
@volume_options
@device_option
@threads_option
@profile_option
@allow_operators_option
@trusted_keys_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    model: str,
    images: tuple[str, ...],
    labels: Path,
    out: Path | None,
    device: str,
    threads: int | None,
    profile: str | None,
    thresholds: tuple[float, ...],
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Compare MODEL with true labels: IoU, Dice, sensitivity and specificity of each class, pixel accuracy.

    Pixels of all images are counted together, as in PASCAL VOC and Cityscapes; unlabeled pixels are left out.
    A class that occurs neither in the true labels nor in the model's is n/a. Medical volumes also have the
    95 % Hausdorff distance of each class in millimeters (extra `medical`). Where MODEL computes confidence:
    the share of pixels that have one at least (coverage), and how many of these are right (accuracy).

    Each image needs labels of its name. Images that cannot be evaluated are listed, the scores are then those
    of the others and are marked INCOMPLETE, and the exit code is 1.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime._files import require_writable
    from fcn_edge_runtime.evaluation.evaluate import outputs_to_score, score_pairs
    from fcn_edge_runtime.evaluation.masks import find_pairs
    from fcn_edge_runtime.segmentation import check_threshold
    from fcn_edge_runtime.segmenter import Segmenter

    folder, reading = label_folder(labels, given), reading_from(given)
    pairs = find_pairs(images, labels if folder is None else folder)
    if out is not None:
        from fcn_edge.reports.plots import require_plots

        require_plots()  # before the work starts, and before there is a folder
        require_writable(out)
    for threshold in thresholds:
        check_threshold(threshold)
    with Segmenter(
        model, device, threads, outputs=outputs_to_score(thresholds), profile=profile
    ) as segmenter:
        with progress_on_stderr(quiet=quiet) as progress:
            found = score_pairs(segmenter, pairs, progress, thresholds, keep_going=True, reading=reading)
        ran = segmenter.session.facts()
        written = [] if out is None else _write_report(out, segmenter, found)
    if as_json:
        click.echo(json.dumps({**ran, **found.to_dict()}))
    else:
        _show(found)
    if not (as_json or quiet):
        click.echo(
            f"{len(found.images)} images, {found.scores.pixels} labeled pixels, "
            f"on {ran['device']} ({ran['why']})",
            err=True,
        )
        if out is not None:
            names = ", ".join(written[:-1])
            click.echo(f"wrote {names} and {written[-1]} to {printable(str(out))}", err=True)
    _tell_turned(pairs)
    if found.failed:
        for entry in found.failed:
            click.echo(f"failed: {named_error(str(entry.pair.image), entry.error)}", err=True)
        click.echo(
            f"error: {len(found.failed)} of {len(pairs)} images failed, the scores are of the others only",
            err=True,
        )
        ctx.exit(1)


def _tell_turned(pairs: Sequence[Pair]) -> None:
    """Tell once where true labels have to be turned with their images, which tools do not agree on."""
    from fcn_edge_runtime.imaging.decoding import is_turned

    turned = [pair.image for pair in pairs if is_turned(pair.image)]
    if turned:
        click.echo(
            f"note: {len(turned)} of {len(pairs)} images are turned by their EXIF orientation, such as "
            f"{printable(str(turned[0]))}: their labels are taken as turned, too",
            err=True,
        )


def _write_report(out: Path, segmenter: Segmenter, found: Evaluation) -> list[str]:
    """Write the pictures and the numbers; returns the names of the files."""
    from fcn_edge.reports.plots import write_confusion, write_coverage, write_worst
    from fcn_edge_runtime._files import write_whole

    written = ["confusion.png"]
    write_confusion(out / "confusion.png", found)
    if write_coverage(out / "coverage.png", found):
        written.append("coverage.png")
    if write_worst(out / "worst.png", segmenter, found):
        written.append("worst.png")
    write_whole(out / "evaluation.json", (json.dumps(found.to_dict(), indent=2) + "\n").encode())
    return [*written, "evaluation.json"]


def _show(found: Evaluation) -> None:
    if found.failed:
        count = len(found.images)
        click.echo(
            f"INCOMPLETE: scores of {count} of {count + len(found.failed)} images, the others failed\n"
        )
    if found.sweep:
        name = printable(found.card.classes[1].name, LONGEST_NAME)
        click.echo(f"{'threshold':<12}{'IoU':<9}{'precision':<11}{'recall':<9}of {name}")
        for entry in found.sweep:
            values = (_number(entry.iou), _number(entry.precision), _number(entry.recall))
            best = "best IoU" if entry.threshold == found.threshold else ""
            click.echo(f"{entry.threshold:<12g}{values[0]:<9}{values[1]:<11}{values[2]:<9}{best}".rstrip())
        click.echo(f"\nat {found.threshold:g}:")
    scores = found.scores
    columns = [("IoU", scores.iou), ("Dice", scores.dice)]
    columns += [("sensitivity", scores.sensitivity), ("specificity", scores.specificity)]
    columns += [("Hausdorff 95 % mm", found.hausdorff)] if found.hausdorff else []
    click.echo(f"{'class':<20} " + "  ".join(f"{name:<11}" for name, _ in columns).rstrip())
    for index, kind in enumerate(found.card.classes):
        row = "  ".join(f"{_number(column[index]):<11}" for _, column in columns)
        click.echo(f"{printable(kind.name, LONGEST_NAME):<20} {row}".rstrip())
    click.echo(f"{'mean IoU':<20} {_number(found.scores.mean_iou)}")
    click.echo(f"{'pixel accuracy':<20} {_number(found.scores.pixel_accuracy)}")
    shown = [point for point in found.coverage if point.confidence in _SHOWN]
    if shown:
        click.echo(f"\n{'confidence':<20} {'coverage':<13}accuracy")
    for point in shown:
        least = f"{point.confidence:g} or more"
        click.echo(f"{least:<20} {_number(point.coverage):<13}{_number(point.accuracy)}")


def _number(value: float | None) -> str:
    return "n/a" if value is None or value != value else f"{value:.4f}"  # noqa: PLR0124 - only NaN differs from itself
