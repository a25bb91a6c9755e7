"""variant(): a verified file in the layout of another consumer, every label held to its parent's.

    open -> lay out -> compare -> write

The variant is a child: it holds its parent's digest, the classes, and the consumer's own metadata, and is
sealed. It breaks the contract of our files on purpose, so our runtime does not run it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx

from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.graph.names import LOGITS
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.graph.reject import refuse_rejecting
from fcn_edge_export.introduction import introduce
from fcn_edge_export.simplify import operators
from fcn_edge_export.variants.check import cases_for, compare
from fcn_edge_export.variants.layout import laid_out
from fcn_edge_export.variants.target import Facts, Target
from fcn_edge_export.variants.targets import target_named
from fcn_edge_export.verification.activation import last_activation
from fcn_edge_export.verification.report import produced_by
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.model.file import VARIANT_KEY, ModelFile
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.golden_vectors import GOLDEN_SIZES, raise_to
from fcn_edge_runtime.model.seal import sealed
from fcn_edge_runtime.progress import Progress, Stage, Stages
from fcn_edge_runtime.selftest import require_passed, run_selftest
from fcn_edge_runtime.session.config import needed_config
from fcn_edge_runtime.session.session import SessionOptions, open_session

__all__ = ["VariantResult", "variant", "write_variant"]

SCHEMA = "fcn-edge-variant/1"


@dataclass(frozen=True)
class VariantResult:
    """A variant that was written.

    Attributes:
        path: the file.
        report: what was compared, JSON.
        target: the consumer's name.
        digest: SHA-256 of the file.
        bytes: of the file.
        parent: SHA-256 of the file that it was made of.
        takes: its input: name, type, shape and meaning.
        gives: its outputs likewise.
        parent_takes: the parent's input, to compare with.
        parent_gives: the parent's outputs.
        duties: what the consumer must do itself.
        inputs: how many were compared.
        pixels: in them.
        ties: labels that differ where the parent's two best logits are equal up to rounding.
        blind: whether fewer than two labels were seen, so that little was compared.
        stages: every stage with its time.
    """

    path: Path
    report: Path
    target: str
    digest: str
    bytes: int
    parent: str
    takes: str
    gives: tuple[str, ...]
    parent_takes: str
    parent_gives: tuple[str, ...]
    duties: tuple[str, ...]
    inputs: int
    pixels: int
    ties: int
    blind: bool
    stages: tuple[Stage, ...] = field(repr=False)


def variant(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    target: str,
    *,
    images: FrameSource | None = None,
    progress: Progress | None = None,
) -> VariantResult:
    """Write a verified file in the layout of another consumer.

    Args:
        path: the file.
        output: the file to write; `NAME.verification.json` is written beside it.
        target: a name of `variants.targets.TARGETS`, with `:HxW` behind it where the size is fixed, such as
            "deepness:512x512".
        images: further images on which labels must be equal: a folder, paths, arrays, a mapping or a
            function, see `fcn_edge_runtime.imaging.frames.frames_of`.
        progress: receives the stages as they run.

    Raises:
        UsageError: an unknown target, a size that does not fit, or a model that the target cannot express.
        VerificationError: a label differs from the parent's. Nothing is written.
        ModelError: the file was not written by fcn-edge, or was changed.
        ArtifactError: the file cannot be written. Nothing is written.
    """
    wanted, size = target_named(target)
    return write_variant(path, output, wanted, size, images=images, progress=progress)


def write_variant(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    wanted: Target,
    size: tuple[int, int] | None = None,
    *,
    images: FrameSource | None = None,
    progress: Progress | None = None,
) -> VariantResult:
    """`variant` for a target that need not have a name, and a (height, width) or None."""
    place = OutputFile.at(output, wanted.ending)
    if place.path.exists() and place.path.samefile(path):
        raise UsageError(f"{path} is the parent: write the variant beside it, under another name")
    stages = Stages(progress)
    with ModelFile.open(path) as file:
        with stages.stage("open") as did:
            card = file.card
            refuse_rejecting(card, path)
            wanted.check(card)
            given = {} if images is None else frames_of(images, card)
            whole = onnx.load_model_from_string(file.data())
            _check_scores(whole, card, wanted)
            parent = open_session(file, "cpu")
            require_passed(run_selftest(parent, card, file.golden))
            did.text = f"{card.name}, {len(card.classes)} classes; its self-test passed"

        def probe() -> Any:
            return open_session(with_logits_output(whole), "cpu", options=_integers(card))

        with stages.stage("lay out") as did:
            first = raise_to(GOLDEN_SIZES, card.geometry.smallest_size)[0]
            image = pattern(*first, card.input.channels, 1, card.input)
            planes = int(probe().run(image, [LOGITS])[LOGITS].shape[1])
            facts = Facts(card, file.digest, wanted.sized_for(size, card), planes)
            model = laid_out(whole, card, planes, wanted, facts.size)
            did.text = f"{len(model.graph.node)} nodes, {len(operators(model))} operators"
        with stages.stage("compare", unit="inputs") as did:
            cases = cases_for(file, facts.size, given)
            session = open_session(model.SerializeToString(), "cpu", options=_integers(card))
            found = compare(parent, probe, session, wanted, facts, cases, stages.progress)
            ties = f", but {found.ties} at ties of two classes" if found.ties else ""
            did.text = f"{found.pixels:,} labels of {len(found.sizes)} inputs are the parent's{ties}"
    record = {**_record(card, file.digest, wanted, facts), "compared": asdict(found)}
    takes = f"{_shape_text(model.graph.input[0])}, {wanted.pixels_in(card)}"
    with stages.stage("write") as did:
        onnx.helper.set_model_props(
            model,
            {
                **introduce(model, card),
                **dict(sorted(wanted.metadata(facts).items())),
                VARIANT_KEY: json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False),
            },
        )
        data = sealed(model.SerializeToString(deterministic=True))
        if wanted.packed is not None:
            data = wanted.packed(data, facts)
        digest = hashlib.sha256(data).hexdigest()
        with place.draft(data) as draft:
            place.publish(draft, {"model_sha256": digest, **record})
        did.text = f"{len(data) / 1e6:.1f} MB, sealed"
    return VariantResult(
        path=place.path,
        report=place.report,
        target=wanted.name,
        digest=digest,
        bytes=len(data),
        parent=file.digest,
        takes=takes,
        gives=tuple(_shape_text(value) for value in model.graph.output),
        parent_takes=_shape_text(whole.graph.input[0]),
        parent_gives=tuple(_shape_text(value) for value in whole.graph.output),
        duties=wanted.duties(facts),
        inputs=len(found.sizes),
        pixels=found.pixels,
        ties=found.ties,
        blind=len(found.seen) < 2,
        stages=tuple(stages.done),
    )


def _check_scores(model: onnx.ModelProto, card: Card, target: Target) -> None:
    """Raise UsageError where the target needs scores, and the network gives none or probabilities."""
    if target.gives not in ("probabilities", "logits", "class logits"):
        return
    if card.net.activation == "argmax":
        raise UsageError(f"{target.name} needs scores of each class, this network gives labels alone")
    last = last_activation(model)
    if last:
        raise UsageError(
            f"{target.name} needs logits, this network ends in {last}: export it again with --activation "
            f"{last.lower()}, which undoes it"
        )


def _integers(card: Card) -> SessionOptions:
    return SessionOptions(config=needed_config(card.precision))


def _record(card: Card, digest: str, target: Target, facts: Facts) -> dict[str, Any]:
    """What a variant says of itself: its target, its parent, and what the labels mean."""
    return {
        "schema": SCHEMA,
        "target": target.name,
        "size": facts.size,
        "parent_sha256": digest,
        "name": card.name,
        "license": card.license,
        "precision": card.precision,
        "classes": [asdict(entry) for entry in card.classes],
        "takes": target.takes,
        "gives": target.gives,
        "produced_by": produced_by(),
    }


def _shape_text(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dims = ", ".join(str(d.dim_param or d.dim_value) for d in kind.shape.dim)
    return f"{value.name} {onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)} [{dims}]"
