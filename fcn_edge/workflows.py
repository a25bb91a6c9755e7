"""From what a user types to an export: network or recipe, weights, card, frames, then `fcn_edge_export`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge.card_file import card_from, description_from, read_classes, read_description
from fcn_edge.nets import NetSpec, resolve
from fcn_edge.nets.weights.sources import RandomWeights, Weights, build_with_weights, parse_weights
from fcn_edge.recipes import Recipe, find_recipe
from fcn_edge_export import ExportOptions, ExportResult, VerifyOptions, VerifyResult, export, verify
from fcn_edge_export.artifact import OutputFile
from fcn_edge_runtime._files import require_writable
from fcn_edge_runtime.errors import ArtifactError, UsageError
from fcn_edge_runtime.imaging.frames import frames_of
from fcn_edge_runtime.model.card import Card, NetInfo
from fcn_edge_runtime.progress import Progress

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Request", "export_network", "require_profile_place", "verify_network"]


@dataclass(frozen=True)
class Request:
    """A network and its weights, as typed.

    Attributes:
        net: a recipe, a network of the registry, `package.module:callable` or `file.py:callable`.
        weights: FILE, URL, random[:SEED] or built; None takes the recipe's.
        classes: voc, cityscapes, a number or a file; None takes the recipe's, or numbers them.
        channels: of the image; None takes the recipe's or the network's.
        settings: options of the network, text or values.
        card: a card file.
        images: folders or files of frames to verify at.
    """

    net: str
    weights: str | None = None
    classes: str | None = None
    channels: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    card: Path | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """A request resolved: nothing is built or fetched yet."""

    spec: NetSpec
    weights: Weights
    card: Card


def export_network(
    request: Request,
    output: Path,
    *,
    options: ExportOptions,
    progress: Progress | None = None,
) -> ExportResult:
    """Build the network that was asked for and export it.

    Raises:
        UsageError: a name, option, class list or card that does not exist or fit.
        CheckpointError: the weights cannot be fetched or read, or do not fit.
        VerificationError, ArtifactError, ProviderError: see `fcn_edge_export.export`.
    """
    plan = _plan(request)
    OutputFile.at(output)  # before weights are fetched
    frames = frames_of(request.images, plan.card)  # before weights are fetched
    net = _built(plan, progress)
    return export(
        net,
        plan.card,
        output,
        images=frames,
        options=replace(options, trained=not isinstance(plan.weights, RandomWeights)),
        progress=progress,
    )


def verify_network(
    request: Request,
    model: Path,
    *,
    options: VerifyOptions,
    progress: Progress | None = None,
) -> VerifyResult:
    """Build the network that was asked for and hold an existing file against it.

    Raises:
        UsageError, CheckpointError: as `export_network`.
        VerificationError, ModelError, ProviderError: see `fcn_edge_export.verify`.
    """
    plan = _plan(request)
    return verify(
        model,
        _built(plan, progress),
        images=request.images,
        options=options,
        progress=progress,
    )


def _plan(request: Request) -> _Plan:
    recipe = find_recipe(request.net)
    options = {**(recipe.options if recipe else {}), **request.settings}
    classes = read_classes(request.classes) if request.classes is not None else None
    if request.card is not None:
        described = read_description(request.card)
    else:
        described = description_from(recipe.card if recipe else {}, f"the recipe {request.net}")
    if classes is not None and described.classes is not None and request.card is not None:
        raise UsageError(f"classes are given twice: by --classes and by {request.card}")
    named = classes if classes is not None else described.classes
    name = recipe.net if recipe else request.net
    own = ":" in name  # the user's own callable gets its options and nothing else
    channels = request.channels or (described.input or {}).get("channels")
    spec = resolve(
        name,
        num_classes=_scores(named, request.classes) if not own else None,
        in_channels=None if own else channels,
        options=options,
    )
    card = card_from(
        described,
        name=recipe.name if recipe else spec.name.split(":")[-1 if spec.name.endswith(".py") else 0],
        net=NetInfo(spec.name, dict(spec.options)),
        classes=classes,
        channels=channels or _channels_of(spec),
    )
    return _Plan(spec, parse_weights(*_weights(request, recipe)), card)


def _scores(named: Sequence[object] | None, typed: str | None) -> int | None:
    """Channels of the logits for these classes: `--classes 1` is a binary network with one score."""
    if typed == "1":
        return 1
    return len(named) if named is not None else None


def _channels_of(spec: NetSpec) -> int | None:
    value = spec.options.get("in_channels")
    return value if isinstance(value, int) else None


def _weights(request: Request, recipe: Recipe | None) -> tuple[str, str | None]:
    if request.weights is not None:
        return request.weights, None
    if recipe is None:
        raise UsageError(
            f"no weights are given for {request.net}: add --weights FILE or URL, --weights random[:SEED] for "
            "an untrained network, or --weights built for what your own callable loaded"
        )
    return recipe.find_weights(), recipe.sha256


def _built(plan: _Plan, progress: Progress | None) -> nn.Module:
    return build_with_weights(plan.spec, plan.weights, progress=progress)


def require_profile_place(out: Path, model: str) -> None:
    """Find out before a search starts whether its profile can be written.

    Raises:
        ArtifactError: it cannot.
        UsageError: it would overwrite the model.
    """
    if out.is_dir():
        raise ArtifactError(f"{out} is a folder, expected the name of a file")
    if os.path.realpath(out) == os.path.realpath(model):
        raise UsageError(f"the profile {out} would overwrite the model: choose another name with -o")
    require_writable(out.parent)
