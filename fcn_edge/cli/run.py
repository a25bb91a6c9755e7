"""`fcn-edge run`: images and videos in, class maps, overlays and effects out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files, items
from fcn_edge.cli.effect_options import effect_from, effect_options
from fcn_edge.cli.many_options import check_many, many_options, segment_shard
from fcn_edge.cli.numbers import COUNT, SHARE
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    device_option,
    examples,
    json_option,
    model_argument,
    printable,
    profile_option,
    quiet_option,
    threads_option,
    threshold_option,
    trusted_keys_option,
)
from fcn_edge.cli.run_report import show_failures, show_results
from fcn_edge.cli.times import Times
from fcn_edge.cli.volume_options import reading_from, volume_options

if TYPE_CHECKING:
    from fcn_edge_runtime.batch import FileResult
    from fcn_edge_runtime.image_job import ImageJob
    from fcn_edge_runtime.imaging.effects import Effect
    from fcn_edge_runtime.imaging.finding import ImageFile
    from fcn_edge_runtime.progress import Progress
    from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["command"]


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


@click.command(
    name="run",
    short_help="Segment images, videos and medical volumes.",
    epilog=examples(
        "fcn-edge run road.onnx photo.jpg -o out",
        "fcn-edge run road.onnx photos/ -o out --recursive --save labels,json",
        "fcn-edge run road.onnx 'flight/**/*.tif' -o out --device cuda",
        "fcn-edge run road.onnx photos/ -o out --shard 3/16 --resume",
        "fcn-edge run people.onnx photo.jpg -o out --effect blur-background --class person",
        "fcn-edge run people.onnx clip.mp4 -o out --effect replace-background --class person",
        "fcn-edge run brain.onnx t1.nii.gz -o out",
        "fcn-edge run liver.onnx ct-series/ -o out --axis axial --window -160,240",
    ),
)
@model_argument
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=FilePath(), shell_complete=files)
@click.option(
    "-o",
    "--out",
    required=True,
    type=FilePath(),
    metavar="DIR",
    help="Folder for the results; created if missing.",
)
@click.option(
    "--save",
    callback=_names,
    metavar="LIST",
    shell_complete=items(
        "labels",
        "overlay",
        "confidence",
        "probabilities",
        "json",
        "labelstudio",
        "coco",
        "geojson",
        "nifti",
        "dice",
    ),
    help="What to write, separated by commas: labels, overlay, confidence, probabilities, json, labelstudio "
    "and coco (masks for annotation) and geojson (polygons in pixels, extra `geo`). Videos have "
    "overlay and json; volumes labels, nifti, overlay, json and, with --truth, dice.  [default: "
    "labels,overlay,json; of videos overlay,json]",
)
@click.option(
    "--format",
    type=click.Choice(["png", "jpg", "webp"]),
    default="png",
    show_default=True,
    help="File format of overlays and effects; videos are always mp4.",
)
@click.option(
    "--overlay-alpha",
    type=SHARE,
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="0 shows only the image, 1 only the colors.",
)
@click.option("--no-legend", is_flag=True, help="No legend below overlays.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Also replace files that fcn-edge did not write, or that were changed since; never an input.",
)
@threshold_option
@effect_options
@volume_options
@click.option(
    "--truth",
    type=FilePath(path_type=Path),
    metavar="FILE",
    shell_complete=files,
    help="True labels of the only volume, NIfTI or DICOM: Dice of each class is shown and written.",
)
@device_option
@threads_option
@profile_option
@click.option(
    "--isolate-first",
    is_flag=True,
    help="Open MODEL in a process of its own first, with limits on memory and time: for files whose origin "
    "you do not know. Takes about half a second.",
)
@click.option("--recursive", is_flag=True, help="Search folders recursively.")
@many_options
@click.option(
    "--max-pixels",
    type=COUNT,
    default=100_000_000,
    show_default=True,
    metavar="N",
    help="Refuse larger images, before they are decoded, and volumes of more voxels.",
)
@click.option(
    "--time",
    "timed",
    is_flag=True,
    help="Say how many images a second there were, and what reading, the network and writing took.",
)
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
    inputs: tuple[str, ...],
    out: str,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Segment images, videos and medical volumes with MODEL.

    INPUT is an image, a folder of images, a pattern such as 'flight/*.tif', a video, a NIfTI file, a DICOM
    file, or the folder of a DICOM series.

    \b
    Written for NAME.jpg:
      NAME.labels.png    a palette PNG whose values are the class ids
      NAME.overlay.png   the image with the classes' colors over it
      NAME.json          pixels and share of each class
      NAME.effect.png    the changed image, with --effect
      NAME.labelstudio.json, NAME.coco.json    masks to correct in tools, with --save
      NAME.geojson       a polygon of each region, with --save
    Written for NAME.mp4 (same size and frame rate, no sound):
      NAME.overlay.mp4, NAME.json, and with --effect NAME.effect.mp4
    Written for NAME.nii.gz, slice by slice (extra `medical`):
      NAME.labels.nii.gz with the same affine, NAME.overlay.png, a sheet of slices, NAME.json
      of a DICOM series NAME.seg.dcm, a DICOM Segmentation, in place of the labels

    An input that cannot be read is reported, the others are still processed, and the exit code is 1. Of a
    video that is cut short, what was made until there is kept. Files that are not unchanged results of an
    earlier run are not replaced. For cameras and streams, see `fcn-edge robot camera`.
    """  # noqa: D301 - click wants the character itself
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime.segmenter import Segmenter

    effect = effect_from(given)
    _refuse_streams(inputs)
    many = check_many(inputs, given)
    jobs = [] if many else _found(inputs, recursive=given["recursive"])
    saved = ("labels", *(n for n in ("confidence", "probabilities") if n in (given["save"] or ())))
    # Effects have soft edges by confidence, and a threshold asks for hard ones; masks for tools have scores.
    soft = effect is not None and given["threshold"] is None
    scored = not {"labelstudio", "coco", "geojson"}.isdisjoint(given["save"] or ())
    helps = (soft or scored) and "confidence" not in saved
    with Segmenter(
        model,
        given["device"],
        given["threads"],
        outputs=lambda offered: (*saved, "confidence") if helps and "confidence" in offered else saved,
        max_pixels=given["max_pixels"],
        profile=given["profile"],
        threshold=given["threshold"],
        isolated_first=given["isolate_first"],
    ) as segmenter:
        with progress_on_stderr(quiet=quiet) as progress:
            if many:
                job = _image_job(segmenter, Path(out), effect, given)
                ctx.exit(
                    1 if segment_shard(job, inputs[0], progress, given, as_json=as_json, quiet=quiet) else 0
                )
            start = time.perf_counter()
            done = _segment(segmenter, jobs, Path(out), effect, progress, given)
            times = Times.of(done, time.perf_counter() - start) if given["timed"] else None
        if as_json or not quiet:
            show_results(model, segmenter, done, times, as_json=as_json)
        if times is not None and not as_json:
            click.echo(str(times))
        if not quiet:
            click.echo(f"ran on {segmenter.session.device} ({segmenter.session.why})", err=True)
    if show_failures(done):
        ctx.exit(1)


