"""Make the artifacts of a release: small files of every kind we write, and the labels they must always give.

    python -m tests.artifacts.make_artifacts 0.2.0

writes `VERSION-KIND.onnx` and `VERSION.json` beside this script, and refuses to overwrite a set. A version
that is not released yet may get a new set: remove the old one first.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

import fcn_edge
from fcn_edge_export import export
from fcn_edge_export.graph.names import LOGITS
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_export.options import ExportOptions, QuantizeOptions
from fcn_edge_export.verification.measure import amplitude, margins
from fcn_edge_runtime import Card, Segmenter
from fcn_edge_runtime.model.card import InputSpec
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import image_digest, pattern
from fcn_edge_runtime.session.session import open_session
from tests.export.parents import frames, write_parent

HERE = Path(__file__).parent
SIZES = ((1, 75, 101), (2, 40, 33), (1, 1, 1))
SEED = 3


class Halving(nn.Module):
    """Takes only even sizes, so that the file has to pad and crop."""

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, classes, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(torch.relu(self.down(x)))


class Pooling(nn.Module):
    """Adds a 3 x 3 grid pooled over the whole image, in the graph at any size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.grid = nn.Conv2d(8, classes, 1)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.features(x))
        grid = self.grid(nn.functional.adaptive_avg_pool2d(x, 3))
        grid = nn.functional.interpolate(grid, x.shape[-2:], mode="bilinear", align_corners=False)
        return self.head(x) + grid


def _lively(net: nn.Module) -> nn.Module:
    """The network with larger weights and no biases, so that several classes win."""
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, std=0.3)
    return net


def _exported(net: nn.Module, spec: InputSpec, *outputs: str) -> Callable[[Path], object]:
    return lambda path: export(
        _lively(net).eval(),
        Card(path.stem, (), spec),
        path,
        options=ExportOptions(outputs=outputs or ("labels",), trained=False),
    )


def _int8(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parent = write_parent(Path(folder) / "parent.onnx", ("labels", "confidence"))
        quantize(parent, path, lambda _: frames(12), options=QuantizeOptions(allow_slower=True))


def kinds() -> dict[str, Callable[[Path], object]]:
    """The kinds of files by name: each function writes its file to a path."""
    torch.manual_seed(0)
    rgb = InputSpec.default(3)
    every = ("labels", "confidence", "probabilities", "logits")
    return {
        "float": _exported(fcn_edge.build("fcn_tiny", num_classes=5, width=16), rgb, *every),
        "padded": _exported(Halving(4), rgb, "labels", "confidence"),
        "pooled": _exported(Pooling(3), rgb),
        "binary": _exported(Halving(1), rgb, "labels", "confidence", "probabilities"),
        "uint16": _exported(Halving(6, 1), InputSpec.default(1, "uint16")),
        "float32-input": _exported(Halving(3, 5), InputSpec.default(5, "float32")),
        "300-classes": _exported(Halving(300), rgb),
        "sparse": lambda path: write_parent(path, sparse=True),
        "int8": _int8,
    }


def _margin(path: Path, image: np.ndarray) -> tuple[np.ndarray, float]:
    """The margin of the decision at each pixel (N, H, W), and the logits' amplitude."""
    logits = open_session(with_logits_output(onnx.load(path)), "cpu").run(image, [LOGITS])[LOGITS]
    return margins(logits), amplitude(logits)


def _record(path: Path) -> dict[str, object]:
    """The file's digest, and for each input the undecided pixels and the labels of the others."""
    with ModelFile.open(path) as model:
        tau, digest = model.golden.tau, model.digest
    cases = []
    with Segmenter(path, "cpu") as segmenter:
        card = segmenter.card
        for batch, height, width in SIZES:
            image = pattern(batch, height, width, card.input.channels, SEED, card.input)
            margin, largest = _margin(path, image)
            undecided = margin <= 2 * tau * largest
            labels = segmenter(image).labels.copy()
            labels[undecided] = card.unlabeled
            packed = base64.b64encode(zlib.compress(np.packbits(undecided).tobytes(), 9)).decode()
            cases.append(
                {
                    "size": [batch, height, width],
                    "seed": SEED,
                    "input_sha256": image_digest(image),
                    "undecided": packed,
                    "labels_sha256": image_digest(labels),
                    "distinct": len(np.unique(labels[~undecided])),
                    "decided": int((~undecided).sum()),
                }
            )
    return {"file": path.name, "sha256": digest, "cases": cases}


def main(version: str) -> None:
    """Make the set of a version, if there is none."""
    there = sorted(HERE.glob(f"{version}[-.]*"))
    if there:
        sys.exit(f"{there[0].name} exists: a released set is never changed; remove an unreleased one first")
    records = []
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        for name, make in kinds().items():
            path = Path(folder) / f"{version}-{name}.onnx"
            make(path)
            records.append(_record(path))
            print(f"{path.name}: {path.stat().st_size / 1000:.1f} KB, {records[-1]['cases'][0]}"[:150])
        for path in Path(folder).glob("*.onnx"):
            path.rename(HERE / path.name)
    (HERE / f"{version}.json").write_text(json.dumps({"version": version, "files": records}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
