"""`make gpu`: everything worth knowing of a GPU that is at hand for a few minutes, as one JSON."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fcn_edge.cli.options import SizeType
from fcn_edge_runtime._files import write_whole
from fcn_edge_runtime.errors import FcnEdgeError

ROOT = Path(__file__).resolve().parents[2]
BATCHES = (1, 4, 16)
SIZES = ((240, 320), (480, 640), (720, 1280))
DRY_SIZES = ((96, 128),)


@click.command()
@click.option("--net", "nets", multiple=True, default=("corridor", "corridor-r18"), show_default=True)
@click.option(
    "--size", "sizes", type=SizeType(), multiple=True, metavar="HxW", help="Repeatable.  [default: three]"
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cuda", "cpu")),
    default="auto",
    show_default=True,
    help="cpu is a dry run, which auto makes where there is no GPU: all steps, no tests, one small size.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Timing of one size and batch.",
)
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=8.5, show_default=True, help="Limit."
)
@click.option("--tests/--no-tests", default=True, help="Run the tests for CUDA first.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("build/gpu.json"), show_default=True
)
def main(
    *,
    nets: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    device: str,
    seconds: float,
    minutes: float,
    tests: bool,
    output: Path,
) -> None:
    """Time the networks NET on the device in each precision, beside PyTorch. Prints one JSON."""
    from benchmarks.gpu.files import make
    from benchmarks.gpu.rows import fastest, rows

    begun = time.monotonic()

    def left() -> float:
        return minutes * 60 - (time.monotonic() - begun)

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.0f} s  {line}", err=True)

    output.parent.mkdir(parents=True, exist_ok=True)
    machine = _machine()
    device = _chosen(device, machine)
    dry = device == "cpu"
    report: dict[str, Any] = {"dry_run": dry, "machine": machine, "skipped": [], "rows": []}
    if dry:
        say("a dry run on the CPU: every step is run, and no time says anything about a GPU")
    elif tests:
        say("tests for CUDA")
        report["tests"] = _tests(left() / 2)
        say(report["tests"]["summary"])
    for net in nets:
        try:
            subject = make(net, output.parent / "gpu" / net, device, say)
        except FcnEdgeError as error:
            report["skipped"].append(f"{net}: {error}")
            continue
        report["skipped"] += [f"{net} {what}: {why}" for what, why in subject.refused.items()]
        if "float" not in subject.files:
            continue
        for size, batch in itertools.product(sizes or (DRY_SIZES if dry else SIZES), BATCHES):
            what = f"{net} {size[0]}x{size[1]}, batch {batch}"
            if left() < 20:
                report["skipped"].append(f"{what}: out of time")
                continue
            found = rows(subject, size, batch, device, seconds, compile_too=batch == 1 and left() > 90)
            report["rows"] += [asdict(row) for row in found]
            say(f"{what}: {fastest(found)}")
            write_whole(output, _json(report))  # what is there if the machine goes away
    report["seconds"] = round(time.monotonic() - begun, 1)
    write_whole(output, _json(report))
    click.echo(json.dumps(report))


def _json(report: dict[str, Any]) -> bytes:
    return json.dumps(report, indent=1).encode() + b"\n"


def _chosen(device: str, machine: Mapping[str, Any]) -> str:
    """The device that `auto` is."""
    if device != "auto":
        return device
    return "cuda" if machine["cuda_works"] else "cpu"


def _machine() -> dict[str, Any]:
    import onnxruntime
    import torch

    from fcn_edge_runtime.session.cpu import processor_name

    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.strip()  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        gpu = "none"
    return {
        "gpu": gpu,
        "processor": processor_name(),
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
        "cuda_works": torch.cuda.is_available()
        and "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def _tests(limit: float) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "cuda",
        "-p",
        "no:cacheprovider",
        "tests/runtime/session",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"summary": f"not finished in {limit:.0f} s"}
    lines = done.stdout.splitlines()
    return {
        "summary": lines[-1] if lines else done.stderr[-300:],
        "failed": [line for line in lines if re.match(r"(FAILED|ERROR)", line)],
        "output": done.stdout[-6000:] if done.returncode else "",
    }


if __name__ == "__main__":
    main()
