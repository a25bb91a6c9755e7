"""fcn-edge adopt: an ONNX file of another exporter becomes one verified file of ours."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from fcn_edge.cli.export_options import devices_option, naming_options, sizes_option
from fcn_edge.cli.numbers import CHANNELS, Whole
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    examples,
    json_option,
    printable,
    quiet_option,
)

__all__ = ["command"]


@click.command(
    "adopt",
    epilog=examples(
        "fcn-edge adopt their.onnx --classes city.json --normalize imagenet -o city.onnx",
        "fcn-edge adopt their.onnx --classes voc --normalize 0-1 --images frames/ -o road.onnx",
        "fcn-edge adopt their.onnx --card card.toml --output-name decoder/logits -o road.onnx",
        "fcn-edge adopt keras.onnx --classes 2 --normalize 0.5/0.5 --layout NHWC -o mask.onnx",
    ),
)
@click.argument("source", metavar="THEIR.onnx", type=FilePath(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=FilePath(path_type=Path), help="The file to write, NAME.onnx."
)
@click.option(
    "--classes",
    metavar="N|voc|cityscapes|FILE",
    help="Names and colors: a known list, a number, or a .json or .toml file.  [default: numbered]",
)
@click.option(
    "--normalize",
    metavar="imagenet|0-1|none|MEAN/STD",
    help="What was done to the pixels before they were given to the file: ImageNet's mean and std, scaled to "
    "0..1, nothing, or numbers such as 0.5/0.25. Needed, or a --card with both.",
)
@click.option("--channels", type=CHANNELS, metavar="N", help="Channels of the image.  [default: 3]")
@click.option(
    "--card",
    type=FilePath(path_type=Path),
    metavar="FILE",
    help="Name, description, license, author, classes and input (dtype, scale, mean, std), as JSON or TOML.",
)
@naming_options
@click.option("--input-name", metavar="NAME", help="Which of its inputs is the image, where it has several.")
@click.option(
    "--output-name",
    metavar="NAME",
    help="Which tensor holds the logits: an output, or any tensor inside.  [default: the only map]",
)
@click.option(
    "--layout",
    type=click.Choice(["NCHW", "NHWC"], case_sensitive=False),
    help="The axes of its image.  [default: where the channels are]",
)
@click.option(
    "--activation",
    type=click.Choice(["none", "sigmoid", "softmax"]),
    help="What it has already applied to its logits, where that is not its last operator; it is undone.",
)
@click.option(
    "--dynamic",
    is_flag=True,
    help="Make a file that is bound to one image size take any. Without it images are resized inside.",
)
@click.option(
    "--size-multiple",
    type=Whole(1, 512),
    metavar="N",
    help="Pad images to multiples of N, for a network that computes differently at others.  "
    "[default: what the network needs]",
)
@click.option("--working-size", metavar="0.5x|HxW", help="Let the network look at a smaller image.")
@click.option(
    "--outputs",
    default="labels",
    show_default=True,
    metavar="NAME,...",
    help="What the file computes: labels, confidence, probabilities, logits.",
)
@click.option(
    "--head",
    type=click.Choice(["dense", "sparse", "auto"]),
    default="dense",
    show_default=True,
    help="How labels are made of logits, see `fcn-edge export`.",
)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    help="Also compare on your own frames: a folder, file or pattern; repeatable.",
)
@sizes_option
@devices_option
@allow_operators_option
@click.option("--allow-unsimplified", is_flag=True, help="Go on with the given graph if onnxsim fails.")
@quiet_option
@json_option
def command(
    *,
    source: Path,
    output: Path,
    classes: str | None,
    normalize: str | None,
    channels: int | None,
    card: Path | None,
    input_name: str | None,
    license_: str | None,
    resolution: float | None,
    author: str | None,
    output_name: str | None,
    layout: str | None,
    activation: str | None,
    dynamic: bool,
    size_multiple: int | None,
    working_size: str | None,
    outputs: str,
    head: str,
    images: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    devices: tuple[str, ...],
    allow_unsimplified: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Turn THEIR.onnx into one file that takes images and gives labels, verified against THEIR.onnx itself.

    For networks whose PyTorch is gone: any ONNX file from opset 7 on with one image in and one score per
    class and pixel out. No PyTorch is needed. The new file holds normalization, argmax, class names and
    colors, takes images of any size, and is written only if it decides like the given one at many sizes.
    """
    from fcn_edge._extras import require_adopt

    require_adopt()
    from fcn_edge.adopted_card import card_for
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_export import AdoptOptions, adopt

    draft, origin = card_for(
        source,
        classes=classes,
        channels=channels,
        normalize=normalize,
        card=card,
        license_=license_,
        resolution=resolution,
        author=author,
    )
    options = AdoptOptions(
        outputs=tuple(name.strip() for name in outputs.split(",")),
        sizes=sizes,
        devices=devices,
        head=head,
        working_size=working_size,
        size_multiple=size_multiple,
        output_name=output_name,
        activation=activation,
        allow_unsimplified=allow_unsimplified,
        input_name=input_name,
        layout=layout,
        dynamic=dynamic,
    )
    if not as_json:
        click.echo(f"input  {draft.input.formula}   from: {printable(origin)}")
    with progress_on_stderr(quiet=quiet) as progress:
        result = adopt(source, draft, output, images=images or None, options=options, progress=progress)
    if as_json:
        paths = {"path": str(result.path), "report": str(result.report)}
        used = {"formula": draft.input.formula, "from": origin}
        click.echo(json.dumps({**asdict(result), **paths, "normalization": used}))
        return
    click.echo(f"{result.path}  {result.bytes / 1e6:.1f} MB  sha256 {result.digest}")
