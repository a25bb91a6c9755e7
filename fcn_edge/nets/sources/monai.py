"""`monai:FOLDER`: a two-dimensional network of a MONAI bundle, with its classes and channels.

configs/metadata.json names the classes (`channel_def` of the output), configs/inference.json or train.json
the network and what is done to images before, and models/model.pt holds its weights. Configurations are
programs in general; here only a network of `monai.networks.nets` with plain numbers, texts and lists is
built: nothing in a folder is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge.nets.building import NetSpec
from fcn_edge.nets.loading import CallableName
from fcn_edge.nets.sources.monai_preprocessing import read_preprocessing
from fcn_edge.nets.sources.saved import SavedNet, library, read_json, saved_folder
from fcn_edge_runtime.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PREFIX", "read_monai"]

PREFIX = "monai:"
NETWORKS = "monai.networks.nets"
KEYS = ("network_def", "network", "net")


def read_monai(spec: str) -> SavedNet:
    """What a bundle holds, before its weights are read.

    Args:
        spec: with its prefix, `monai:FOLDER`.

    Raises:
        UsageError: there is no such folder, or it holds no bundle with a two-dimensional network.
        CheckpointError: it holds no weights.
    """
    folder = saved_folder(spec.removeprefix(PREFIX))
    metadata = read_json(folder / "configs" / "metadata.json")
    if metadata is None:
        raise UsageError(f"{folder} holds no configs/metadata.json: expected a bundle of MONAI")
    name, options, config = _network(folder)
    before = read_preprocessing(config)
    weights = folder / "models" / "model.pt"
    if not weights.is_file():
        raise CheckpointError(f"{folder} holds no models/model.pt: add the weights of the bundle")

    def build() -> nn.Module:
        network = _build(name, options)
        return _transposed(network) if before.transposed else network

    card: dict[str, Any] = {"name": folder.resolve().name}
    card["description"] = str(metadata.get("description", f"{name} of MONAI"))
    shapes = metadata.get("network_data_format", {})
    if classes := _classes(shapes):
        card["classes"] = classes
    image = next(iter(_entries(shapes, "inputs")), {})
    input_of = dict(before.input)
    if isinstance(image.get("num_channels"), int):
        input_of["channels"] = image["num_channels"]
    if input_of:
        card["input"] = input_of
    notes = before.notes
    if image.get("value_range"):
        notes = (f"its network's images have values of {image['value_range']}", *notes)
    named = f"{PREFIX}{card['name']}"
    net = NetSpec(named, {}, CallableName(named, build))
    return SavedNet(net, card, before.working_size, notes, str(weights), "configs/inference.json")


def _network(folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of a network, its options, and the configuration that holds it."""
    for file in ("inference.json", "train.json"):
        config = read_json(folder / "configs" / file) or {}
        for key in KEYS:
            found = config.get(key)
            if not isinstance(found, dict) or "_target_" not in found:
                continue
            name = str(found["_target_"]).removeprefix(f"{NETWORKS}.")
            options = {k: _plain(v, config, folder) for k, v in found.items() if k[:1] != "_"}
            if not name.isidentifier():
                raise UsageError(f"{folder / 'configs' / file}: {name} is no network of {NETWORKS}")
            if options.get("spatial_dims", 2) != 2:
                raise UsageError(f"{folder} is a network of {options['spatial_dims']} dimensions, expected 2")
            return name, options, config
    raise UsageError(f"{folder}/configs: neither inference.json nor train.json has a {' or '.join(KEYS)}")


def _plain(value: Any, config: Mapping[str, Any], folder: Path) -> Any:
    """A value with its references to other values of the file resolved, where it is no program."""
    if (
        isinstance(value, str)
        and value.startswith("@")
        and isinstance(config.get(value[1:]), (int, float, list))
    ):
        return config[value[1:]]
    if isinstance(value, str) and value[:1] in ("$", "@", "%"):
        raise UsageError(
            f"{folder}: its network is computed by {value!r}, a program, which is not run: build it in a "
            "file of yours and export FILE.py:CALLABLE"
        )
    if isinstance(value, list):
        return [_plain(entry, config, folder) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry, config, folder) for key, entry in value.items()}
    return value


def _entries(shapes: Any, kind: str) -> list[dict[str, Any]]:
    given = shapes.get(kind, {}) if isinstance(shapes, dict) else {}
    return [entry for entry in given.values() if isinstance(entry, dict)] if isinstance(given, dict) else []


def _classes(shapes: Any) -> list[str]:
    """The names of the channels of the first output, in their order; empty where they are not all named."""
    for output in _entries(shapes, "outputs"):
        named = output.get("channel_def")
        if isinstance(named, dict) and len(named) > 1 and set(named) == {str(i) for i in range(len(named))}:
            return [str(named[str(index)]) for index in range(len(named))]
    return []


def _build(name: str, options: Mapping[str, Any]) -> nn.Module:
    nets = library(NETWORKS, "monai")
    kind = getattr(nets, name, None)
    if not isinstance(kind, type):
        raise UsageError(f"{NETWORKS} has no network {name}")
    try:
        network: nn.Module = kind(**options)
    except Exception as error:
        raise UsageError(
            f"{NETWORKS}.{name} cannot be built: {' '.join(str(error).split())[:300]}"
        ) from error
    return network


def _transposed(network: nn.Module) -> nn.Module:
    """The network for images as they are; it is given, and returns, maps with the width first."""

    def enter(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        del module
        return (given[0].transpose(2, 3), *given[1:])

    def leave(module: nn.Module, given: tuple[Any, ...], result: Any) -> Any:
        del module, given
        parts = isinstance(result, (list, tuple))
        return [part.transpose(2, 3) for part in result] if parts else result.transpose(2, 3)

    network.register_forward_pre_hook(enter)
    network.register_forward_hook(leave)
    return network
