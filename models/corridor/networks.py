"""The two networks: how each is built, its input, and how its weights are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import fcn_edge
from models.corridor.classes import NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Input: x = (pixel / 255 - MEAN) / STD per channel, with ImageNet's values, as in the recipes."""

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Phase:
    """A phase of training.

    Attributes:
        share: of the whole training time.
        crop: height and width of the network's input.
        scales: frames are reduced or enlarged by a factor between these before they are cropped.
        batch: crops a step.
        options: of the network, where they differ from those of the final network.
        stride: 0 trains on every pixel of the upsampled logits. Otherwise the logits of this output stride
            are trained directly, each on the one pixel where the final network would place it.
    """

    share: float
    crop: tuple[int, int]
    scales: tuple[float, float]
    batch: int
    options: dict[str, int] = field(default_factory=dict)
    stride: int = 0


@dataclass(frozen=True)
class Net:
    """A network of the registry as used here."""

    registry: str
    options: dict[str, int]
    learning_rate: float
    phases: tuple[Phase, ...]


HALF = (0.5, 0.8)
WHOLE = (0.8, 1.25)

# Half-size frames cost a quarter and teach most of the task, so both begin with them. The
# weights of a ResNet do not depend on its output stride either, and at stride 16 a step costs a third of one
# at stride 8: only the end of the training is done at the stride where the network is used.
NETS: dict[str, Net] = {
    "corridor": Net(
        "fcn_lite",
        {},
        2.0e-3,
        (Phase(0.35, (128, 160), HALF, 8, {}, 8), Phase(0.65, (208, 272), WHOLE, 8)),
    ),
    "corridor-r18": Net(
        "fcn_resnet18",
        {"output_stride": 8},
        1.0e-3,
        (
            Phase(0.35, (128, 160), HALF, 8, {"output_stride": 16}, 16),
            Phase(0.5, (208, 272), WHOLE, 8, {"output_stride": 16}, 16),
            Phase(0.15, (160, 208), WHOLE, 6),
        ),
    ),
}


def build(name: str, options: dict[str, int] | None = None) -> nn.Module:
    """The network `corridor` or `corridor-r18` with untrained weights, channels last."""
    net = NETS[name]
    module: nn.Module = fcn_edge.build(
        net.registry, num_classes=len(NAMES), **(options if options is not None else net.options)
    )
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return] # stub lacks it


def load(name: str, path: Path | None = None) -> nn.Module:
    """The trained network in eval mode, float32; `path` defaults to the shipped weights."""
    module = build(name)
    stored = load_file(path or WEIGHTS / f"{name}.safetensors")
    module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in stored.items()})
    return module.eval()


def save(state: dict[str, Tensor], path: Path) -> None:
    """Stores a state dict as safetensors: floats as float16, which halves the file at the same score."""
    halves = {k: (v.half() if v.is_floating_point() else v).contiguous().cpu() for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, path)
    path.chmod(0o644)  # safetensors makes it readable only by its owner


def normalize(images: Tensor) -> Tensor:
    """`[N, 3, H, W]` in 0..1 -> the networks' input."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(module: nn.Module, images: NDArray[np.uint8], batch: int = 8) -> NDArray[np.uint8]:
    """`(N, H, W, 3) uint8` RGB -> `(N, H, W) uint8` class ids."""
    device = next(module.parameters()).device
    out = []
    for k in range(0, len(images), batch):
        part = torch.from_numpy(images[k : k + batch]).to(device).permute(0, 3, 1, 2).float() / 255
        out.append(module(normalize(part)).argmax(1).to(torch.uint8).cpu().numpy())
    return np.concatenate(out)
