"""`fcn-edge selftest`: the golden vectors of a model, on this device."""

from __future__ import annotations

import json

import click

from fcn_edge.cli.options import (
    allow_operators_option,
    device_option,
    examples,
    json_option,
    model_argument,
    trusted_keys_option,
)

__all__ = ["command"]


@click.command(
    name="selftest",
    short_help="Check on this device that MODEL labels pixels as PyTorch did.",
    epilog=examples("fcn-edge selftest road.onnx", "fcn-edge selftest road.onnx --device cuda --json"),
)
@model_argument
@device_option
@allow_operators_option
@trusted_keys_option
@json_option
def command(*, model: str, device: str, as_json: bool) -> None:
    """Check on this device, without PyTorch, that MODEL labels pixels as PyTorch did.

    The model carries test images and the labels of the reference; every pixel must be equal, except where the
    decision is too close to call. Ends with exit code 3 if one is not.
    """
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.selftest import require_passed, run_selftest
    from fcn_edge_runtime.session.session import open_session

    with ModelFile.open(model) as opened:
        session = open_session(opened, device)
        report = run_selftest(session, opened.card, opened.golden)
    if as_json:
        shown = {"model": model, "sha256": opened.digest, **session.facts()}
        click.echo(json.dumps({**shown, **report.to_dict()}))
    require_passed(report)
    if as_json:
        return
    for case in report.cases:
        batch, height, width = case.size
        total = batch * height * width
        click.echo(f"{batch}x{height}x{width}: {case.decided} of {total} pixels decided, all equal")
    click.echo(f"self-test passed on {session.device} ({session.provider}; {session.why})")
    if report.blind:
        click.echo(
            f"warning: the test sees {report.distinct} label(s): blind, many wrong models would pass",
            err=True,
        )
