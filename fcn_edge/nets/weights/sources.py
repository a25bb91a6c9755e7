"""Where a network's weights come from, and building a network with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fcn_edge.nets.building import NetSpec, resolve
from fcn_edge.nets.registry import entries
from fcn_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from fcn_edge.nets.weights.download import WeightsUrl
    from fcn_edge_runtime.progress import Progress

__all__ = [
    "BuiltWeights",
    "FileWeights",
    "RandomWeights",
    "UrlWeights",
    "Weights",
    "build_with_weights",
    "parse_weights",
]


@dataclass(frozen=True)
class FileWeights:
    """A `.safetensors`, `.pth` or `.pt` file, and its expected SHA-256."""

    path: Path
    sha256: str | None = None


@dataclass(frozen=True)
class UrlWeights:
    """A file on the web, kept in the cache."""

    source: WeightsUrl


@dataclass(frozen=True)
class RandomWeights:
    """Untrained: what the callable draws after `torch.manual_seed(seed)`."""

    seed: int = 0


@dataclass(frozen=True)
class BuiltWeights:
    """Whatever the user's own callable put into the network."""


Weights = FileWeights | UrlWeights | RandomWeights | BuiltWeights

_LARGEST_SEED = 2**63 - 1


def parse_weights(text: str, sha256: str | None = None) -> Weights:
    """`FILE`, `URL`, `random`, `random:SEED` or `built`. A file called `random` is given as `./random`.

    Args:
        text: as typed.
        sha256: the expected hash of the file.

    Raises:
        UsageError: an invalid seed or hash, or a URL that cannot be checked (see `download.parse_url`).
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"the SHA-256 has {len(sha256)} characters, expected 64 hex digits")
    weights = _parsed(text, sha256)
    if sha256 is not None and isinstance(weights, (RandomWeights, BuiltWeights)):
        raise UsageError(f"--weights {text} is no file, and a SHA-256 is given: leave it out")
    return weights


def _parsed(text: str, sha256: str | None) -> Weights:
    if not text.strip():
        raise UsageError("no weights given, expected FILE, URL, random[:SEED] or built")
    if text == "built":
        return BuiltWeights()
    if text == "random" or text.startswith("random:"):
        digits = text.partition(":")[2] if ":" in text else "0"
        if not re.fullmatch(r"[0-9]{1,19}", digits) or int(digits) > _LARGEST_SEED:
            raise UsageError(
                f"the seed in {text!r} is not a whole number from 0 to {_LARGEST_SEED}: write random:0"
            )
        return RandomWeights(int(digits))
    if re.match(r"[A-Za-z][\w+.-]*://", text):
        from fcn_edge.nets.weights.download import parse_url

        return UrlWeights(parse_url(text, sha256))
    return FileWeights(Path(text).expanduser(), sha256)


def build_with_weights(
    spec: str | NetSpec,
    weights: str | Weights,
    num_classes: int | None = None,
    in_channels: int | None = None,
    options: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> nn.Module:
    """A network with its weights, in eval mode.

    Args:
        spec: what `building.resolve` takes, or what it returned; then leave the next three None.
        weights: what `parse_weights` takes, or what it returned.
        num_classes: channels of the logits, for networks of the registry.
        in_channels: channels of the image, for networks of the registry.
        options: keyword arguments of the network; text is parsed.
        progress: receives the download of a URL, in bytes, as one stage.

    Raises:
        UsageError: no such network, option or kind of weights; `built` for a network of the registry.
        CheckpointError: weights that cannot be fetched or read, or that do not fit.
    """
    import torch

    from fcn_edge.nets.weights.checkpoints import load_weights
    from fcn_edge.nets.weights.download import check_hash, fetch
    from fcn_edge.nets.weights.formats import identify

    if isinstance(weights, str):
        weights = parse_weights(weights)
    if isinstance(spec, str):
        spec = resolve(spec, num_classes, in_channels, options)
    if isinstance(weights, BuiltWeights) and spec.name in {entry.name for entry in entries()}:
        raise UsageError(
            f"{spec.name} is built without trained weights: give a file or URL, or random[:SEED]"
        )

    path = fetch(weights.source, progress) if isinstance(weights, UrlWeights) else None
    if isinstance(weights, FileWeights):
        path = weights.path
        if weights.sha256 is not None:
            check_hash(path, weights.sha256)
    if path is not None:
        identify(path)  # a wrong file is reported before seconds are spent on building
    if isinstance(weights, RandomWeights):
        torch.manual_seed(weights.seed)
    net = spec.build()
    if path is not None:
        load_weights(net, path)
    return net.eval()
