"""`fcn-edge robot doctor`: checks whether this machine is ready for robots."""

from __future__ import annotations

import json

import click

from fcn_edge.cli.options import examples, json_option

__all__ = ["command"]


@click.command(name="doctor", epilog=examples("fcn-edge robot doctor"))
@json_option
def command(*, as_json: bool) -> None:
    """Check packages, kernel buffers and DDS settings, and show what to do about problems."""
    from fcn_edge_runtime.robot.doctor import robot_checks

    checks = robot_checks()
    if as_json:
        click.echo(json.dumps({"checks": [check.to_dict() for check in checks]}))
        return
    for check in checks:
        mark = {True: "ok", False: "--", None: "  "}[check.ok]
        click.echo(f"{mark:<3} {check.name:<30}{check.found}" + (f": {check.fix}" if check.fix else ""))
    click.echo(
        "\nThe bridge talks to ROS 2 over DDS but is not a ROS node: no parameters, no services. For DDS:\n"
        "  same --domain on both sides (ROS_DOMAIN_ID), and no firewall for UDP 7400 to 7400 + 250 * domain\n"
        "  where multicast is blocked (Wi-Fi, containers): --peer ADDRESS here, and peers on the other side\n"
        "  several network cards: --interface NAME; only this machine: --interface lo"
    )
