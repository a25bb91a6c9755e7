"""One network of the repository: its files in each precision, its frames, and itself in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.materials import MODELS, resized, shared
from fcn_edge_export import Fp16Options, QuantizeOptions, convert_to_fp16, quantize
from fcn_edge_runtime.errors import FcnEdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["Subject", "frames_of_size", "make"]

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Subject:
    """A network and its files.

    Attributes:
        name: of the recipe.
        net: in PyTorch, on the CPU, in evaluation mode.
        mean, std: of the normalization.
        files: by precision: float, fp16, int8.
        refused: precisions that could not be made, and why.
    """

    name: str
    net: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    files: dict[str, Path]
    refused: dict[str, str]


def make(name: str, folder: Path, device: str, say: Callable[[str], None]) -> Subject:
    """Export a recipe, and convert the file to fp16 and int8. A file that cannot be made is recorded."""
    made = shared(name, folder, {"ours-fp32.onnx"}, say)
    parent = folder / "ours-fp32.onnx"
    files, refused = {}, dict(made.refused)
    if not refused:
        files["float"] = parent
        calibration = MODELS / "calibration"
        for precision, path in (("fp16", folder / "fp16.onnx"), ("int8", folder / "int8.onnx")):
            say(f"{name}: making the {precision} file")
            path.unlink(missing_ok=True)
            try:
                if precision == "fp16":
                    convert_to_fp16(parent, path, calibration, options=Fp16Options(device=device))
                else:
                    options = QuantizeOptions(method="minmax", allow_slower=True, allow_mostly_float=True)
                    quantize(parent, path, calibration, options=options)
            except FcnEdgeError as error:
                refused[precision] = str(error)
            else:
                files[precision] = path
    spec = made.recipe.card["input"]
    return Subject(name, made.net, tuple(spec["mean"]), tuple(spec["std"]), files, refused)


def frames_of_size(height: int, width: int, count: int) -> Frames:
    """Held-out frames, resized: (count, H, W, 3)."""
    return resized(sorted((MODELS / "heldout" / "images").iterdir()), count, height, width)
