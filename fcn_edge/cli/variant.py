"""fcn-edge variant: a verified file in the layout of another program, every label the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from fcn_edge.cli.completion import files, words
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    examples,
    json_option,
    printable,
    quiet_option,
)

__all__ = ["NAMES", "command"]

NAMES = ("deepness", "isaac", "model-api", "luxonis", "static", "logits")  # a test compares them


@click.command(
    "variant",
    short_help="Write MODEL in the layout of another program, with the same labels.",
    epilog=examples(
        "fcn-edge variant landcover.onnx --for deepness:512x512 --images tiles/ -o landcover.deepness.onnx",
        "fcn-edge variant corridor.onnx --for isaac:480x640 -o corridor.isaac.onnx",
        "fcn-edge variant corridor.onnx --for model-api -o corridor.model-api.onnx",
        "fcn-edge variant corridor.onnx --for luxonis:240x320 -o corridor.tar.xz",
        "fcn-edge variant corridor.onnx --for static:480x640 -o corridor.480x640.onnx",
        "fcn-edge variant corridor.onnx --for logits -o corridor.logits.onnx",
    ),
)
@click.argument("model", metavar="MODEL.onnx", type=FilePath(path_type=Path), shell_complete=files)
@click.option(
    "--for",
    "target",
    required=True,
    metavar="TARGET[:HxW]",
    shell_complete=words(*NAMES),
    help="deepness: the QGIS plugin, squares of 512 unless said otherwise. isaac: Isaac ROS. model-api: "
    "OpenVINO's Model API. luxonis: an NN Archive. static: fixed shapes, for NPUs and compilers. logits: the "
    "plain network, floats in, logits out. isaac, luxonis and static need a size, such as static:480x640.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=FilePath(path_type=Path),
    help="The file to write, NAME.onnx; for luxonis NAME.tar.xz.",
)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Compare the labels on these images, too, stretched to HxW where there is one; repeatable.",
)
@quiet_option
@allow_operators_option
@json_option
def command(
    *, model: Path, target: str, output: Path, images: tuple[str, ...], quiet: bool, as_json: bool
) -> None:
    """Write MODEL, a verified file, in the layout of another program.

    The variant is written only if it gives MODEL's labels, at every pixel of computed images and of --images.
    What the other program must do itself is printed. fcn-edge runs MODEL, not its variants. Exits with 3 if
    labels differ.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_export import variant

    with progress_on_stderr(quiet=quiet) as progress:
        made = variant(model, output, target, images=images or None, progress=progress)
    if as_json:
        click.echo(json.dumps({**asdict(made), "path": str(made.path), "report": str(made.report)}))
        return
    ties = f", but {made.ties} at ties of two classes" if made.ties else ""
    rows = [
        ("file", f"{made.path}  {made.bytes / 1e6:.1f} MB  sha256 {made.digest}"),
        ("takes", f"{made.takes}  (MODEL: {made.parent_takes})"),
        ("gives", f"{'; '.join(made.gives)}  (MODEL: {'; '.join(made.parent_gives)})"),
        ("labels", f"all {made.pixels:,} of {made.inputs} images are MODEL's{ties}"),
        *(("note" if number == 0 else "", duty) for number, duty in enumerate(made.duties)),
    ]
    for name, text in rows:
        click.echo(f"{name:6}  {printable(text)}")
    if made.blind:
        click.echo("warning: only one label occurred, which compares little: give --images", err=True)
