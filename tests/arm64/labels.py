"""Do files decide on arm64 as they do here? Written on this machine, opened by an emulated processor.

    python -m tests.arm64.labels write build/arm64
    .venv-arm64/bin/python -m tests.arm64.labels open build/arm64

Every kept artifact and every file written passes its self-test there, and the table says how many labels of
real frames differ. Exit code 1 if a self-test fails, or if a file that is not in integers differs in more
than one pixel of a thousand.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.errors import FcnEdgeError
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.trusted_session import selftest

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = ROOT / "models/corridor/calibration"
HELD_OUT = ROOT / "models/corridor/heldout/images"
KEPT = ROOT / "tests/artifacts"
FRAMES = 4
SIDES = (120, 160)  # of a frame, cut from its middle: a whole one takes half a minute
LEAST_EQUAL = 0.999  # of a float file; near ties may fall either way


def write(folder: Path) -> None:
    """Float, half precision and integers for each kind of processor, and the labels that they give here."""
    folder.mkdir(parents=True, exist_ok=True)
    parent = folder / "corridor.onnx"
    fcn_edge("export", "corridor", "-o", parent)
    held_out = ["--precision", "fp16", "--images", HELD_OUT]
    fcn_edge("export", "corridor", *held_out, "-o", folder / "corridor.fp16.onnx")
    for target in ("arm64", "x86", "x86-vnni"):
        integers = ["--calibration", CALIBRATION, "--target", target, "--allow-slower"]
        fcn_edge("quantize", parent, *integers, "-o", folder / f"corridor.int8-{target}.onnx")
    write_own(folder)
    for path in (*sorted(KEPT.glob("*.onnx")), *sorted(folder.glob("*.onnx"))):
        with Segmenter(path) as segmenter:
            np.savez_compressed(folder / f"{path.stem}.npz", *labels_of(segmenter))


def write_own(folder: Path) -> None:
    """An int8 file whose frames are so unlike the self-test's images that its own scores decide these."""
    from fcn_edge_export.lowering.quantize import quantize
    from fcn_edge_export.options import QuantizeOptions
    from tests.export.parents import frames, write_parent

    (folder / "parents").mkdir(exist_ok=True)
    parent = write_parent(folder / "parents" / "colors.onnx")
    dark = {name: (lambda read=read: read() // 2) for name, read in frames(20).items()}
    options = QuantizeOptions(target="arm64", allow_slower=True)
    quantize(parent, folder / "colors.int8-own.onnx", lambda _: dark, options=options)


def fcn_edge(*arguments: object) -> None:
    """One command; its output is not of interest."""
    command = [sys.executable, "-m", "fcn_edge", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def labels_of(segmenter: Segmenter) -> list[NDArray[Any]]:
    """Labels of parts of real frames, or of noise where the file takes no colors of eight bits."""
    spec = segmenter.card.input
    if spec.dtype == "uint8" and spec.channels == 3:
        frames = [read_image(path, spec) for path in sorted(HELD_OUT.iterdir())[:FRAMES]]
        images = [frame[SIDES[0] // 2 :, SIDES[1] // 2 :][: SIDES[0], : SIDES[1]] for frame in frames]
    else:
        top = {"uint8": 256, "uint16": 65536, "float32": 1}[spec.dtype]
        values = np.random.default_rng(7).random((FRAMES, 61, 83, spec.channels)) * top
        images = list(values.astype(spec.dtype))
    return [segmenter(image).labels for image in images]


def compare(folder: Path) -> int:
    """Self-test and labels of every file; returns the exit code."""
    failed = False
    print(f"{platform.machine()}, labels that differ from those of the machine that wrote the files")
    print(f"{'file':34} {'self-test':10} {'pixels':>9} {'differ':>7} {'equal':>10}")
    for stored in sorted(folder.glob("*.npz")):
        places = [place / f"{stored.stem}.onnx" for place in (folder, KEPT)]
        path = next(place for place in places if place.exists())
        try:
            selftest(path, "cpu")
            passed = "passed"
        except FcnEdgeError as error:
            passed, failed = "FAILED", True
            print(f"{path.name}: {error}")
        with Segmenter(path) as segmenter:
            labels = labels_of(segmenter)
            integers = segmenter.card.precision == "int8"
        expected = np.load(stored)
        pairs = zip(labels, expected.values(), strict=True)
        differ = sum(int((got != wanted).sum()) for got, wanted in pairs)
        pixels = sum(got.size for got in labels)
        failed = failed or (not integers and differ > (1 - LEAST_EQUAL) * pixels)
        print(f"{stored.stem:34} {passed:10} {pixels:9} {differ:7} {1 - differ / pixels:10.4%}", flush=True)
    return int(failed)


if __name__ == "__main__":
    action, place = sys.argv[1:]
    sys.exit(compare(Path(place)) if action == "open" else write(Path(place)))
