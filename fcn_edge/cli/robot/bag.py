"""`fcn-edge robot bag`: segments a recorded bag into a bag with masks, overlays and class names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files, topics
from fcn_edge.cli.numbers import COUNT, POSITIVE_SECONDS, SECONDS
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    device_option,
    examples,
    json_option,
    printable,
    profile_option,
    quiet_option,
    threads_option,
    threshold_option,
    trusted_keys_option,
)
from fcn_edge.cli.robot.options import overlay_alpha_option, prefix_option, required, shrink_option

if TYPE_CHECKING:
    from fcn_edge_runtime.robot.bag.reader import Bag
    from fcn_edge_runtime.robot.bag.segment import BagSummary

__all__ = ["command"]

_MOST_LINES = 10


@click.command(
    name="bag",
    epilog=examples(
        "fcn-edge robot bag run.mcap",
        "fcn-edge robot bag run.mcap --model road.onnx --image-topic /camera/image_raw -o segmented.mcap",
        "fcn-edge robot bag run/ --model road.onnx --image-topic /front -o out --start 10 --duration 5",
    ),
)
@click.argument("source", metavar="BAG", type=FilePath(), shell_complete=files)
@click.option(
    "--model", metavar="MODEL.onnx", type=FilePath(), shell_complete=files, help="The model to run."
)
@click.option(
    "--image-topic",
    metavar="TOPIC",
    shell_complete=topics,
    help="The topic to segment.  [default: the only image topic]",
)
@click.option(
    "-o",
    "--out",
    type=FilePath(),
    metavar="OUT",
    help="The new bag: one file if the name ends in .mcap or .db3, else a rosbag2 folder.",
)
@click.option(
    "--storage", type=click.Choice(["mcap", "sqlite3"]), help="Storage of the new bag.  [default: mcap]"
)
@click.option("--keep-input", is_flag=True, help="Also copy the messages of the old bag into the new one.")
@click.option("--no-overlay", is_flag=True, help="Write no overlays.")
@click.option("--every", type=COUNT, default=1, show_default=True, help="Segment every N-th frame.")
@click.option("--start", type=SECONDS, default=0.0, help="Seconds from the start of the bag.")
@click.option("--duration", type=POSITIVE_SECONDS, help="Seconds from there.  [default: to the end]")
@shrink_option
@overlay_alpha_option
@prefix_option
@threshold_option
@device_option
@threads_option
@profile_option
@allow_operators_option
@trusted_keys_option
@json_option
@quiet_option
@click.pass_context
def command(
    ctx: click.Context, /, *, source: str, image_topic: str | None, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Segment one image topic of a recorded BAG and write a rosbag2.

    BAG is a rosbag2 (folder, .mcap or .db3) or a ROS 1 bag. Masks, confidence (if the model has it), overlays
    and class names are recorded at the time of their frame, with its header. The new bag gets its name once
    it is complete. With BAG alone the image topics are listed.
    """
    from fcn_edge_runtime.robot.bag.reader import open_bag

    with open_bag(Path(source)) as bag:
        if image_topic is None and given["model"] is None and given["out"] is None:
            _list(bag, as_json=as_json)
            return
        out = Path(required(given["out"], "-o OUT"))
        required(given["model"], "--model MODEL.onnx")
        image_topic = bag.only_image_topic().name if image_topic is None else image_topic
        summary, ran = _segment(bag, image_topic, out, given, quiet=quiet)
    if as_json:
        click.echo(json.dumps({"bag": source, "out": str(out), **ran, **summary.to_dict()}))
    else:
        _show(summary, out)
    _show_some("failed", [f"{times} frames: {error}" for error, times in summary.errors.items()])
    _show_some("not copied", [f"{name}: {reason}" for name, reason in summary.not_copied.items()])
    if summary.failed:
        click.echo(f"error: {summary.failed} of {summary.failed + summary.frames} frames failed", err=True)
        ctx.exit(1)


def _segment(
    bag: Bag, image_topic: str, out: Path, given: dict[str, Any], *, quiet: bool
) -> tuple[BagSummary, dict[str, str]]:
    """The summary, and where the model ran."""
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime._files import require_writable
    from fcn_edge_runtime.robot.bag.segment import BagOptions, segment_bag
    from fcn_edge_runtime.robot.bag.writer import storage_for
    from fcn_edge_runtime.robot.model import open_model
    from fcn_edge_runtime.robot.pipeline import Pipeline, PipelineOptions

    # Names and paths are checked before a model is loaded.
    bag.image_topic(image_topic)
    storage_for(out, given["storage"])
    require_writable(out.parent)
    options = BagOptions(
        every=given["every"],
        start=given["start"],
        duration=given["duration"],
        keep_input=given["keep_input"],
        overlay=not given["no_overlay"],
        storage=given["storage"],
        prefix=given["prefix"],
    )
    shown = PipelineOptions(shrink=given["shrink"], overlay_alpha=given["overlay_alpha"])
    with open_model(
        given["model"],
        given["device"],
        given["threads"],
        profile=given["profile"],
        threshold=given["threshold"],
    ) as segmenter:
        with progress_on_stderr(quiet=quiet) as progress:
            summary = segment_bag(bag, image_topic, Pipeline(segmenter, shown), out, options, progress)
        if not quiet:
            click.echo(f"ran on {segmenter.session.device} ({segmenter.session.why})", err=True)
        ran = segmenter.session.facts()
    return summary, ran


def _show_some(what: str, lines: list[str]) -> None:
    """The first lines, and how many there are more."""
    for line in lines[:_MOST_LINES]:
        click.echo(f"{what}: {printable(line)}", err=True)
    if len(lines) > _MOST_LINES:
        click.echo(f"{what}: and {len(lines) - _MOST_LINES:,} more", err=True)


def _list(bag: Bag, *, as_json: bool) -> None:
    rows = [{"topic": t.name, "type": t.type, "messages": t.messages} for t in bag.image_topics]
    if as_json:
        click.echo(json.dumps({"bag": str(bag.path), "image_topics": rows}))
    elif not rows:
        click.echo(f"no image topics among {len(bag.topics)} topics")
    else:
        for row in rows:
            click.echo(f"{printable(str(row['topic'])):<40} {row['type']:<32} {row['messages']} messages")
        click.echo("choose one with --image-topic")


def _show(summary: BagSummary, out: Path) -> None:
    rate = summary.frames / max(summary.seconds, 1e-9)
    click.echo(
        f"{printable(str(out))}: {summary.frames} frames in {summary.seconds:.1f} s ({rate:.1f} a second), "
        f"p50 {summary.p50_ms:.1f} ms, p95 {summary.p95_ms:.1f} ms"
        + (f", {summary.copied} messages copied" if summary.copied else "")
    )
    for name, share in summary.shares.items():
        if share or name != "unlabeled":
            click.echo(f"  {printable(name):<24} {share:6.1%}")
