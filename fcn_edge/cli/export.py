"""fcn-edge export: a PyTorch FCN becomes one verified ONNX file."""

from __future__ import annotations

import gc
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files, items, networks
from fcn_edge.cli.export_options import (
    devices_option,
    naming_options,
    net_options,
    normalize_option,
    sizes_option,
)
from fcn_edge.cli.label_options import label_folder, label_options
from fcn_edge.cli.numbers import PROBABILITY, Whole
from fcn_edge.cli.options import (
    FilePath,
    SizeType,
    allow_operators_option,
    examples,
    json_option,
    printable,
    quiet_option,
)

if TYPE_CHECKING:
    from fcn_edge_export import ExportResult
    from fcn_edge_export.lowering.lower import LoweringResult

__all__ = ["command"]


@click.command(
    "export",
    epilog=examples(
        "fcn-edge export fcn_resnet50 --weights fcn_resnet50_coco-1167a1af.pth --classes voc -o r50.onnx",
        "fcn-edge export fcn_resnet18 --set output_stride=8 --weights random:0 --classes 5 -o r18.onnx",
        "fcn-edge export ./mynet.py:build --weights my.pth --classes names.json --normalize 0-1 -o my.onnx",
        "fcn-edge export hf:./my-segformer -o city.onnx",
        "fcn-edge export corridor --precision int8 --calibration frames/ -o corridor.int8.onnx",
        "fcn-edge export corridor --working-size 0.5x -o corridor.half.onnx",
        "fcn-edge export fcn_tiny --channels 1 --weights tiny.pth --outputs labels,confidence -o tiny.onnx",
    ),
)
@click.argument("net", type=FilePath(), shell_complete=networks)
@click.option(
    "-o", "--output", required=True, type=FilePath(path_type=Path), help="The file to write, NAME.onnx."
)
@net_options
@naming_options
@normalize_option
@click.option(
    "--outputs",
    metavar="NAME,...",
    shell_complete=items("labels", "confidence", "probabilities", "logits"),
    help="What the file computes: labels, confidence, probabilities, logits.  "
    "[default: labels, or what the recipe says]",
)
@click.option(
    "--reject",
    type=PROBABILITY,
    metavar="P",
    help="Leave pixels whose confidence is below P unlabeled (255), inside the file.",
)
@sizes_option
@devices_option
@click.option(
    "--head",
    type=click.Choice(["dense", "sparse", "auto"]),
    default="dense",
    show_default=True,
    help="How labels are made of logits: sparse upsamples only where classes meet, exact and cheaper on a "
    "CPU where they are large; auto takes the faster one on --images.",
)
@click.option(
    "--output-name",
    metavar="NAME",
    help="Which of the network's outputs holds the logits, where it returns several: 0, out, aux.1 ...",
)
@click.option(
    "--activation",
    type=click.Choice(["none", "sigmoid", "softmax", "argmax"]),
    help="What the network has already applied to its logits; it is undone. argmax: as --take-labels.  "
    "[default: refuse if there seems to be one]",
)
@click.option(
    "--inputs",
    metavar="NAME:CHANNELS,...",
    help="The inputs of a network that has several, such as rgb:3,depth:1: the image's channels are theirs "
    "side by side, and the file splits them.",
)
@click.option(
    "--take-labels",
    is_flag=True,
    help="Take a network that returns class ids instead of scores: the file gives its labels alone.",
)
@click.option(
    "--border",
    type=click.Choice(["reflect", "edge", "unlabeled"]),
    help="For a network whose convolutions do not pad: pad images so that all of it is labeled, or leave the "
    "border that it does not cover unlabeled (255).",
)
@click.option(
    "--smallest",
    type=SizeType(),
    metavar="HxW",
    help="Images at least this large.  [default: what the network needs]",
)
@click.option(
    "--working-size",
    metavar="0.5x|HxW|auto",
    help="Let the network look at a smaller image: a fraction of it, or a size for all. The file resizes "
    "with antialiasing, and its labels have the image's own size. auto: the one size that it accepts.",
)
@click.option(
    "--size-multiple",
    type=Whole(1, 512),
    metavar="N",
    help="Pad images to multiples of N, for a network that computes differently at others.  "
    "[default: what the network needs]",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    show_default=True,
    help="int8 is calibrated on --calibration, as `fcn-edge quantize` does with its defaults; fp16 is for "
    "GPUs, and verified on --images.",
)
@click.option(
    "--calibration",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Images to calibrate --precision int8 on; repeatable.",
)
@click.option(
    "--labels",
    type=FilePath(path_type=Path),
    metavar="DIR",
    shell_complete=files,
    help="True labels of --images, for int8 or fp16: mean IoU may fall by at most half a point.",
)
@label_options
@click.option("--allow-unsimplified", is_flag=True, help="Go on with the traced graph if onnxsim fails.")
@click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that came with a network of hf:, as yourself."
)
@quiet_option
@allow_operators_option
@json_option
def command(
    *,
    net: str,
    output: Path,
    weights: str | None,
    sha256: str | None,
    classes: str | None,
    channels: int | None,
    settings: tuple[str, ...],
    card: Path | None,
    images: tuple[str, ...],
    license_: str | None,
    author: str | None,
    resolution: float | None,
    normalize: str | None,
    outputs: str | None,
    reject: float | None,
    sizes: tuple[tuple[int, int], ...],
    devices: tuple[str, ...],
    head: str,
    output_name: str | None,
    activation: str | None,
    inputs: str | None,
    take_labels: bool,
    border: str | None,
    smallest: tuple[int, int] | None,
    working_size: str | None,
    size_multiple: int | None,
    precision: str,
    calibration: tuple[str, ...],
    labels: Path | None,
    allow_unsimplified: bool,
    trust_remote_code: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Turn NET into one ONNX file that is verified to label images as PyTorch does.

    NET is a name from `fcn-edge nets`, package.module:callable, path/to/file.py:callable, or hf:FOLDER, which
    Hugging Face's save_pretrained wrote, with its classes and normalization; hf:OWNER/NAME is fetched.
    smp:FOLDER is the same of segmentation_models_pytorch, monai:FOLDER a bundle of MONAI. The file takes
    images of any size, holds normalization, argmax, class names and colors, and is written only if it agrees
    with PyTorch at many sizes. NAME.verification.json beside it lists what was compared.
    """
    # Loading torch and tracing make a million objects that stay: looking for garbage took two seconds.
    gc.set_threshold(100_000, 20, 20)
    from fcn_edge._extras import require_export

    require_export()
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge.nets import parse_settings
    from fcn_edge.workflows import Precision, Request, export_lowered, export_network, plan_export
    from fcn_edge_export import ExportOptions
    from fcn_edge_export.options import parse_inputs

    split = parse_inputs(inputs or "")
    request = Request(
        net,
        weights,
        classes,
        channels or (sum(count for _, count in split) or None),
        parse_settings(settings),
        card,
        images,
        normalize,
        sha256=sha256,
        trust_remote_code=trust_remote_code,
        license=license_,
        author=author,
        resolution=resolution,
    )
    lowered = Precision(precision, calibration, label_folder(labels, given))
    lowered.check(images)
    options = ExportOptions(
        outputs=tuple(name.strip() for name in ("labels" if outputs is None else outputs).split(",")),
        sizes=sizes,
        devices=devices,
        reject=reject,
        head=head,
        working_size=working_size,
        size_multiple=size_multiple,
        output_name=output_name,
        activation="argmax" if take_labels else activation,
        smallest=smallest,
        border=border,
        inputs=split,
        allow_unsimplified=allow_unsimplified,
    )
    plan = plan_export(request)
    if outputs is None and not take_labels:
        options = replace(options, outputs=plan.outputs)
    spec, source = plan.card.input, plan.source
    if not as_json:
        click.echo(f"input  {spec.formula}   from: {printable(source)}")
    for note in plan.notes:
        click.echo(f"note: {printable(note)}", err=True)
    result: ExportResult | LoweringResult
    with progress_on_stderr(quiet=quiet) as progress:
        if precision == "fp32":
            result = export_network(plan, output, options=options, progress=progress)
        else:
            result = export_lowered(plan, output, precision=lowered, options=options, progress=progress)
    for name, words in getattr(result, "warnings", ()):
        click.echo(f"warning: {name}: {printable(words)}", err=True)
    if as_json:
        paths = {"path": str(result.path), "report": str(result.report)}
        used = {"formula": spec.formula, "from": source}
        click.echo(json.dumps({**asdict(result), **paths, "normalization": used}))
        return
    click.echo(f"{result.path}  {result.bytes / 1e6:.1f} MB  sha256 {result.digest}")
