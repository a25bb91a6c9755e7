"""The options of `run` for more images than one machine should do, or a list should hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.numbers import Whole
from fcn_edge.cli.options import named_error, option_group, printable

if TYPE_CHECKING:
    from fcn_edge_runtime.batch import FileResult
    from fcn_edge_runtime.image_job import ImageJob
    from fcn_edge_runtime.progress import Progress

__all__ = ["check_many", "many_options", "segment_shard"]


# Parts of a folder, batches, and a cluster.
many_options = option_group(
    click.option(
        "--batch",
        type=Whole(1, 256),
        default=1,
        show_default=True,
        metavar="N",
        help="Run up to N images of one size that follow each other in one call, with the same "
        "labels: faster on a GPU if the network takes longest, see --time; not on a CPU.",
    ),
    click.option(
        "--shard",
        metavar="I/N",
        help="Of one folder of any number of images: only the I-th of N parts, such as 3/16. What is "
        "done is a line in DIR/manifest-I-of-N.jsonl, and results keep the image's own ending, as in "
        "a.jpg.labels.png.",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="The same, and skip the images that the manifest names as done with the same model.",
    ),
    click.option(
        "--ray",
        metavar="ADDRESS",
        help="Segment images on a Ray cluster: its address, auto, or local for this machine alone. "
        "Needs the extra `ray`.",
    ),
    click.option(
        "--workers",
        type=Whole(1, 1024),
        metavar="N",
        help="Actors on the cluster.  [default: one for each of its cores]",
    ),
)


def check_many(inputs: tuple[str, ...], given: dict[str, Any]) -> bool:
    """Whether one folder is to be segmented without a list of its images.

    Raises:
        UsageError: options that do not fit each other, or the inputs.
    """
    from fcn_edge_runtime.errors import UsageError

    if given["workers"] is not None and given["ray"] is None:
        raise UsageError("--workers is for --ray: on one machine, give --ray local")
    if given["shard"] is None and not given["resume"]:
        return False
    if len(inputs) != 1 or not Path(inputs[0]).is_dir():
        raise UsageError("--shard and --resume are for one folder of images: name it alone")
    if given["timed"]:
        raise UsageError("--time is for images that are listed: leave out --shard and --resume")
    return True


def segment_shard(
    job: ImageJob, folder: str, progress: Progress, given: dict[str, Any], *, as_json: bool, quiet: bool
) -> int:
    """Segment the images of a folder; gives the number of those that failed."""
    from fcn_edge_runtime import shards

    def failed(result: FileResult) -> None:
        click.echo(f"failed: {named_error(str(result.source), str(result.error))}", err=True)

    run = None
    if given["ray"] is not None:
        from fcn_edge_runtime.ray import runner_on_cluster

        run = runner_on_cluster(given["ray"], given["workers"])
    report = shards.segment_shard(
        job, folder, shards.Shard.parse(given["shard"] or "1/1"), resume=given["resume"],
        recursive=given["recursive"], progress=progress, failed=failed, run=run,
    )  # fmt: skip
    if as_json:
        facts = {"done": report.done, "failed": report.failed, "skipped": report.skipped}
        click.echo(json.dumps({**facts, "sha256": job.segmenter.digest, "manifest": str(report.manifest)}))
    elif not quiet:
        skipped = f", {report.skipped} were done by an earlier run" if report.skipped else ""
        click.echo(f"{report.done} images{skipped}: {printable(str(report.manifest))}")
    if report.failed:
        click.echo(f"error: {report.failed} of {report.done + report.failed} images failed", err=True)
    return report.failed
