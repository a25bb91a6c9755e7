"""`fcn-edge doctor`: what this machine can run, and why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from fcn_edge.cli.options import examples, json_option

if TYPE_CHECKING:
    from fcn_edge_runtime.doctor import Diagnosis

__all__ = ["command"]


@click.command(
    name="doctor",
    short_help="Show what this machine can run, and why not.",
    epilog=examples("fcn-edge doctor"),
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool) -> None:
    """Show what this machine can run: versions, extras, and which providers start.

    Ends with exit code 4 if no provider works, and 0 otherwise.
    """
    from fcn_edge_runtime.doctor import diagnose

    report = diagnose()
    if as_json:
        click.echo(json.dumps(report.to_dict()))
    else:
        _show(report)
    if not report.can_run:
        from fcn_edge_runtime.errors import ProviderError

        ctx.exit(ProviderError.exit_code)


def _show(report: Diagnosis) -> None:
    for name, text in report.system.items():
        click.echo(f"{name:<16}{text}")
    for name, number in report.packages.items():
        click.echo(f"{name:<16}{number or 'not installed'}")
    click.echo()
    if report.onnxruntime_error:
        click.echo(f"no device: {report.onnxruntime_error}")
    for state in report.providers:
        if state.built_in:
            click.echo(f"device {state.device:<9}{'starts' if state.starts else state.why}")
    for state in report.providers:
        # What most people look for; the other absent ones are in --json.
        if not state.built_in and state.device in {"cuda", "tensorrt", "openvino"}:
            click.echo(f"device {state.device:<9}{state.why}")
    click.echo()
    _show_extras(report)
    for warning in report.warnings:
        click.echo(f"warning: {warning}")


def _show_extras(report: Diagnosis) -> None:
    from fcn_edge_runtime._extras import EXTRAS
    from fcn_edge_runtime.doctor import install_here

    for extra, missing in report.extras.items():
        brings = ", ".join(EXTRAS[extra].values())
        text = f"there ({brings})" if not missing else f"lacks {', '.join(missing)}: {install_here(extra)}"
        if missing and extra in ("cuda", "openvino"):
            text += ", in an environment without another onnxruntime"
        click.echo(f"extra {extra:<10}{text}")
