"""What to type to get a variant of a model as a verified file, and to see that it keeps up with a camera."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn_edge.nets.loading import is_import_spec
from fcn_edge.planning.variants import Variant
from fcn_edge.recipes import Recipe, recipes
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.model.card import Card

__all__ = ["Typed", "commands_for", "described"]

AGREEMENT = 0.99  # what `quantize` asks for by default
MARGIN = 0.005  # by which other frames may agree less than those measured


@dataclass(frozen=True)
class Typed:
    """What the user typed, and what of it the model tells.

    Attributes:
        model: the path of the model.
        images: folders, files or patterns of frames.
        size: (height, width) of the frames; None is their own.
        rate: frames a second.
        weights: what the model was exported or adopted from, where that was given.
        folder: where files are to go; None is beside the model.
        sibling: the path of the model's int8 file, where there is one.
        outputs: of the model.
    """

    model: str
    images: tuple[str, ...]
    size: tuple[int, int] | None
    rate: float
    weights: str | None = None
    folder: Path | None = None
    sibling: str = ""
    outputs: tuple[str, ...] = ("labels",)

    def place(self, ending: str) -> str:
        """A file named after the model."""
        path = Path(self.model)
        return str((self.folder or path.parent) / f"{path.stem}{ending}")


def commands_for(variant: Variant, kept_by_int8: float, typed: Typed, card: Card) -> tuple[str, ...]:
    """The commands, in order; none of them replaces the model.

    Args:
        variant: what they make.
        kept_by_int8: share of its labels that were those of the same in float, 0..1.
        typed: by the user.
        card: of the model.
    """
    model, lines = typed.model, []
    name = f".{variant.working_size}" if variant.working_size else ""
    if variant.working_size:
        made = typed.place(f"{name}.onnx")
        working = ["--working-size", variant.working_size]
        lines.append([*_network(card, typed), *_choices(card, typed), *working, "-o", made])
        model = made
    if variant.int8 and not variant.working_size and typed.sibling:
        model = typed.sibling
    elif variant.int8:
        made = typed.place(f"{name}.int8.onnx")
        frames = [word for given in typed.images for word in ("--calibration", given)]
        lines.append(["quantize", model, *frames, *_agreement(kept_by_int8), "-o", made])
        model = made
    images = [word for given in typed.images for word in ("--images", given)]
    size = [] if typed.size is None else ["--size", size_text(typed.size)]
    profile: list[str] = []
    if variant.tuned:
        made = str(Path(model).with_suffix(".profile.json"))
        lines.append(["tune", model, *images, *size, "-o", made])
        profile = ["--profile", made]
    lines.append(["bench", model, *images, *size, "--rate", f"{typed.rate:g}", *profile])
    return tuple(shlex.join(["fcn-edge", *words]) for words in lines)


def described(card: Card) -> str:
    """A card file that makes an export give this card: what its user decides, as JSON."""
    given = card.to_dict()
    classes = [{"name": entry["name"], "color": list(entry["color"])} for entry in given["classes"]]
    parts: dict[str, Any] = {
        name: given[name] for name in ("name", "description", "license", "author", "input") if name in given
    }
    if not _one_logit(card):  # whose classes are those of `--classes 1`
        parts["classes"] = classes
    return json.dumps(parts, indent=2) + "\n"


def _agreement(measured: float) -> Sequence[str]:
    """The option that lets `quantize` write what was measured, without more layers in float."""
    least = math.floor(200 * (measured - MARGIN)) / 200
    return [] if least >= AGREEMENT else ["--agreement", f"{max(least, 0.005):g}"]


def _network(card: Card, typed: Typed) -> list[str]:
    """The command that made the model, and the arguments that name the network and its weights."""
    place = typed.place(".card.json") if typed.folder is not None else "CARD"
    if card.verification.reference == "onnx":
        return ["adopt", typed.weights or "THEIR.onnx", "--card", place]
    recipe = _recipe_of(card)
    if recipe is not None:
        return ["export", recipe.name]
    own = is_import_spec(card.net.name)  # else the card and --classes set what they share with the options
    options = [
        f"--set={key}={value}"
        for key, value in sorted(card.net.options.items())
        if own or key not in ("num_classes", "in_channels")
    ]
    binary = ["--classes", "1"] if _one_logit(card) else []
    weights = typed.weights or "WEIGHTS"
    return ["export", card.net.name, *options, "--weights", weights, "--card", place, *binary]


def _one_logit(card: Card) -> bool:
    """Whether it is a network of the registry with one logit for two classes."""
    return not is_import_spec(card.net.name) and card.net.options.get("num_classes") == 1


def _choices(card: Card, typed: Typed) -> list[str]:
    """The options of the export that the file tells, where they are not the defaults."""
    outputs = ",".join(typed.outputs)
    chosen = {
        "--outputs": "" if outputs == "labels" else outputs,
        "--head": "" if card.head == "dense" else card.head,
        "--output-name": card.net.output,
        "--activation": "" if card.net.activation == "none" else card.net.activation,
        "--inputs": card.net.inputs,
        "--border": "" if card.net.border == "none" else card.net.border,
    }
    return [word for option, value in chosen.items() if value for word in (option, value)]


def _recipe_of(card: Card) -> Recipe | None:
    """The recipe that exports this card with these very weights; None where that is not sure."""
    from fcn_edge.workflows import Request, plan_export

    for recipe in recipes():
        if recipe.net != card.net.name or not recipe.has_weights:
            continue
        draft = plan_export(Request(recipe.name)).card
        if _decided(draft) == _decided(card) and _state_sha256(recipe.weights) == card.net.weights_sha256:
            return recipe
    return None


def _decided(card: Card) -> tuple[object, ...]:
    """What a recipe decides of a card."""
    return card.name, card.classes, card.input, card.net.name, dict(card.net.options)


def _state_sha256(weights: str) -> str:
    """What the card of a file with these weights holds, see `reference.weights_sha256`; empty if unknown."""
    if not weights.endswith(".safetensors") or "://" in weights:
        return ""
    try:
        from safetensors.numpy import load_file
    except ImportError:
        return ""
    state: dict[str, Any] = load_file(weights)
    digest = hashlib.sha256()
    for name, stored in sorted(state.items()):
        tensor = stored.astype("float32") if stored.dtype.kind == "f" else stored  # as a network holds it
        digest.update(f"{name}|{tensor.dtype}|{list(tensor.shape)}|".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
