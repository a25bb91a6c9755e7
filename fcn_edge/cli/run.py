"""`fcn-edge run`: images in, class maps and overlays out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.effect_options import effect_from, effect_options
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

if TYPE_CHECKING:
    from fcn_edge_runtime.batch import FileResult
    from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["command"]


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


@click.command(
    name="run",
    short_help="Segment images: files, folders and glob patterns.",
    epilog=examples(
        "fcn-edge run road.onnx photo.jpg -o out",
        "fcn-edge run road.onnx photos/ -o out --recursive --save labels,json",
        "fcn-edge run road.onnx 'flight/**/*.tif' -o out --device cuda",
        "fcn-edge run people.onnx photo.jpg -o out --effect blur-background --class person",
        "fcn-edge run people.onnx me.jpg -o out --effect tint --class person --color '#ff0000'",
    ),
)
@model_argument
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    required=True,
    type=OutputPath(),
    metavar="DIR",
    help="Folder for the results; created if missing.",
)
@click.option(
    "--save",
    default="labels,overlay,json",
    show_default=True,
    callback=_names,
    metavar="LIST",
    help="What to write: labels, overlay, confidence, probabilities, json.",
)
@click.option(
    "--format",
    type=click.Choice(["png", "jpg", "webp"]),
    default="png",
    show_default=True,
    help="Of overlays and effects.",
)
@click.option(
    "--overlay-alpha",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="0 shows only the image, 1 only the colors.",
)
@click.option("--no-legend", is_flag=True, help="No legend below overlays.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files, too, that are not unchanged results of an earlier run. Images are never replaced.",
)
@effect_options
@device_option
@threads_option
@profile_option
@click.option("--recursive", is_flag=True, help="Search folders recursively.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=100_000_000,
    show_default=True,
    help="Refuse larger images, before they are decoded.",
)
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    model: str,
    inputs: tuple[str, ...],
    out: str,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Segment images with MODEL: files, folders and glob patterns.

    For each image, STEM.labels.png (a palette PNG whose values are the class ids), STEM.overlay.png and
    STEM.json (pixels and share of each class) are written to DIR; sub-folders are kept. An image that cannot
    be read is reported, the others are still processed, and the exit code is 1. With --effect,
    STEM.effect.png is the changed image. Probabilities are STEM.probabilities.npz (float32) and
    STEM.probability-ID.png of each class (8 bits).

    Nothing is written where a file would be replaced that is not an unchanged result of an earlier run.
    With -q, only failures are reported.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime.batch import SaveOptions, segment_files
    from fcn_edge_runtime.imaging.finding import find_images
    from fcn_edge_runtime.segmenter import Segmenter

    effect = effect_from(given)
    save = (*given["save"], "effect") if effect is not None else given["save"]
    jobs = find_images(inputs, recursive=given["recursive"])
    outputs = ("labels", *(name for name in ("confidence", "probabilities") if name in save))
    options = SaveOptions(given["format"], given["overlay_alpha"], not given["no_legend"], given["overwrite"])
    with Segmenter(
        model,
        given["device"],
        given["threads"],
        outputs=outputs,
        max_pixels=given["max_pixels"],
        profile=given["profile"],
    ) as segmenter:
        with progress_on_stderr(quiet=quiet) as progress:
            done = list(segment_files(segmenter, jobs, Path(out), save, effect, progress, options))
        if as_json or not quiet:
            _show(model, segmenter, done, as_json=as_json)
        if not quiet:
            click.echo(f"ran on {segmenter.session.device} ({segmenter.session.why})", err=True)
    failed = [result for result in done if result.error is not None]
    for result in failed:
        source, error = str(result.source), str(result.error)
        click.echo(f"failed: {printable(error if source in error else f'{source}: {error}')}", err=True)
    if failed:
        click.echo(f"error: {len(failed)} of {len(done)} images failed", err=True)
        ctx.exit(1)


def _show(model: str, segmenter: Segmenter, done: list[FileResult], *, as_json: bool) -> None:
    session = segmenter.session
    if as_json:
        report = {
            "model": model,
            "sha256": segmenter.digest,
            **session.facts(),
            "images": [result.to_dict() for result in done if result.error is None],
            "failed": [result.to_dict() for result in done if result.error is not None],
        }
        click.echo(json.dumps(report))
        return
    for result in done:
        if result.error is None and result.size:
            height, width = result.size
            top = sorted((a for a in result.areas if a.pixels), key=lambda area: -area.pixels)[:3]
            shares = ", ".join(f"{printable(area.name)} {area.share:.1%}" for area in top)
            click.echo(
                f"{printable(str(result.source))}: {width}x{height}, {result.milliseconds:.1f} ms: {shares}"
            )
