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
    decision is too close to call. Ends with exit code 3 if one is not. With --device auto, a device that
    fails is passed over, as `run` does, and the last line names the one that `run` uses.
    """
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.selftest import require_passed
    from fcn_edge_runtime.trusted_session import self_tests

    with ModelFile.open(model) as opened:
        *failed, (session, report) = self_tests(opened, device)
    if as_json:
        shown = {"model": model, "sha256": opened.digest, **session.facts()}
        passed_over = [{**its.facts(), **found.to_dict()} for its, found in failed]
        click.echo(json.dumps({**shown, **report.to_dict(), "passed_over": passed_over}))
    require_passed(report)
    if as_json:
        return
    for its, found in failed:
        wrong, decided = (sum(getattr(case, each) for case in found.cases) for each in ("wrong", "decided"))
        click.echo(
            f"self-test failed on {its.device} ({its.why}): {wrong} of {decided} decided pixels differ; "
            "passed over"
        )
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
