"""`fcn-edge package`: folders that other programs take a model from. Each subcommand is a module."""

from __future__ import annotations

import click

from fcn_edge.cli._lazy import LazyGroup
from fcn_edge.cli.options import examples

__all__ = ["SUBCOMMANDS", "command"]

SUBCOMMANDS = ("triton", "hf")


@click.group(
    name="package",
    cls=LazyGroup,
    package=__name__,
    names=SUBCOMMANDS,
    short_help="Write the folder that a server or a hub takes MODEL from.",
    epilog=examples(
        "fcn-edge package triton road.onnx --sizes 480x640 -o repository",
        "fcn-edge package hf road.onnx -o road",
    ),
)
def command() -> None:
    """Write the folder that another program takes a model from."""
