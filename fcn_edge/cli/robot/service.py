"""`fcn-edge robot service`: the systemd unit that runs the bridge."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.numbers import DOMAIN
from fcn_edge.cli.options import FilePath, examples

__all__ = ["command"]


@click.command(
    name="service",
    short_help="Print the systemd unit that runs the bridge.",
    epilog=examples(
        "fcn-edge robot service --print --model /opt/models/road.onnx --image-topic /front/image_raw \\",
        "    | sudo tee /etc/systemd/system/fcn-edge-bridge.service",
        "sudo systemctl daemon-reload && sudo systemctl enable --now fcn-edge-bridge",
    ),
)
@click.option("--print", "shown", is_flag=True, required=True, help="Print it; nothing else is done.")
@click.option(
    "--model",
    type=FilePath(path_type=Path),
    metavar="MODEL.onnx",
    shell_complete=files,
    help="What the service runs.  [default: /opt/fcn-edge/model.onnx]",
)
@click.option("--image-topic", metavar="TOPIC", help="The images.  [default: /camera/image_raw]")
@click.option("--domain", type=DOMAIN, metavar="N", help="The ROS domain.  [default: 0]")
def command(*, shown: bool, model: Path | None, image_topic: str | None, domain: int | None) -> None:
    """Print the systemd unit that runs `fcn-edge robot bridge` of this installation as a service."""
    from fcn_edge.service import bridge_unit

    del shown
    unit = bridge_unit(model, image_topic, domain)
    click.echo(unit.text, nl=False)
    for words in unit.warnings:
        click.echo(f"warning: {words}", err=True)
