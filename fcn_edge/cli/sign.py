"""`fcn-edge sign`: a signature beside a model."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.options import FilePath, examples, model_argument, printable

__all__ = ["command"]


@click.command(
    name="sign",
    short_help="Sign MODEL, so that machines open only what you made.",
    epilog=examples(
        "openssl ecparam -name prime256v1 -genkey -noout -out private.pem",
        "openssl ec -in private.pem -pubout -out public.pem",
        "fcn-edge sign road.onnx --key private.pem",
        "fcn-edge robot bridge --model road.onnx --trusted-keys public.pem ...",
    ),
)
@model_argument
@click.option(
    "--key",
    required=True,
    type=FilePath(exists=True, dir_okay=False, path_type=Path),
    metavar="PRIVATE.pem",
    shell_complete=files,
    help="The private key, on the curve P-256, P-384 or P-521. Keep it off the machines that run MODEL.",
)
@click.option("--ask-password", is_flag=True, help="Ask for the password of the key.")
def command(*, model: str, key: Path, ask_password: bool) -> None:
    """Write MODEL.sig beside MODEL: who made it, in the format of OpenSSF Model Signing (extra `sign`).

    The signature holds for these bytes, whatever the name of the file. It is made and checked by the package
    model-signing, whose own command line verifies it, too.
    """
    from fcn_edge_runtime._files import write_whole
    from fcn_edge_runtime.model.file import ModelFile
    from fcn_edge_runtime.model.signature import SUFFIX, signature_of

    password = click.prompt("password of the key", hide_input=True, err=True) if ask_password else None
    with ModelFile.open(model, trusted_keys=()) as opened:
        signature = signature_of(opened, key, password)
    place = Path(f"{model}{SUFFIX}")
    write_whole(place, signature)
    click.echo(f"signed {printable(model)}, sha256 {opened.digest}")
    click.echo(f"wrote {printable(str(place))}", err=True)
