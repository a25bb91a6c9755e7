"""fcn-edge verify: the verdict for an existing file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from fcn_edge.cli.completion import networks
from fcn_edge.cli.export_options import devices_option, net_options, sizes_option
from fcn_edge.cli.options import FilePath, allow_operators_option, examples, json_option, quiet_option

__all__ = ["command"]


@click.command(
    "verify",
    epilog=examples(
        "fcn-edge verify r50.onnx fcn_resnet50 --weights fcn_resnet50_coco-1167a1af.pth --classes voc",
        "fcn-edge verify my.onnx ./mynet.py:build --weights my.safetensors --images frames/",
        "fcn-edge verify edited.onnx fcn_tiny --weights tiny.pth --reseal",
    ),
)
@click.argument("model", type=FilePath(path_type=Path))
@click.argument("net", type=FilePath(), shell_complete=networks)
@net_options
@sizes_option
@devices_option
@click.option(
    "--reseal", is_flag=True, help="Accept a file that was changed after export; seal it again if it passes."
)
@quiet_option
@allow_operators_option
@json_option
def command(
    *,
    model: Path,
    net: str,
    weights: str | None,
    sha256: str | None,
    classes: str | None,
    channels: int | None,
    settings: tuple[str, ...],
    card: Path | None,
    images: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    devices: tuple[str, ...],
    reseal: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Compare MODEL, an existing file, with NET and its weights in PyTorch.

    Writes a new NAME.verification.json. Exits with 3 if the file does not decide like PyTorch. With
    --images it is compared on your own frames, too.
    """
    from fcn_edge._extras import require_export

    require_export()
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge.nets import parse_settings
    from fcn_edge.workflows import Request, verify_network
    from fcn_edge_export import VerifyOptions

    request = Request(net, weights, classes, channels, parse_settings(settings), card, images, sha256=sha256)
    with progress_on_stderr(quiet=quiet) as progress:
        result = verify_network(
            request, model, options=VerifyOptions(sizes, devices, reseal), progress=progress
        )
    if as_json:
        click.echo(json.dumps({**asdict(result), "path": str(result.path), "report": str(result.report)}))
        return
    if not result.same_weights:
        click.echo(
            "note: the card names other weights than these (or none), although the labels agree", err=True
        )
    click.echo(f"{result.path}  verified  sha256 {result.digest}")
