"""Export models with the newest stack, and record what they must decide on the oldest one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import fcn_edge
from fcn_edge_export import export
from fcn_edge_export.options import ExportOptions
from fcn_edge_runtime import Card, Segmenter
from fcn_edge_runtime.model.card import InputSpec

SIZES = ((1, 31, 47), (2, 64, 48), (1, 1, 1), (1, 120, 160))


class Halving(nn.Module):
    """Takes even sizes alone, so that the file has to pad and crop."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, classes, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(torch.relu(self.down(x)))


def main(folder: Path) -> None:
    """One file for each kind of graph we write, and the labels the newest stack gives."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    rgb = InputSpec.default(3)
    all_outputs = ("labels", "confidence", "probabilities", "logits")
    kinds = {
        "plain": (fcn_edge.build("fcn_tiny", num_classes=5, width=16), rgb, all_outputs),
        "resnet": (fcn_edge.build("fcn_resnet18", num_classes=21), rgb, ("labels",)),
        "padded": (Halving(4), rgb, all_outputs),
        "working": (Halving(4), rgb, all_outputs),
        "binary": (Halving(1), rgb, ("labels", "confidence", "probabilities")),
        "deep": (Halving(300), replace(rgb, dtype="uint16", scale=1 / 65535), ("labels", "confidence")),
        "float": (
            fcn_edge.build("fcn_tiny", num_classes=3, width=8),
            InputSpec.default(3, "float32"),
            ("labels",),
        ),
    }
    for name, (net, spec, outputs) in kinds.items():
        path = folder / f"{name}.onnx"
        working_size = "0.5x" if name == "working" else None
        card = Card(name, (), spec)
        export(
            net.eval(),
            card,
            path,
            options=ExportOptions(outputs=outputs, working_size=working_size, trained=False),
        )
        generator = np.random.default_rng(7)
        arrays = {}
        with Segmenter(path) as segmenter:
            for index, (batch, height, width) in enumerate(SIZES):
                top = {"uint8": 256, "uint16": 65536, "float32": 1}[spec.dtype]
                values = generator.random((batch, height, width, spec.channels)) * top
                image = values.astype(spec.dtype)
                arrays[f"image{index}"] = image
                arrays[f"labels{index}"] = segmenter(image).labels
        np.savez_compressed(folder / f"{name}.npz", **arrays)
        print(f"{path}: {', '.join(outputs)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
