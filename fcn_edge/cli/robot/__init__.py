"""`fcn-edge robot`: bags, the ROS 2 wire, cameras. Each subcommand lives in a module of its own."""

from __future__ import annotations

from importlib import import_module

import click

from fcn_edge.cli.options import examples

__all__ = ["command"]

SUBCOMMANDS = ("bag", "bridge", "camera", "doctor")


class _LazyGroup(click.Group):
    """Subcommands imported on demand, listed in the order of a first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in SUBCOMMANDS:
            return None
        command = import_module(f"fcn_edge.cli.robot.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, not of the user
        return command


@click.group(
    name="robot",
    cls=_LazyGroup,
    epilog=examples(
        "fcn-edge robot bag run.mcap --model road.onnx --image-topic /camera/image_raw -o segmented.mcap",
        "fcn-edge robot bridge --image-topic /camera/image_raw --model road.onnx",
        "fcn-edge robot camera drive.mp4 --model road.onnx --record overlay.mp4",
    ),
)
def command() -> None:
    """Segment what robots see: recorded bags, a ROS 2 graph, a camera."""
