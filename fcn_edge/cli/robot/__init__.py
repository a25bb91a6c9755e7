"""`fcn-edge robot`: bags, ROS 2 topics, cameras. Each subcommand is a module."""

from __future__ import annotations

import click

from fcn_edge.cli._lazy import LazyGroup
from fcn_edge.cli.options import examples

__all__ = ["command"]

SUBCOMMANDS = ("bag", "bridge", "camera", "doctor", "service")


@click.group(
    name="robot",
    cls=LazyGroup,
    package=__name__,
    names=SUBCOMMANDS,
    epilog=examples(
        "fcn-edge robot bag run.mcap --model road.onnx --image-topic /camera/image_raw -o segmented.mcap",
        "fcn-edge robot bridge --image-topic /camera/image_raw --model road.onnx",
        "fcn-edge robot camera drive.mp4 --model road.onnx --record overlay.mp4",
    ),
)
def command() -> None:
    """Segment what robots see: recorded bags, a ROS 2 graph, a camera."""
