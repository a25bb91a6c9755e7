"""What an engine gets and returns. Needs numpy alone: every engine's environment imports this."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Materials", "NotOffered", "Prepare", "Prepared", "winners"]

Frame = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]


class NotOffered(Exception):  # noqa: N818 - an answer, not an error
    """The engine cannot do this on this machine; the message with the reason goes into the table."""


@dataclass(frozen=True)
class Materials:
    """What every engine gets for one size of frames.

    Attributes:
        shared: folder of files for all sizes: `net.pth`, our float files.
        folder: folder of files for this size: frames, ONNX and TorchScript files, our int8 files.
        height, width: of the frames.
        threads: for an engine.
        net, options, classes: to build the network with `fcn_edge.build`.
        mean, std: of the input, x = (pixel / 255 - mean) / std, per channel.
        refused: our files that could not be made, and why.
    """

    shared: Path
    folder: Path
    height: int
    width: int
    threads: int
    net: str
    options: Mapping[str, Any]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    def ours(self, name: str) -> Path:
        """One of our files by name: int8 files are calibrated at this size, float files take any."""
        return (self.folder if "int8" in name else self.shared) / name

    @property
    def size(self) -> str:
        """As a user writes it, HxW."""
        return f"{self.height}x{self.width}"

    @property
    def onnx(self) -> Path:
        """The network by a plain `torch.onnx.export`: float32 [1, 3, H, W] to logits [1, C, H, W]."""
        return self.folder / "plain.onnx"

    @property
    def torchscript(self) -> Path:
        """The network traced for the same shapes."""
        return self.folder / "net.pt"

    @property
    def pictures(self) -> Path:
        """A folder with the calibration frames as PNG, for engines that read files."""
        return self.folder / "calibration"

    def frames(self) -> npt.NDArray[np.uint8]:
        """Held-out frames (N, H, W, 3), memory-mapped."""
        frames: npt.NDArray[np.uint8] = np.load(self.folder / "frames.npy", mmap_mode="r")
        return frames

    def calibration(self) -> npt.NDArray[np.uint8]:
        """Frames to calibrate on (N, H, W, 3): training frames, never held-out ones."""
        frames: npt.NDArray[np.uint8] = np.load(self.folder / "calibration.npy")
        return frames

    def reference(self) -> npt.NDArray[np.uint8]:
        """PyTorch's labels in float32 (N, H, W) of `frames`."""
        labels: npt.NDArray[np.uint8] = np.load(self.folder / "reference.npy", mmap_mode="r")
        return labels

    def save(self) -> Path:
        """Write the description that a worker reads; returns its path."""
        path = self.folder / "materials.json"
        path.write_text(json.dumps(asdict(self), default=str), "utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Materials:
        """Read what `save` wrote."""
        data = json.loads(path.read_text("utf-8"))
        for key in ("shared", "folder"):
            data[key] = Path(data[key])
        for key in ("mean", "std"):
            data[key] = tuple(data[key])
        return cls(**data)


@dataclass(frozen=True)
class Prepared:
    """A prepared engine.

    Attributes:
        label: from a frame (H, W, 3) uint8 to its labels (H, W) uint8, start to end.
        how: the relevant settings, in a few words for the table.
        versions: of its packages, by name.
    """

    label: Callable[[Frame], Labels]
    how: str
    versions: Mapping[str, str] = field(default_factory=dict)


Prepare = Callable[[Materials], Prepared]


def winners(scores: npt.NDArray[np.float32]) -> Labels:
    """Logits (C, H, W) to the class of the largest (H, W), for engines without an argmax.

    A running maximum: numpy's argmax over the first axis takes longer.
    """
    best = scores[0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for index in range(1, len(scores)):
        np.copyto(labels, np.uint8(index), where=scores[index] > best)
        np.maximum(best, scores[index], out=best)
    return labels