def _found(inputs: tuple[str, ...], *, recursive: bool) -> list[ImageFile]:
    """Images, videos, NIfTI files, DICOM files, and folders of DICOM series."""
    from fcn_edge_runtime.imaging.finding import VOLUMES, find_images
    from fcn_edge_runtime.imaging.reading import EXTENSIONS
    from fcn_edge_runtime.medical.series import is_series

    return find_images(inputs, recursive=recursive, endings=(*EXTENSIONS, *VOLUMES), whole=is_series)


def _is_volume(path: Path) -> bool:
    from fcn_edge_runtime.medical.series import is_volume

    return is_volume(path)


def _refuse_streams(inputs: tuple[str, ...]) -> None:
    from fcn_edge_runtime.errors import UsageError

    for text in inputs:
        if "://" in text or text.startswith("/dev/video"):
            raise UsageError(
                f"{text} is a camera or a stream, expected files: "
                f"`fcn-edge robot camera {text} --model MODEL.onnx --record out.mp4`"
            )


def _segment(
    segmenter: Segmenter,
    jobs: list[ImageFile],
    out: Path,
    effect: Effect | None,
    progress: Progress,
    given: dict[str, Any],
) -> list[FileResult]:
    """Images first, then videos; options that do not fit either are found before the first of them."""
    from fcn_edge_runtime.batch import segment_files
    from fcn_edge_runtime.errors import UsageError
    from fcn_edge_runtime.imaging.finding import is_video

    job = _image_job(segmenter, out, effect, given)
    options, also = job.options, () if effect is None else ("effect",)
    reading, truth = reading_from(given), given["truth"]
    volumes = [job for job in jobs if _is_volume(job.source)]
    videos = [job for job in jobs if is_video(job.source)]
    images = [job for job in jobs if job not in volumes and job not in videos]
    _check_volumes(volumes, effect, truth)
    for option, used in (("--ray", given["ray"] is not None), ("--batch", job.together > 1)):
        if used and (videos or volumes):
            raise UsageError(
                f"{option} is for images, got {(videos or volumes)[0].source}: run it without {option}"
            )
    _name_georeferenced(images)
    work: list[Iterator[FileResult]] = []
    if images:
        if given["ray"] is None:
            work.append(segment_files(job, images, progress))
        else:
            from fcn_edge_runtime.ray import segment_on_cluster

            work.append(iter(segment_on_cluster(job, images, given["ray"], given["workers"], progress)))
    if videos:
        from fcn_edge_runtime.video import segment_videos

        save = (*(("overlay", "json") if given["save"] is None else given["save"]), *also)
        work.append(segment_videos(segmenter, videos, out, save, effect, progress, options))
    if volumes:
        from fcn_edge_runtime.medical.labeling import segment_volumes

        save = (
            ("labels", "overlay", "json", *(("dice",) if truth else ()))
            if given["save"] is None
            else given["save"]
        )
        work.append(segment_volumes(segmenter, volumes, out, save, progress, options, reading, truth))
    return [result for results in work for result in results]


