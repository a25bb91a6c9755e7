"""`hf:FOLDER` or `hf:OWNER/NAME`: a network for semantic segmentation saved by Hugging Face transformers.

A folder that `save_pretrained` wrote holds config.json (architecture, class names, channels),
model.safetensors, and how images become the input, see `huggingface_preprocessing`. All of it goes onto the
card. Only safetensors are read, and code that came with a network runs only if that was allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge.nets.building import NetSpec
from fcn_edge.nets.loading import CallableName
from fcn_edge.nets.sources.huggingface_preprocessing import read_preprocessing
from fcn_edge.nets.sources.saved import SavedNet, read_json
from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PREFIX", "read_huggingface"]

PREFIX = "hf:"
# What an architecture's name ends in -> the class of transformers that loads it. All but the first classify
# masks; the export combines them into scores of each pixel, as their processors do.
KINDS = {
    "ForSemanticSegmentation": "AutoModelForSemanticSegmentation",
    "ForUniversalSegmentation": "AutoModelForUniversalSegmentation",
    "MaskFormerForInstanceSegmentation": "AutoModelForUniversalSegmentation",
    "DetrForSegmentation": "AutoModelForUniversalSegmentation",
}
TASK = "the task is semantic"  # what OneFormer is told


def read_huggingface(spec: str, *, trust_remote_code: bool = False) -> SavedNet:
    """What a folder or a network of the hub holds, before its weights are read.

    Args:
        spec: with its prefix, `hf:FOLDER` or `hf:OWNER/NAME`.
        trust_remote_code: run Python code that came with the network.

    Raises:
        UsageError: there is no such folder, or what it holds is no network for semantic segmentation.
        CheckpointError: the hub cannot be reached, or the folder holds no safetensors.
    """
    place = spec.removeprefix(PREFIX)
    folder = _folder(place)
    config = read_json(folder / "config.json")
    if config is None:
        raise UsageError(f"{folder} holds no config.json: expected a folder that save_pretrained wrote")
    architecture = _architecture(config, place, trust_remote_code=trust_remote_code)
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"{folder} holds no .safetensors: load it where it was trained, and save it again with "
            "save_pretrained(FOLDER, safe_serialization=True)"
        )
    before = read_preprocessing(folder)

    def load() -> nn.Module:
        return _load(folder, architecture, flips=before.flips, trust_remote_code=trust_remote_code)

    name = Path(place).name if Path(place).is_dir() else place
    card: dict[str, Any] = {"name": name.rpartition("/")[2] or folder.resolve().name}
    card["description"] = f"{architecture} of Hugging Face transformers"
    if before.reduces_labels:
        card["description"] += "; class i is i + 1 in the masks that it was trained on, where 0 is unlabelled"
    if classes := _classes(config, folder):
        colors = _palette(before.given, config, len(classes))
        card["classes"] = [
            name if color is None else {"name": name, "color": color}
            for name, color in zip(classes, colors, strict=True)
        ]
    card["input"] = {**before.input, **_channels(config)}
    named = f"{PREFIX}{card['name']}"
    net = NetSpec(named, {}, CallableName(named, load))
    return SavedNet(net, card, before.working_size, before.notes, preprocessing=before.file)


def _folder(place: str) -> Path:
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder
    if place.count("/") != 1 or place.startswith((".", "~", "/")):
        raise UsageError(f"there is no folder {place}: give one that save_pretrained wrote, or OWNER/NAME")
    hub = require("huggingface_hub", "fetching a network of Hugging Face", UsageError)
    try:
        return Path(hub.snapshot_download(place, allow_patterns=["*.json", "*.safetensors", "*.py"]))
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        raise CheckpointError(
            f"{place} is no folder here, and cannot be fetched from the Hugging Face hub: "
            f"{''.join(first) or type(error).__name__}: check the name, or give a folder"
        ) from error


def _architecture(config: Mapping[str, Any], place: str, *, trust_remote_code: bool) -> str:
    if config.get("auto_map") and not trust_remote_code:
        raise UsageError(
            f"{place} brings Python code of its own: read it, and add --trust-remote-code to run it"
        )
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    if not architecture.endswith(tuple(KINDS)) and not config.get("auto_map"):
        raise UsageError(
            f"{place} is a {architecture or 'network without an architecture'}, expected one that ends in "
            f"{' or '.join(KINDS)}: scores for each class at each pixel"
        )
    return architecture


def _classes(config: Mapping[str, Any], folder: Path) -> list[str]:
    """The names, in the order of their ids; empty where there are none of a use."""
    named = config.get("id2label")
    if not isinstance(named, dict):
        return []
    count = len(named)
    try:
        names = [str(named[str(index)]) for index in range(count)]
    except KeyError as error:
        raise UsageError(
            f"{folder / 'config.json'}: id2label has {count} names, but none for {error}: expected 0 to "
            f"{count - 1}"
        ) from None
    return names if count > 1 else []


def _channels(config: Mapping[str, Any]) -> dict[str, Any]:
    """The channels of the image, where they are others than red, green and blue."""
    for part in (config, config.get("backbone_config")):
        if isinstance(part, dict) and part.get("num_channels", 3) != 3:
            return {"channels": part["num_channels"]}
    return {}


def _palette(given: Mapping[str, Any], config: Mapping[str, Any], classes: int) -> list[list[int] | None]:
    """The colors of the classes, as the processor or the network lists them; None where they do not."""
    for source in (given, config):
        for key in ("palette", "id2color"):
            found = source.get(key)
            colors = [found.get(str(index)) for index in range(classes)] if isinstance(found, dict) else found
            if isinstance(colors, list) and len(colors) == classes and all(map(_is_color, colors)):
                return colors
    return [None] * classes


def _is_color(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(channel) is int and 0 <= channel <= 255 for channel in value)
    )


def _load(folder: Path, architecture: str, *, flips: bool, trust_remote_code: bool) -> nn.Module:
    """The network with its weights.

    Raises:
        CheckpointError: its weights do not fill it, or transformers cannot load it.
    """
    library = require("transformers", "loading a network of Hugging Face", CheckpointError)
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    kind = next((kind for suffix, kind in KINDS.items() if architecture.endswith(suffix)), None)
    try:
        net, found = getattr(library, kind or "AutoModelForSemanticSegmentation").from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except Exception as error:
        first = " ".join(str(error).split())[:300]
        raise CheckpointError(f"transformers cannot load {folder}: {first}") from error
    if missing := sorted(found.get("missing_keys", ())):
        raise CheckpointError(
            f"the weights in {folder} lack {len(missing)} tensors of the network, such as {missing[0]}: it "
            "would run with random ones; save the trained network again"
        )
    if architecture.startswith("OneFormer"):
        net = _told(net, _task_tokens(library, folder, net.config.task_seq_len))
    return _flipped(net) if flips else net


def _task_tokens(library: Any, folder: Path, length: int) -> Any:
    """[1, length] int64: the task in words, as OneFormer's processor makes numbers of it."""
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        first = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder} holds no tokenizer ({first}), by which this network is told its task: save its "
            "processor there, too"
        ) from error
    found = tokenizer(TASK, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return found["input_ids"] * found["attention_mask"]


def _told(net: nn.Module, tokens: Any) -> nn.Module:
    """The network for images alone: its task is the same for each."""
    from torch import nn

    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Any) -> Any:
            return self.net(x, task_inputs=tokens.expand(x.shape[0], -1))

    return Told()


def _flipped(net: nn.Module) -> nn.Module:
    """The network for RGB images, whose preprocessing turns them to BGR."""
    from torch import nn

    class FlipsChannels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Any) -> Any:
            return self.net(x.flip(1))

    return FlipsChannels()
