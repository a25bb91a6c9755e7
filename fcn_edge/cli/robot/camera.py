"""`fcn-edge robot camera`: segments a camera, a stream or a video file."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.effect_options import effect_from, effect_options
from fcn_edge.cli.interrupts import stop_on_signals
from fcn_edge.cli.numbers import COUNT, DOMAIN, RATE
from fcn_edge.cli.options import (
    FilePath,
    device_option,
    examples,
    profile_option,
    quiet_option,
    threads_option,
    threshold_option,
)
from fcn_edge.cli.robot.options import model_option, overlay_alpha_option, prefix_option, shrink_option

if TYPE_CHECKING:
    from fcn_edge_runtime.imaging.effects import Effect
    from fcn_edge_runtime.robot.camera.sinks import FrameSink, View
    from fcn_edge_runtime.robot.camera.source import VideoSource
    from fcn_edge_runtime.robot.pipeline import Pipeline

__all__ = ["command"]


@click.command(
    name="camera",
    epilog=examples(
        "fcn-edge robot camera 0 --model road.onnx --show",
        "fcn-edge robot camera 0 --model people.onnx --record me.mp4 --effect blur-background --class person",
        "fcn-edge robot camera rtsp://10.0.0.5/stream --model road.onnx --publish --record run.mcap",
    ),
)
@click.argument("source", metavar="[DEVICE|URL|FILE]", default="0", type=FilePath(), shell_complete=files)
@model_option
@click.option("--show", is_flag=True, help="Show overlays, or the effect, in a window; Esc or q ends.")
@click.option(
    "--record",
    metavar="PATH",
    type=FilePath(),
    shell_complete=files,
    help="A video of overlays, or of the effect (.mp4, .mkv, .avi), or a bag (.mcap, .db3, or a folder).",
)
@click.option(
    "--publish", is_flag=True, help="Publish images and masks to a ROS 2 graph, without ROS on this machine."
)
@click.option(
    "--pace",
    type=click.Choice(["fast", "source"]),
    default="fast",
    show_default=True,
    help="For files: every frame, as fast as possible; or the newest frame, at the file's rate.",
)
@click.option("--frames", type=COUNT, metavar="N", help="End after N frames.")
@click.option(
    "--max-rate",
    type=RATE,
    default=0.0,
    help="Limit the rate, in frames per second.  [default: no limit]",
)
@click.option("--domain", type=DOMAIN, metavar="N", help="With --publish: the ROS domain.")
@click.option("--interface", metavar="NAME", help="With --publish: the network interface.")
@click.option(
    "--distro",
    type=click.Choice(["humble", "jazzy", "kilted", "lyrical"]),
    default="jazzy",
    show_default=True,
    help="With --publish: the ROS 2 of the graph.",
)
@prefix_option
@shrink_option
@overlay_alpha_option
@threshold_option
@effect_options
@device_option
@threads_option
@profile_option
@quiet_option
def command(*, source: str, quiet: bool, **given: Any) -> None:
    """Segment a camera, a stream or a video file.

    From a camera or a stream the newest frame is always taken, and the frames that it replaces are counted as
    dropped. Ctrl-C ends after the current frame, with everything written and exit code 0; a recording is also
    kept where the source fails. For videos of files, `fcn-edge run MODEL clip.mp4 -o out` takes many at once.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_runtime.robot.camera.run import run_camera
    from fcn_edge_runtime.robot.camera.sinks import View, WindowSink
    from fcn_edge_runtime.robot.camera.source import open_source
    from fcn_edge_runtime.robot.model import open_model
    from fcn_edge_runtime.robot.pipeline import Pipeline, PipelineOptions

    effect = _effect(given)
    shown = PipelineOptions(shrink=given["shrink"], overlay_alpha=given["overlay_alpha"])
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_source(source))
        segmenter = stack.enter_context(
            open_model(
                given["model"],
                given["device"],
                given["threads"],
                profile=given["profile"],
                threshold=given["threshold"],
            )
        )
        if effect is not None:
            effect.check(segmenter.card)
        view = View(segmenter.card, effect)
        pipeline = Pipeline(segmenter, shown)
        sinks: list[FrameSink] = [WindowSink(view)] if given["show"] else []
        sinks += _recorder(stack, opened, pipeline, view, given)
        sinks += _dds(stack, pipeline, given)
        stop_on_signals(stop)
        if not quiet:
            click.echo(f"runs on {segmenter.session.device} ({segmenter.session.why})", err=True)
        progress = stack.enter_context(progress_on_stderr(quiet=quiet))
        begin = time.perf_counter()
        ran = run_camera(
            opened,
            pipeline,
            sinks,
            stop,
            every_frame=not opened.live and given["pace"] == "fast",
            max_frames=given["frames"] or 0,
            max_rate=given["max_rate"],
            progress=progress,
        )
        seconds = time.perf_counter() - begin
        if ran.failure is not None and not ran.status.segmented:
            raise ran.failure  # within the block, so that no empty recording is left
    status = ran.status
    rate = status.segmented / max(seconds, 1e-9)
    click.echo(
        f"{status.segmented} frames in {seconds:.1f} s ({rate:.1f} a second), "
        f"p50 {status.latency_p50_ms:.1f} ms, p95 {status.latency_p95_ms:.1f} ms, "
        f"{status.dropped + status.limited} dropped, {status.refused} refused"
    )
    if ran.failure is not None:
        raise ran.failure
    if status.refused and not status.segmented:
        from fcn_edge_runtime.errors import InputError

        raise InputError(f"no frame of {source} can be segmented: {status.last_error}")


def _effect(given: dict[str, Any]) -> Effect | None:
    """The effect, if it will be seen.

    Raises:
        UsageError: options of an effect that do not fit, or nothing shows it.
    """
    from fcn_edge_runtime.errors import UsageError

    effect = effect_from(given)
    record = given["record"]
    if effect is not None and not given["show"] and not (record and _is_video(Path(record))):
        raise UsageError("--effect changes what is shown: add --show, or --record out.mp4")
    return effect


def _is_video(path: Path) -> bool:
    from fcn_edge_runtime.robot.camera.recording import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES


def _recorder(
    stack: contextlib.ExitStack, source: VideoSource, pipeline: Pipeline, view: View, given: dict[str, Any]
) -> list[FrameSink]:
    from fcn_edge_runtime.robot.camera.sinks import record_bag, record_video
    from fcn_edge_runtime.robot.topics import Topics

    if not given["record"]:
        return []
    out = Path(given["record"])
    if _is_video(out):
        return [stack.enter_context(record_video(out, source.rate, view))]
    return [stack.enter_context(record_bag(out, pipeline, Topics.below(given["prefix"])))]


def _dds(stack: contextlib.ExitStack, pipeline: Pipeline, given: dict[str, Any]) -> list[FrameSink]:
    from fcn_edge_runtime.robot.camera.sinks import DdsSink
    from fcn_edge_runtime.robot.dds.discovery import DISTROS
    from fcn_edge_runtime.robot.dds.node import open_node
    from fcn_edge_runtime.robot.dds.transport import Transport
    from fcn_edge_runtime.robot.topics import Topics

    if not given["publish"]:
        return []
    transport = Transport.from_environment(given["domain"], given["interface"])
    node = stack.enter_context(open_node(transport, DISTROS[given["distro"]], "fcn_edge_camera"))
    return [DdsSink(node, Topics.below(given["prefix"]), pipeline)]