def _image_job(segmenter: Segmenter, out: Path, effect: Effect | None, given: dict[str, Any]) -> ImageJob:
    from fcn_edge_runtime.image_job import ImageJob, SaveOptions

    options = SaveOptions(given["format"], given["overlay_alpha"], not given["no_legend"], given["overwrite"])
    save = ("labels", "overlay", "json") if given["save"] is None else given["save"]
    save = (*save, *(() if effect is None else ("effect",)))
    return ImageJob(segmenter, out, save, effect, options, given["batch"])


def _check_volumes(volumes: list[ImageFile], effect: Effect | None, truth: Path | None) -> None:
    from fcn_edge_runtime.errors import UsageError

    if volumes and effect is not None:
        raise UsageError(f"effects are for images and videos, and {volumes[0].source} is a volume")
    if truth is not None and not volumes:
        raise UsageError(
            "--truth is for medical volumes, and there is none: `fcn-edge evaluate` takes images"
        )


def _name_georeferenced(images: list[ImageFile]) -> None:
    """Tell once that `map` keeps what results lose here."""
    from fcn_edge_runtime.imaging.structure.tiff import is_georeferenced

    for job in images:
        if job.source.suffix.lower() in (".tif", ".tiff") and job.source.is_file():
            with job.source.open("rb") as stream:
                if not is_georeferenced(stream):
                    continue
            click.echo(
                f"note: {printable(str(job.source))} lies on a map, its results will not: "
                "`fcn-edge map` keeps the georeference, any number of bands, and pixels without data",
                err=True,
            )
            return
