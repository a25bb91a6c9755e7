"""fcn-edge quantize: a verified float model becomes one of integers, faster, or one of small weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fcn_edge.cli.completion import files
from fcn_edge.cli.label_options import label_folder, label_options
from fcn_edge.cli.numbers import Real
from fcn_edge.cli.options import (
    FilePath,
    allow_operators_option,
    examples,
    json_option,
    printable,
    quiet_option,
)

if TYPE_CHECKING:
    from fcn_edge_export import LoweringResult

__all__ = ["command"]


@click.command(
    "quantize",
    epilog=examples(
        "fcn-edge quantize corridor.onnx --calibration frames/ -o corridor.int8.onnx",
        "fcn-edge quantize road.onnx --calibration frames/ --method percentile --agreement 0.995 -o r8.onnx",
        "fcn-edge quantize road.onnx --calibration train/ --images val/images --labels val/labels -o r8.onnx",
        "fcn-edge quantize road.onnx --calibration frames/ --target arm64 -o road.arm64.onnx",
        "fcn-edge quantize road.onnx --weights-only --images frames/ -o road.small.onnx",
    ),
)
@click.argument("model", metavar="MODEL.onnx", type=FilePath(path_type=Path))
@click.option(
    "--calibration",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Images like those the model will see, a few dozen; repeatable. Every 4th is held out to verify "
    "on, unless --images are given.",
)
@click.option(
    "-o", "--output", required=True, type=FilePath(path_type=Path), help="The file to write, NAME.onnx."
)
@click.option(
    "--weights-only",
    is_flag=True,
    help="Store the weights in 8 bits and compute in float: a quarter of the size, as fast as MODEL. "
    "Nothing is calibrated; without --images it is verified on the self-test's patterns.",
)
@click.option(
    "--target",
    type=click.Choice(["x86-vnni", "x86", "arm64", "gpu"]),
    help="The machine it is for; speed is measured only for this one.  [default: this machine]",
)
@click.option(
    "--method",
    type=click.Choice(["minmax", "percentile", "entropy", "error"]),
    help="How ranges of activations are chosen.  [default: error]",
)
@click.option(
    "--agreement",
    type=Real(0, 1, above=True),
    default=0.99,
    show_default=True,
    metavar="SHARE",
    help="Share of the labels that must equal the float model's. Layers are kept in float until it holds.",
)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=FilePath(),
    shell_complete=files,
    help="Verify on these images, none of them calibrated on; repeatable.",
)
@click.option(
    "--labels",
    type=FilePath(path_type=Path),
    metavar="DIR",
    shell_complete=files,
    help="True labels of --images: mean IoU may fall by half a point.",
)
@label_options
@click.option("--allow-slower", is_flag=True, help="Write the file even if it is not faster here.")
@click.option(
    "--allow-mostly-float",
    is_flag=True,
    help="Write the file even if less than half of the work is in integers.",
)
@quiet_option
@allow_operators_option
@json_option
def command(
    *,
    model: Path,
    calibration: tuple[str, ...],
    output: Path,
    weights_only: bool,
    target: str | None,
    method: str | None,
    agreement: float,
    images: tuple[str, ...],
    labels: Path | None,
    allow_slower: bool,
    allow_mostly_float: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Turn MODEL, a verified float file, into one of integers, or one of small weights. No PyTorch is needed.

    Products with weights (convolutions, and the matrix products of transformers), additions, pools and
    concatenations are computed in integers; attention, normalization of tokens, the classifier and everything
    behind it in float. Where the image is of bytes, the first convolution takes them as they are. The file is
    written only if its labels agree with MODEL's on images that were not calibrated on, if at least half of
    the work is in integers, and if it is faster here. Exits with 3 if not.
    """
    from fcn_edge.cli.progress import progress_on_stderr
    from fcn_edge_export import QuantizeOptions, WeightsOptions, quantize, quantize_weights

    for_integers = {
        "--calibration": calibration,
        "--target": target,
        "--method": method,
        "--allow-slower": allow_slower,
        "--allow-mostly-float": allow_mostly_float,
    }
    _check_fits([name for name, value in for_integers.items() if value], weights_only=weights_only)
    truth = label_folder(labels, given)
    with progress_on_stderr(quiet=quiet) as progress:
        if weights_only:
            result = quantize_weights(
                model,
                output,
                images or None,
                labels=truth,
                options=WeightsOptions(agreement),
                progress=progress,
            )
        else:
            result = quantize(
                model,
                output,
                calibration,
                images=images or None,
                labels=truth,
                options=QuantizeOptions(
                    target, method or "error", agreement, allow_slower, allow_mostly_float
                ),
                progress=progress,
            )
    for name, words in result.warnings:
        click.echo(f"warning: {name}: {printable(words)}", err=True)
    if as_json:
        click.echo(json.dumps({**asdict(result), "path": str(result.path), "report": str(result.report)}))
        return
    for layer in result.kept_in_float:
        click.echo(f"in float  {printable(layer.name)}  damage {layer.damage:.2g}")
    for name in result.float_products:
        click.echo(f"in float  {printable(name)}  kept in float by onnxruntime")
    click.echo(
        f"{result.path}  {result.bytes / 1e6:.1f} MB  {100 * result.agreement:.3f} % of the labels equal, "
        f"{_gain(result, model)}  sha256 {result.digest}"
    )


def _check_fits(for_integers: list[str], *, weights_only: bool) -> None:
    """Raise unless the options, those given that integers alone have, fit each other."""
    from fcn_edge_runtime.errors import UsageError

    if weights_only and for_integers:
        fix = "give --images DIR to verify on" if "--calibration" in for_integers else "leave it out"
        raise UsageError(
            f"--weights-only computes in float and calibrates nothing, {for_integers[0]} is for integers: "
            f"{fix}"
        )
    if not weights_only and "--calibration" not in for_integers:
        raise UsageError(
            "got no images to calibrate on: give --calibration DIR, or --weights-only, which needs none"
        )


def _gain(result: LoweringResult, parent: Path) -> str:
    if result.integer_share is None:
        return f"{100 * result.bytes / parent.stat().st_size:.0f} % of the parent's size"
    speed = "speed unmeasured" if result.speed is None else f"{1 / result.speed.ratio:.2f} times as fast"
    return f"{100 * result.integer_share:.1f} % of the work in integers, {speed}"
