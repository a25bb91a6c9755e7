"""`smp:FOLDER`: a network of segmentation_models_pytorch, saved by its save_pretrained.

The folder holds config.json (the network's class and options) and model.safetensors. It does not hold how
images were normalized or what the classes are called.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge.nets.building import NetSpec
from fcn_edge.nets.loading import CallableName
from fcn_edge.nets.sources.saved import SavedNet, library, read_json, saved_folder
from fcn_edge_runtime.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PREFIX", "read_smp"]

PREFIX = "smp:"


def read_smp(spec: str) -> SavedNet:
    """What a folder holds, before its weights are read.

    Args:
        spec: with its prefix, `smp:FOLDER`.

    Raises:
        UsageError: there is no such folder, or it holds no network of segmentation_models_pytorch.
        CheckpointError: it holds no safetensors.
    """
    folder = saved_folder(spec.removeprefix(PREFIX))
    config = read_json(folder / "config.json")
    architecture = (config or {}).get("_model_class")
    if config is None or not isinstance(architecture, str):
        raise UsageError(f"{folder} is no network that segmentation_models_pytorch's save_pretrained wrote")
    if not (folder / "model.safetensors").is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors: save the network again")

    def load() -> nn.Module:
        return _load(folder, architecture)

    encoder = config.get("encoder_name")
    card: dict[str, Any] = {"name": folder.resolve().name}
    card["description"] = f"{architecture} on {encoder} of segmentation_models_pytorch"
    notes = []
    if trained := config.get("encoder_weights"):
        notes.append(
            f"its encoder was trained on {trained}: most of these take --normalize imagenet; "
            "get_preprocessing_params of segmentation_models_pytorch tells"
        )
    if config.get("activation"):
        notes.append(f"it ends in {config['activation']}: see --activation")
    channels = config.get("in_channels")
    if isinstance(channels, int) and channels != 3:
        card["input"] = {"channels": channels}
    named = f"{PREFIX}{card['name']}"
    return SavedNet(NetSpec(named, {}, CallableName(named, load)), card, notes=tuple(notes))


def _load(folder: Path, architecture: str) -> nn.Module:
    smp = library("segmentation_models_pytorch", "segmentation-models-pytorch")
    try:
        # Without the weights that its encoder began with, which would be fetched.
        with contextlib.redirect_stdout(io.StringIO()):  # it says that it loads
            network: nn.Module = getattr(smp, architecture).from_pretrained(
                str(folder), local_files_only=True, encoder_weights=None, strict=True
            )
    except Exception as error:
        first = " ".join(str(error).split())[:300]
        raise CheckpointError(f"segmentation_models_pytorch cannot load {folder}: {first}") from error
    return network
