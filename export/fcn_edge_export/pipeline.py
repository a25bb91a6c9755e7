"""export(): probe, trace, simplify, graft, sizes, verify, write, in that order and in one direction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from fcn_edge_export.artifact import OutputFile, assemble
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.final_card import GraphFacts, drafted, finished_card
from fcn_edge_export.graph.geometry import geometry
from fcn_edge_export.graph.graft import can_be_sparse, check_classes, graft
from fcn_edge_export.graph.head_choice import choose_sparse
from fcn_edge_export.graph.probe_outputs import with_logits_output
from fcn_edge_export.graph.working_size import fitted, parse_working_size, whole_geometry
from fcn_edge_export.options import ExportOptions
from fcn_edge_export.simplify import Simplified, operators, simplify
from fcn_edge_export.verification.activation import require_logits
from fcn_edge_export.verification.borders import SizeRange, find_range, of_images
from fcn_edge_export.verification.certify import all_cases, certify, check_draft
from fcn_edge_export.verification.report import produced_by, verdict_text, verification_report
from fcn_edge_export.verification.verdict import Verdict
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import UNTRAINED, Card, WorkingSize
from fcn_edge_runtime.model.contract import OPSET
from fcn_edge_runtime.progress import Progress, Stage, Stages
from fcn_edge_runtime.session.session import open_session

if TYPE_CHECKING:
    from torch import nn

    from fcn_edge_export.conditions import Condition
    from fcn_edge_export.probe import Sizes
    from fcn_edge_export.reference import Reference

__all__ = ["ExportResult", "export"]


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        path: the model.
        report: its verification report, JSON.
        digest: SHA-256 of the model file.
        bytes: size of the model file.
        card: the card in the file.
        stages: every stage with its time and what it did.
        verdicts: the comparison with PyTorch, one a device.
    """

    path: Path
    report: Path
    digest: str
    bytes: int
    card: Card
    stages: tuple[Stage, ...]
    verdicts: tuple[Verdict, ...]


