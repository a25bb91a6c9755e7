"""`fcn-edge verify-signature`: whether a trusted key signed a model."""

from __future__ import annotations

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.options import FilePath, examples, model_argument, printable

__all__ = ["command"]


@click.command(
    name="verify-signature",
    short_help="Check that a trusted key signed MODEL.",
    epilog=examples("fcn-edge verify-signature road.onnx --trusted-keys public.pem"),
)
@model_argument
@click.option(
    "--trusted-keys",
    "keys",
    required=True,
    multiple=True,
    type=FilePath(exists=True, dir_okay=False),
    metavar="PUBLIC.pem",
    shell_complete=files,
    help="A public key; repeatable, one of them is enough.",
)
def command(*, model: str, keys: tuple[str, ...]) -> None:
    """Check MODEL.sig: exit code 3 if it is missing, or by none of the keys, or of another file.

    MODEL is opened and checked as everywhere, and not run. Commands that run it take `--trusted-keys`, too.
    """
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.model.signature import require_signature

    with ModelFile.open(model, trusted_keys=()) as opened:
        key = require_signature(opened.path, opened.digest, keys)
    click.echo(f"signed by {printable(str(key))}, sha256 {opened.digest}")
