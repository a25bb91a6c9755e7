"""`fcn-edge package hf`: a model in the layout of Hugging Face."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    examples,
    model_argument,
    printable,
    quiet_option,
)

__all__ = ["command"]


@click.command(
    name="hf",
    short_help="Write MODEL in the layout of Hugging Face's hub.",
    epilog=examples("fcn-edge package hf road.onnx -o road", "hf upload me/road road"),
)
@model_argument
@click.option("-o", "--out", required=True, type=FilePath(path_type=Path), metavar="DIR", help="The folder.")
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Compare the labels of onnx/model.onnx on these images, too; repeatable.",
)
@click.option("--force", is_flag=True, help="Replace a folder that is not empty.")
@quiet_option
@allow_operators_option
def command(*, model: str, out: Path, images: tuple[str, ...], force: bool, quiet: bool) -> None:
    """Write MODEL in the layout of Hugging Face: model card, classes, preprocessing, and two ONNX files.

    One is MODEL as it is; the other, onnx/model.onnx, takes what transformers' image processors give and
    returns logits, for transformers.js and optimum. Its labels are compared with MODEL's. Nothing is
    uploaded.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge.package.huggingface import package_for_huggingface

    with progress_on_stderr(quiet=quiet) as progress:
        made = package_for_huggingface(Path(model), out, images=images, force=force, progress=progress)
    ties = f", but {made.ties} at ties of two classes" if made.ties else ""
    click.echo(f"folder  {printable(str(made.folder))}  {made.bytes / 1e6:.1f} MB")
    click.echo(f"labels  all {made.pixels:,} of onnx/model.onnx are MODEL's{ties}")
    if not made.card.license:
        click.echo("note    the model states no license: write one into README.md before you publish it")
