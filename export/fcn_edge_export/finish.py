"""From a network as ONNX to the verified file: graft, sizes, verify, write, in that order.

What comes before differs: `pipeline` traces a PyTorch network, `adoption` reads an ONNX file. What is
compared with differs too, and is handed in as a reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from fcn_edge_export.artifact import OutputFile, assemble
from fcn_edge_export.conditions import Condition, Size
from fcn_edge_export.final_card import GraphFacts, finished_card
from fcn_edge_export.graph.geometry import geometry
from fcn_edge_export.graph.graft import can_be_sparse, graft
from fcn_edge_export.graph.head_choice import choose_sparse
from fcn_edge_export.graph.names import CONFIDENCE
from fcn_edge_export.graph.reject import with_rejection
from fcn_edge_export.graph.unlabeled_border import with_unlabeled_border
from fcn_edge_export.graph.work import integer_share, of_integers, work_of
from fcn_edge_export.graph.working_size import whole_geometry
from fcn_edge_export.options import ExportOptions, inputs_text
from fcn_edge_export.simplify import Simplified, Simplifier, operators
from fcn_edge_export.sizes import Sizes
from fcn_edge_export.verification.activation import require_logits
from fcn_edge_export.verification.borders import USEFUL, SizeRange, find_range, of_images
from fcn_edge_export.verification.cases import LARGE, Case
from fcn_edge_export.verification.certify import Reference, all_cases, certify, check_draft, open_probes
from fcn_edge_export.verification.rejection import certified_with_border, certified_with_rejection
from fcn_edge_export.verification.report import produced_by, verdict_text, verification_report
from fcn_edge_export.verification.stripes import Operations, in_stripes
from fcn_edge_export.verification.verdict import Kind, Verdict
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import ArtifactError
from fcn_edge_runtime.model.allowed import ALLOW_OPERATORS, allowed_operators
from fcn_edge_runtime.model.card import UNTRAINED, Card, LoweringInfo, WorkingSize
from fcn_edge_runtime.model.card_facts import ANY
from fcn_edge_runtime.model.dry_run.operators import ALLOWED
from fcn_edge_runtime.progress import Stage, Stages
from fcn_edge_runtime.session.session import Session

__all__ = ["ExportResult", "Network", "finish", "simplified"]


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
        verdicts: the comparison with PyTorch or the adopted file, one a device.
    """

    path: Path
    report: Path
    digest: str
    bytes: int
    card: Card
    stages: tuple[Stage, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Network:
    """A network as ONNX, simplified, and what is known of it.

    Attributes:
        model: the network, from `normalized` to `logits`, both float32 NCHW.
        found: the sizes it accepts.
        reference: makes what the file is compared with, for a working size.
        conditions: on the size, under which `model` is the network.
        earlier: the model after earlier stages, by stage, to find where a refused file went wrong.
        coarse: whether its logits are the result of a plain bilinear upsampling.
        weights_sha256: of its weights, or "untrained".
        activation: that was undone.
        border: what images are padded with, if its convolutions do not pad.
        compared_with: what the reference is: "pytorch" or "onnx".
        integers: whether it computes in integers, as others quantized it.
        operations: height, width of what it sees -> what PyTorch runs there; None where that is not known.
    """

    model: onnx.ModelProto
    found: Sizes
    reference: Callable[[WorkingSize | None], Reference]
    weights_sha256: str
    conditions: Sequence[Condition] = ()
    earlier: Mapping[str, onnx.ModelProto] | None = None
    coarse: bool = False
    activation: str = "none"
    border: str = "none"
    compared_with: str = "pytorch"
    integers: bool = False
    operations: Callable[[int, int], Operations | None] | None = None

    @property
    def kind(self) -> Kind:
        """By which rules it is compared."""
        if self.integers:
            return "integers"
        return "labels" if self.activation == "argmax" else "scores"


def finish(
    network: Network,
    draft: Card,
    target: OutputFile,
    frames: Mapping[str, Callable[[], npt.NDArray[Any]]],
    working: WorkingSize | None,
    options: ExportOptions,
    stages: Stages,
    *,
    useful: int = USEFUL,
) -> ExportResult:
    """Make the file of a network, verify it, and write it, or raise an error.

    Args:
        network: the network and its reference.
        draft: of the card.
        target: the file to write.
        frames: further inputs to verify at: name -> what reads it.
        working: the size at which the network works; None is the image's.
        options: outputs, sizes, devices, head, activation.
        stages: that were run so far; those of this function are added.
        useful: a range of sizes that ends below is not worth a file.

    Raises:
        UsageError: a size or head that does not fit the network.
        SizeDependentError: the file is the network at some sizes alone. Nothing is written.
        VerificationError: the file differs from the reference. Nothing is written.
        ArtifactError: a stage failed, or the file cannot be written. Nothing is written.
        ProviderError: one of the devices does not start.
    """
    found, model = network.found, network.model
    with stages.stage("graft") as did:
        inner = geometry(model, smallest=found.smallest_image, multiple=found.multiple)
        # At another size than its own a fixed network cannot be measured: its card must not promise too much.
        inner = replace(inner, sees_whole_image=inner.sees_whole_image or found.fixed is not None)
        # Padded logits reach beyond the working image, so they are cut to its size before upsampling.
        working = working and replace(
            working, coarse=found.multiple == 1 and network.coarse and can_be_sparse(model)
        )
        whole = whole_geometry(working, inner) if working else inner
        outputs = options.outputs if options.reject is None else (*options.outputs, CONFIDENCE)
        sparse = choose_sparse(
            options.head,
            model,
            draft,
            outputs,
            frames,
            options.devices,
            multiple=found.multiple,
            working=working,
        )
        grafted = graft(model, draft, outputs, sparse=sparse, multiple=found.multiple, working=working)
        did.text = (
            f"{draft.input.dtype} image in, {', '.join(o.name for o in grafted.graph.output)} out; "
            f"{'sparse head, ' if sparse else ''}stride "
            f"{whole.stride}, receptive field {whole.receptive_field}"
            + (", sees the whole image" if whole.sees_whole_image else "")
        )
    reference = network.reference(working)

    # What other processors' libraries and the sparse head do with large maps is verified on large maps.
    ordinary = working is None and not sparse and set(options.devices) == {"cpu"}
    probes = open_probes(grafted, options.devices, network.kind)
    probe = (
        next((p for p in probes if p.device == "cpu"), None) or open_probes(grafted, ["cpu"], network.kind)[0]
    )
    sizes, large = _sizes(stages, reference, probe, network, draft, working, useful, stripes=ordinary)
    whole = replace(whole, smallest_size=sizes.smallest, largest_size=sizes.largest)
    cases = all_cases(
        draft,
        options.sizes,
        frames,
        smallest=sizes.smallest,
        multiple=found.multiple,
        largest=sizes.largest,
        seed=network.weights_sha256,
        large=large,
    )
    facts = GraphFacts(
        whole,
        working,
        "sparse" if sparse else "dense",
        network.weights_sha256 if options.trained else UNTRAINED,
        found.output,
        network.activation,
        network.border,
        inputs_text(options.inputs),
    )

    with stages.stage("verify", unit="inputs") as did:
        # At another working size no stage before the graft gives what the file gives.
        earlier = {} if working or network.integers else network.earlier or {}
        certified = certify(
            reference,
            probes,
            draft,
            cases,
            [output.name for output in grafted.graph.output],
            earlier,
            stages.progress,
            smallest=sizes.smallest,
            compared_with=network.compared_with,
            kind=network.kind,
        )
        if options.activation is None:
            require_logits(model, certified.verdicts[0].results, found.classes, options.outputs)
        if options.reject is not None:
            certified = certified_with_rejection(certified, grafted, draft, options.reject, cases, reference)
            grafted = with_rejection(grafted, draft, options.reject, confidence=CONFIDENCE in options.outputs)
            draft = replace(draft, reject=options.reject)
        if network.border == "unlabeled":
            certified = certified_with_border(certified, grafted, draft, found.crop, cases)
            grafted = with_unlabeled_border(grafted, draft, found.crop)
        did.text = verdict_text(certified.verdicts)
    del probes, probe  # they hold the weights, and so will the sessions of the file

    precision, lowering = _of_others(network, grafted, cases[0]) if network.integers else (None, None)
    card = finished_card(
        draft,
        grafted,
        certified.verification,
        produced_by(),
        graph=facts,
        precision=precision,
        lowering=lowering,
    )
    with stages.stage("write") as did, target.draft(assemble(grafted, card, certified.golden)) as written:
        digest, size = check_draft(written.path, certified, cases)
        target.publish(written, verification_report(digest, card, certified.verdicts, stages.done))
        did.text = f"{size / 1e6:.1f} MB, sealed; the file itself passed its self-test"
    return ExportResult(
        target.path, target.report, digest, size, card, tuple(stages.done), certified.verdicts
    )


def _of_others(network: Network, model: onnx.ModelProto, case: Case) -> tuple[str, LoweringInfo]:
    """What the card says of the integers of a file that others quantized: precision and lowering."""
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8-weights", LoweringInfo(network.weights_sha256, ANY)
    named = onnx.ModelProto()
    named.CopyFrom(model)
    for index, node in enumerate(named.graph.node):
        node.name = f"n{index}"
    share = integer_share(work_of(named, case.image()), of_integers(named))
    # Their weights may use all 8 bits, as those for processors with VNNI do.
    return "int8", LoweringInfo(network.weights_sha256, "x86-vnni", integer_share=share)


def simplified(
    stages: Stages, model: onnx.ModelProto, simplify: Simplifier, *, allow_unsimplified: bool
) -> onnx.ModelProto:
    """The stage "simplify".

    Raises:
        ArtifactError: it failed, and going on without is not allowed; or the network has an operator that the
            runtime does not take.
    """
    with stages.stage("simplify") as did:
        result = _simplified(model, simplify, allow_unsimplified=allow_unsimplified)
        _check_operators(result.model)
        did.text = _simplify_text(result)
    return result.model


def _check_operators(model: onnx.ModelProto) -> None:
    """Raise ArtifactError for an operator that a file may not hold, before anything is compared."""
    accepted = {*ALLOWED, "Constant", *allowed_operators()}
    unknown = next((node.op_type for node in model.graph.node if node.op_type not in accepted), None)
    if unknown is not None:
        raise ArtifactError(
            f"simplify: the network needs ONNX's operator {unknown}, which is not on the list of those that "
            f"a file may hold: compute it in another way, or set {ALLOW_OPERATORS}={unknown} for this export "
            "and wherever the file runs"
        )


def _sizes(
    stages: Stages,
    reference: Reference,
    probe: Session,
    network: Network,
    draft: Card,
    working: WorkingSize | None,
    useful: int,
    *,
    stripes: bool,
) -> tuple[SizeRange, tuple[Size, ...]]:
    """The stage "sizes": those that the file may take, see `borders`, and the large ones to verify it at."""
    found, conditions = network.found, network.conditions
    with stages.stage("sizes", unit="sizes") as did:
        image_conditions = of_images(conditions, found.multiple, working)
        smallest = 1 if working else found.smallest_image
        sizes = SizeRange(smallest)
        if image_conditions:
            sizes = find_range(
                reference,
                probe,
                image_conditions,
                draft.input,
                smallest,
                stages.progress,
                multiple=found.multiple,
                useful=useful,
                kind=network.kind,
            )
        large: tuple[Size, ...] = LARGE
        if stripes and network.operations is not None and sizes.largest is None:
            large = in_stripes(
                LARGE,
                network.model,
                conditions,
                network.operations,
                smallest=sizes.smallest,
                multiple=found.multiple,
            )
        did.text = str(sizes)
        if conditions:
            count = f"outside of {len(conditions)} conditions of the trace"
            did.text += f"; compared at {len(sizes.tried)} sizes {count}"
        if left := [size_text(size[1:]) for size in LARGE if size not in large]:
            did.text += f"; {' and '.join(left)} in stripes, which show the same"
    return sizes, large


def _simplified(traced: onnx.ModelProto, simplify: Simplifier, *, allow_unsimplified: bool) -> Simplified:
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
