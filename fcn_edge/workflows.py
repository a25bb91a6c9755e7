"""What the commands do, as functions: from a network or recipe, weights and a card to `fcn_edge_export`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcn_edge.card_file import (
    NORMALIZATIONS,
    Description,
    card_from,
    description_from,
    read_classes,
    read_description,
    read_normalization,
)
from fcn_edge.nets import NetSpec, resolve
from fcn_edge.nets.loading import is_import_spec
from fcn_edge.nets.sources.reading import is_saved, read_saved
from fcn_edge.nets.sources.saved import SavedNet
from fcn_edge.nets.weights.sources import (
    BuiltWeights,
    RandomWeights,
    Weights,
    build_with_weights,
    parse_weights,
)
from fcn_edge.recipes import Recipe, find_recipe, recipes
from fcn_edge_export import (
    ExportOptions,
    ExportResult,
    Fp16Options,
    LoweringResult,
    VerifyOptions,
    VerifyResult,
    convert_to_fp16,
    export,
    quantize,
    verify,
)
from fcn_edge_export.artifact import OutputFile
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.evaluation.masks import LabelFolder
from fcn_edge_runtime.imaging.frames import frames_of
from fcn_edge_runtime.model.card import Card, NetInfo
from fcn_edge_runtime.progress import Progress

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ExportPlan",
    "Precision",
    "Request",
    "export_lowered",
    "export_network",
    "plan_export",
    "verify_network",
]


@dataclass(frozen=True)
class Request:
    """A network and its weights, as typed.

    Attributes:
        net: a recipe, a network of the registry, `package.module:callable`, `file.py:callable`, or
            `hf:FOLDER`, `smp:FOLDER`, `monai:FOLDER`.
        weights: FILE, URL, random[:SEED] or built; None takes the recipe's.
        classes: voc, cityscapes, a number or a file; None takes the recipe's, or numbers them.
        channels: of the image; None takes the recipe's or the network's.
        settings: options of the network, text or values.
        card: a card file.
        images: folders or files of frames to verify at.
        normalize: imagenet, 0-1, none or MEAN/STD; None takes the card's, the recipe's or the network's.
        sha256: of the file of the weights, 64 hex digits; None where the URL or the recipe has it.
        trust_remote_code: run Python code that came with a network of `hf:`.
        license: of the model; None takes the card's, the recipe's or the network's.
        author: of the model; None takes the card's.
        resolution: meters on the ground for a pixel of the training data; None takes the card's.
    """

    net: str
    weights: str | None = None
    classes: str | None = None
    channels: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    card: Path | None = None
    images: tuple[str, ...] = ()
    normalize: str | None = None
    sha256: str | None = None
    trust_remote_code: bool = False
    license: str | None = None
    author: str | None = None
    resolution: float | None = None


@dataclass(frozen=True)
class Precision:
    """What an exported network is lowered to, and on which frames.

    Attributes:
        name: fp32 (not at all), fp16 or int8.
        calibration: folders or files of frames to calibrate int8 on.
        labels: the folder of the true labels of the request's images.
    """

    name: str = "fp32"
    calibration: tuple[str, ...] = ()
    labels: LabelFolder | None = None

    def check(self, images: Sequence[str]) -> None:
        """Check that the options fit each other.

        Raises:
            UsageError: they do not; the message names what is missing or unused.
        """
        if self.name == "int8" and not self.calibration:
            raise UsageError("--precision int8 needs images to calibrate on: give --calibration DIR")
        if self.name == "fp16" and not images:
            raise UsageError("--precision fp16 needs images to verify on: give --images DIR")
        if self.name != "int8" and self.calibration:
            raise UsageError(
                f"--calibration is given for {self.name}, which needs none: add --precision int8"
            )
        if self.labels is not None and (self.name == "fp32" or not images):
            raise UsageError(
                "--labels compares int8 and fp16 with true labels of --images: give --precision and --images"
            )


@dataclass(frozen=True)
class ExportPlan:
    """A request resolved: nothing is built or fetched yet.

    Attributes:
        spec: the network.
        weights: where they come from.
        card: the draft of the model's card.
        images: of the request.
        source: where the card's mean and std come from: "recipe", "card", "checkpoint", "--normalize" or
            "default", with a name behind some of them.
        working_size: the size to which the network's own preprocessing resizes images; None is their own.
        notes: what that preprocessing does and the file does not.
        outputs: what the file computes unless the user says otherwise.
    """

    spec: NetSpec
    weights: Weights
    card: Card
    images: tuple[str, ...]
    source: str
    working_size: str | None = None
    notes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("labels",)


def plan_export(request: Request) -> ExportPlan:
    """Resolve a request, for `export_network` or `export_lowered`.

    Raises:
        UsageError: a name, option, class list or card that does not exist or fit; or nothing states how the
            input of the user's own network was normalized.
    """
    plan = _plan(request)
    card = plan.card
    card = replace(card, license=request.license or card.license, author=request.author or card.author)
    if request.resolution is not None:
        card = replace(card, input=replace(card.input, resolution=request.resolution))
    plan = replace(plan, card=card)
    if plan.source == "default" and is_import_spec(request.net):
        known = ", ".join(f"{name} ({formula})" for name, formula in NORMALIZATIONS.items())
        raise UsageError(
            f"nothing states how {request.net} was trained to get its input: add --normalize with one of "
            f"{known}, or a --card with mean and std"
        )
    return plan


def export_network(
    request: Request | ExportPlan,
    output: Path,
    *,
    options: ExportOptions,
    progress: Progress | None = None,
) -> ExportResult:
    """Build the requested network and export it.

    Args:
        request: as typed, or the plan that `plan_export` made of it.
        output: the file to write, NAME.onnx.
        options: outputs, sizes, devices, head, working size.
        progress: receives the stages as they run.

    Raises:
        UsageError: a name, option, class list or card that does not exist or fit.
        CheckpointError: the weights cannot be fetched or read, or do not fit.
        VerificationError, ArtifactError, ProviderError: see `fcn_edge_export.export`.
    """
    plan = plan_export(request) if isinstance(request, Request) else request
    OutputFile.at(output)  # before weights are fetched
    frames = frames_of(plan.images, plan.card)  # before weights are fetched
    net = _built(plan, progress)
    return export(
        net,
        plan.card,
        output,
        images=frames,
        options=replace(
            options,
            trained=not isinstance(plan.weights, RandomWeights),
            working_size=options.working_size or plan.working_size,
        ),
        progress=progress,
    )


def export_lowered(
    request: Request | ExportPlan,
    output: Path,
    *,
    precision: Precision,
    options: ExportOptions,
    progress: Progress | None = None,
) -> LoweringResult:
    """Export a network in one go to int8 or fp16: the float file is verified in a temporary folder.

    The float parent is not kept. Its digest is on the card, and exporting again without `--precision` gives
    the same bytes.

    Raises:
        UsageError: options that do not fit each other.
        VerificationError: the float file, or the lowered one, does not decide like its reference.
        InputError, CheckpointError, ArtifactError, ProviderError: as the steps say.
    """
    plan = plan_export(request) if isinstance(request, Request) else request
    precision.check(plan.images)
    OutputFile.at(output)  # before the work starts
    with tempfile.TemporaryDirectory(prefix="fcn-edge-") as folder:
        parent = Path(folder, output.name)
        export_network(plan, parent, options=options, progress=progress)
        if precision.name == "fp16":
            device = next((device for device in options.devices if device != "cpu"), "cpu")
            return convert_to_fp16(
                parent,
                output,
                plan.images,
                labels=precision.labels,
                options=Fp16Options(device=device),
                progress=progress,
            )
        return quantize(
            parent,
            output,
            precision.calibration,
            images=plan.images or None,
            labels=precision.labels,
            progress=progress,
        )


def verify_network(
    request: Request,
    model: Path,
    *,
    options: VerifyOptions,
    progress: Progress | None = None,
) -> VerifyResult:
    """Build the requested network and compare an existing file with it.

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


