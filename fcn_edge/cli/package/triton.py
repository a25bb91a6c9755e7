"""`fcn-edge package triton`: a model in a repository of NVIDIA's Triton."""

from __future__ import annotations

from pathlib import Path

import click

from fcn_edge.cli.numbers import Whole
from fcn_edge.cli.options import (
    FilePath,
    SizesType,
    allow_operators_option,
    examples,
    model_argument,
    printable,
)

__all__ = ["command"]


@click.command(
    name="triton",
    short_help="Write MODEL into a repository of NVIDIA's Triton.",
    epilog=examples(
        "fcn-edge package triton road.onnx -o repository",
        "fcn-edge package triton road.onnx --sizes 480x640,720x1280 --max-batch 4 -o repository",
        "tritonserver --model-repository=repository",
    ),
)
@model_argument
@click.option(
    "-o",
    "--out",
    required=True,
    type=FilePath(path_type=Path),
    metavar="DIR",
    help="The repository; other models in it stay.",
)
@click.option("--name", metavar="NAME", help="Of the model in requests.  [default: the file's]")
@click.option(
    "--sizes",
    type=SizesType(),
    default=(),
    metavar="HxW,...",
    help="Run by TensorRT, with engines for sizes between these; the usual one first.  "
    "[default: onnxruntime on the CPU or by CUDA, any size]",
)
@click.option("--fp16", is_flag=True, help="Let TensorRT compute in half precision: it changes some labels.")
@click.option(
    "--max-batch",
    "batch",
    type=Whole(1, 1024),
    default=8,
    show_default=True,
    help="Images together.",
)
@click.option(
    "--delay",
    type=Whole(0, 10_000_000),
    default=2000,
    show_default=True,
    metavar="MICROSECONDS",
    help="How long an image waits for others of its size.",
)
@click.option("--force", is_flag=True, help="Replace a model of that name.")
@allow_operators_option
def command(
    *,
    model: str,
    out: Path,
    name: str | None,
    sizes: tuple[tuple[int, int], ...],
    fp16: bool,
    batch: int,
    delay: int,
    force: bool,
) -> None:
    """Write MODEL into a repository of NVIDIA's Triton Inference Server.

    Its seal is checked and its self-test runs before anything is written: Triton does neither.
    """
    from fcn_edge.package.triton import TritonOptions, package_for_triton

    if fp16 and not sizes:
        raise click.UsageError("--fp16 is for TensorRT, which --sizes turns on")
    made = package_for_triton(Path(model), out, TritonOptions(name, sizes, batch, delay, fp16, force))
    click.echo(f"model  {printable(str(made.folder))}  {made.bytes / 1e6:.1f} MB, passed its self-test here")
    click.echo(f"name   {made.name}")
    click.echo("note   Triton was not run: compare labels there, above all with TensorRT")