def export(  # noqa: PLR0915 (the stages, one after the other, are the point)
    net: nn.Module,
    card: Card,
    path: str | os.PathLike[str],
    *,
    images: FrameSource | None = None,
    options: ExportOptions | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Turn a network into one ONNX file that is verified to decide like PyTorch, or raise an error.

    Args:
        net: maps float32 [N, C, H, W] to logits [N, K, H, W], alone or among other maps in a tuple, list,
            dict or object, see `options.output_name`. It is not changed.
        card: name, classes and input of the model. With no classes they are numbered.
        path: the file to write, ending in .onnx. `NAME.verification.json` is written beside it.
        images: further inputs to verify at: a folder, paths, arrays, a mapping or a function, see
            `fcn_edge_runtime.imaging.frames.frames_of`.
        options: outputs, sizes, devices, head, working size; None means the defaults.
        progress: receives the stages as they run.

    Raises:
        UsageError: a size or head that does not fit the network, or a card that cannot be written. Nothing
            is written.
        VerificationError: the file does not decide like PyTorch, or does so only at sizes that make no useful
            range. Nothing is written.
        ArtifactError: a stage failed, or the file cannot be written. Nothing is written.
        ProviderError: one of the devices does not start.
        InputError: `images` cannot be read. Nothing is written.
    """
    import torch

    from fcn_edge_export.probe import probe
    from fcn_edge_export.reference import (
        LogitsNetwork,
        Reference,
        ends_in_upsampling,
        prepared,
        weights_sha256,
    )
    from fcn_edge_export.trace import trace

    target = OutputFile.at(path)
    options = options or ExportOptions()
    drafted(card, numbered_classes(2))  # checked before the work starts
    frames = frames_of(images, card) if images is not None else {}
    working = parse_working_size(options.working_size) if options.working_size is not None else None
    stages = Stages(progress)
    weights = weights_sha256(net)  # as they are stored, before any conversion
    net = prepared(net)

    with stages.stage("probe") as did:
        found = probe(net, card.input.channels, output=options.output_name, classes=len(card.classes) or None)
        draft = drafted(card, numbered_classes(found.classes))
        working = working and fitted(working, found.smallest_image)
        smallest = 1 if working else found.smallest_image
        check_classes(found.classes, draft)
        all_cases(draft, options.sizes, {}, smallest=smallest, multiple=found.multiple)  # the user's sizes
        did.text = (
            f"{found.classes} logits a pixel"
            + (f" in its output {found.output!r}" if found.output else "")
            + f", any size from {smallest}"
            + (f", working at {working}" if working else "")
            + (f", padded to multiples of {found.multiple}" if found.multiple > 1 else "")
            + (f", upsampled {found.reduction} times" if found.reduction > 1 else "")
        )
    logits_network = LogitsNetwork(
        net, output=found.output, activation=options.activation or "none", upsample=found.reduction > 1
    ).eval()

    with stages.stage("trace") as did:
        tracing = trace(logits_network, card.input.channels, found)
        traced = tracing.model
        did.text = f"{len(traced.graph.node)} nodes, opset {OPSET}, torch {torch.__version__}"

    with stages.stage("simplify") as did:
        simplified = _simplified(traced, allow_unsimplified=options.allow_unsimplified)
        did.text = _simplify_text(simplified)
        network = simplified.model

    with stages.stage("graft") as did:
        inner = geometry(network, smallest=found.smallest_image, multiple=found.multiple)
        # Padded logits reach beyond the working image, so they are cut to its size before upsampling.
        working = working and replace(
            working,
            coarse=found.multiple == 1
            and can_be_sparse(network)
            and ends_in_upsampling(logits_network, card.input.channels, found.smallest_image),
        )
        whole = whole_geometry(working, inner) if working else inner
        sparse = choose_sparse(
            options.head,
            network,
            draft,
            options.outputs,
            frames,
            options.devices,
            multiple=found.multiple,
            working=working,
        )
        model = graft(
            network, draft, options.outputs, sparse=sparse, multiple=found.multiple, working=working
        )
        did.text = (
            f"{draft.input.dtype} image in, {', '.join(o.name for o in model.graph.output)} out; "
            f"{'sparse head, ' if sparse else ''}stride "
            f"{whole.stride}, receptive field {whole.receptive_field}"
            + (", sees the whole image" if whole.sees_whole_image else "")
        )
    reference = Reference(logits_network, draft.input, found.multiple, working)

    sizes = _size_range(stages, reference, model, tracing.conditions, draft, found, working)
    whole = replace(whole, smallest_size=sizes.smallest, largest_size=sizes.largest)
    cases = all_cases(
        draft,
        options.sizes,
        frames,
        smallest=sizes.smallest,
        multiple=found.multiple,
        largest=sizes.largest,
        seed=weights,
    )
    facts = GraphFacts(
        whole,
        working,
        "sparse" if sparse else "dense",
        weights if options.trained else UNTRAINED,
        found.output,
        logits_network.activation,
    )

    with stages.stage("verify", unit="inputs") as did:
        # At another working size no stage before the graft gives what the file gives.
        earlier = {} if working else {"trace": traced, "simplify": network}
        certified = certify(
            reference, model, draft, cases, options.devices, earlier, stages.progress, smallest=sizes.smallest
        )
        if options.activation is None:
            require_logits(network, reference, cases, options.outputs)
        did.text = verdict_text(certified.verdicts)

    card = finished_card(draft, certified.verification, produced_by(), graph=facts)
    with stages.stage("write") as did, target.draft(assemble(model, card, certified.golden)) as written:
        digest, size = check_draft(written.path, certified, cases)
        target.publish(written, verification_report(digest, card, certified.verdicts, stages.done))
        did.text = f"{size / 1e6:.1f} MB, sealed; the file itself passed its self-test"
    return ExportResult(
        target.path, target.report, digest, size, card, tuple(stages.done), certified.verdicts
    )


def _size_range(
    stages: Stages,
    reference: Reference,
    model: onnx.ModelProto,
    conditions: Sequence[Condition],
    draft: Card,
    found: Sizes,
    working: WorkingSize | None,
) -> SizeRange:
    """The stage "sizes": which sizes the file may take, see `verification.borders`."""
    with stages.stage("sizes", unit="sizes") as did:
        image_conditions = of_images(conditions, found.multiple, working)
        smallest = 1 if working else found.smallest_image
        probe_session = open_session(with_logits_output(model), "cpu")
        sizes = find_range(reference, probe_session, image_conditions, draft.input, smallest, stages.progress)
        count = f"outside of {len(conditions)} conditions of the trace"
        did.text = f"{sizes}; compared at {len(sizes.tried)} sizes {count}"
    return sizes


def _simplified(traced: onnx.ModelProto, *, allow_unsimplified: bool) -> Simplified:
    """The simplified model; the traced one, noted as such, if that fails and going on is allowed."""
    try:
        return simplify(traced)
    except ArtifactError as error:
        if not allow_unsimplified:
            raise
        nodes = len(traced.graph.node)
        return Simplified(traced, nodes, nodes, skipped=str(error))


def _simplify_text(simplified: Simplified) -> str:
    if simplified.skipped:
        return f"NOT simplified, as allowed: {simplified.skipped}"
    kinds = list(operators(simplified.model).items())
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds[:5])
    more = ", ..." if len(kinds) > 5 else ""
    return f"{simplified.nodes_before} -> {simplified.nodes_after} nodes ({shown}{more})"