def _plan(request: Request) -> ExportPlan:
    if is_saved(request.net):
        return _plan_saved(request)
    recipe = find_recipe(request.net)
    fixed = recipe.options if recipe else {}
    options = {**fixed, **request.settings}
    classes = read_classes(request.classes) if request.classes is not None else None
    if request.card is not None:
        described = read_description(request.card)
    else:
        described = description_from(recipe.card if recipe else {}, f"the recipe {request.net}")
    described, source = _normalized(request, described, recipe)
    if classes is not None and described.classes is not None and request.card is not None:
        raise UsageError(f"classes are given twice: by --classes and by {request.card}")
    named = classes if classes is not None else described.classes
    name = recipe.net if recipe else request.net
    own = is_import_spec(name)  # the user's own callable gets its options and nothing else
    channels = request.channels or (described.input or {}).get("channels")
    spec = resolve(
        name,
        num_classes=None if own or "num_classes" in fixed else _scores(named, request.classes),
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
    weights = parse_weights(*_weights(request, recipe))
    plan = ExportPlan(spec, weights, card, request.images, source)
    return plan if recipe is None else replace(plan, working_size=recipe.working_size, outputs=recipe.outputs)


def _plan_saved(request: Request) -> ExportPlan:
    """The plan of a network that another library saved: its files say what is not typed."""
    if request.weights is not None or request.sha256 is not None or request.settings:
        raise UsageError(
            f"{request.net} brings its weights and options: leave out --weights, --sha256 and --set"
        )
    saved: SavedNet = read_saved(request.net, trust_remote_code=request.trust_remote_code)
    described = (
        read_description(request.card)
        if request.card is not None
        else description_from(saved.card, request.net)
    )
    described, source = _normalized(request, described, None)
    if request.card is None and request.normalize is None and described.normalizes:
        source = f"{request.net} {saved.preprocessing}"
    card = card_from(
        described,
        name=str(saved.card["name"]),
        net=NetInfo(saved.spec.name, {}),
        classes=read_classes(request.classes) if request.classes is not None else None,
        channels=request.channels,
    )
    weights = BuiltWeights() if saved.weights is None else parse_weights(saved.weights)
    return ExportPlan(saved.spec, weights, card, request.images, source, saved.working_size, saved.notes)


def _normalized(request: Request, described: Description, recipe: Recipe | None) -> tuple[Description, str]:
    """The description with its mean and std, and what states them; "default" where nothing does."""
    given = dict(described.input or {})
    if request.normalize is not None:
        if described.normalizes and request.card is not None:
            raise UsageError(f"mean and std are given twice: by --normalize and by {request.card}")
        given.update(read_normalization(request.normalize))
        return replace(described, input=given), f"--normalize {request.normalize}"
    if described.normalizes:
        return described, f"recipe {request.net}" if request.card is None else f"card {request.card}"
    known = recipe if recipe is not None else _recipe_of(request.weights)
    if known is None or "mean" not in known.card.get("input", {}):
        return described, "default"
    source = f"recipe {known.name}" if recipe is not None else f"checkpoint {known.name}"
    return replace(described, input={**known.card["input"], **given}), source


def _recipe_of(weights: str | None) -> Recipe | None:
    """The recipe with a checkpoint of this name, which holds a part of its hash."""
    if weights is None:
        return None
    name = Path(weights.partition("#")[0]).name
    return next((r for r in recipes() if "://" in r.weights and Path(r.weights).name == name), None)


def _scores(named: Sequence[object] | None, typed: str | None) -> int | None:
    """Channels of the logits for these classes: `--classes 1` is a binary network with one logit."""
    if typed == "1":
        return 1
    return len(named) if named is not None else None


def _channels_of(spec: NetSpec) -> int | None:
    value = spec.options.get("in_channels")
    return value if isinstance(value, int) else None


def _weights(request: Request, recipe: Recipe | None) -> tuple[str, str | None]:
    if request.weights is not None:
        return request.weights, request.sha256
    if recipe is None:
        raise UsageError(
            f"no weights are given for {request.net}: add --weights FILE or URL, --weights random[:SEED] for "
            "an untrained network, or --weights built for what your own callable loaded"
        )
    return recipe.find_weights(), request.sha256 or recipe.sha256


def _built(plan: ExportPlan, progress: Progress | None) -> nn.Module:
    return build_with_weights(plan.spec, plan.weights, progress=progress)
