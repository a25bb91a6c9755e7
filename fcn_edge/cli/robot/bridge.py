"""`fcn-edge robot bridge`: joins a ROS 2 graph on a machine without ROS."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.interrupts import stop_on_signals
from fcn_edge.cli.numbers import DOMAIN, POSITIVE_SECONDS, RATE, SECONDS
from fcn_edge.cli.options import (
    device_option,
    examples,
    printable,
    profile_option,
    quiet_option,
    threads_option,
    threshold_option,
)
from fcn_edge.cli.robot.options import model_option, overlay_alpha_option, prefix_option, shrink_option

if TYPE_CHECKING:
    from fcn_edge_runtime.robot.diagnostics import Diagnostic

__all__ = ["command"]

REPORT_SECONDS = 5.0


@click.command(
    name="bridge",
    epilog=examples(
        "fcn-edge robot bridge --image-topic /camera/image_raw --model road.onnx",
        "fcn-edge robot bridge --image-topic /front/compressed --compressed --model road.onnx --domain 7",
        "fcn-edge robot bridge --image-topic /front --model road.onnx --interface eth0 --distro humble",
    ),
)
@model_option
@click.option("--image-topic", required=True, metavar="TOPIC", help="The images, such as /camera/image_raw.")
@click.option("--compressed", is_flag=True, help="The topic has CompressedImage (JPEG or PNG).")
@click.option(
    "--input-reliability",
    type=click.Choice(["best_effort", "reliable"]),
    default="best_effort",
    show_default=True,
    help="best_effort matches every publisher, reliable only reliable ones.",
)
@click.option("--domain", type=DOMAIN, metavar="N", help="The ROS domain.  [default: ROS_DOMAIN_ID, else 0]")
@click.option(
    "--distro",
    type=click.Choice(["humble", "jazzy", "kilted", "lyrical"]),
    default="jazzy",
    show_default=True,
    help="The ROS 2 distribution of the graph: nodes are announced differently.",
)
@click.option("--interface", metavar="NAME", help="Network interface; lo: this machine only.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="ADDRESS",
    help="Contact this address directly; may be repeated.",
)
@click.option("--node-name", default="fcn_edge_bridge", show_default=True, metavar="NAME")
@prefix_option
@shrink_option
@overlay_alpha_option
@threshold_option
@click.option(
    "--max-frame-age",
    type=SECONDS,
    default=0.0,
    help="Drop frames older than this, in seconds.  [default: no limit]",
)
@click.option(
    "--max-rate",
    type=RATE,
    default=0.0,
    help="Limit the rate, in frames per second.  [default: no limit]",
)
@click.option(
    "--frame-deadline",
    type=POSITIVE_SECONDS,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="End with exit code 4 if one frame takes longer: its decoder or the device hangs.",
)
@device_option
@threads_option
@profile_option
@quiet_option
def command(*, quiet: bool, **given: Any) -> None:
    """Segment the images of a ROS 2 graph, without ROS on this machine.

    Subscribes to TOPIC and publishes mask, confidence (if the model has it), overlay and label_info below
    --prefix, each with the header of its image. It talks to ROS 2 over DDS and is not a full ROS node: it has
    no parameters and no services. It shows up in `ros2 node list` and `ros2 topic info`. Ctrl-C or SIGTERM
    ends it within two seconds, whatever the current frame takes.
    """
    from fcn_edge_runtime.robot.dds.bridge import Bridge, BridgeOptions, run_bridge
    from fcn_edge_runtime.robot.dds.discovery import DISTROS
    from fcn_edge_runtime.robot.dds.node import import_cyclonedds, open_node
    from fcn_edge_runtime.robot.dds.transport import Transport
    from fcn_edge_runtime.robot.model import open_model
    from fcn_edge_runtime.robot.pipeline import Pipeline, PipelineOptions
    from fcn_edge_runtime.robot.topics import full_name, node_name
    from fcn_edge_runtime.robot.worker import Limits

    import_cyclonedds()  # reported before a model is loaded
    transport = Transport.from_environment(given["domain"], given["interface"], given["peers"])
    name = node_name(given["node_name"])
    options = BridgeOptions(
        image_topic=full_name(given["image_topic"]),
        compressed=given["compressed"],
        reliable=given["input_reliability"] == "reliable",
        prefix=given["prefix"],
        limits=Limits(given["max_frame_age"], given["max_rate"]),
        frame_deadline=given["frame_deadline"],
    )
    shown = PipelineOptions(shrink=given["shrink"], overlay_alpha=given["overlay_alpha"])
    stop = threading.Event()
    with (
        open_model(
            given["model"],
            given["device"],
            given["threads"],
            profile=given["profile"],
            threshold=given["threshold"],
        ) as segmenter,
        open_node(transport, DISTROS[given["distro"]], name) as node,
    ):
        bridge = Bridge(node, Pipeline(segmenter, shown), options)
        stop_on_signals(stop)
        if not quiet:
            click.echo(
                f"domain {transport.domain}, {given['distro']}: {bridge.topic} ({bridge.qos}) -> "
                f"{bridge.topics.mask} on {segmenter.session.device} ({segmenter.session.why})",
                err=True,
            )
        run_bridge(bridge, stop, _quiet if quiet else _report, REPORT_SECONDS)
        status = bridge.worker.status()
    click.echo(
        f"{status.segmented} of {status.received} frames segmented, {status.dropped} dropped for newer ones, "
        f"{status.refused} refused, p50 {status.latency_p50_ms:.1f} ms, p95 {status.latency_p95_ms:.1f} ms"
    )


def _report(report: Diagnostic) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more: masks are published all the same
        click.echo(f"{('ok', 'warning', 'error')[report.level]}: {printable(report.message)}", err=True)


def _quiet(report: Diagnostic) -> None:
    if report.level:
        _report(report)
