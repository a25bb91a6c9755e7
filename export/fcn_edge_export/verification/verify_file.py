"""verify(): the verdict for an existing file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from fcn_edge_export.artifact import OutputFile, assemble
from fcn_edge_export.final_card import finished_card
from fcn_edge_export.graph.reject import without_rejection
from fcn_edge_export.graph.unlabeled_border import without_unlabeled_border
from fcn_edge_export.options import VerifyOptions, parse_inputs
from fcn_edge_export.verification.certify import all_cases, certify, check_draft, open_probes
from fcn_edge_export.verification.rejection import certified_with_border, certified_with_rejection
from fcn_edge_export.verification.report import produced_by, verdict_text, verification_report
from fcn_edge_export.verification.verdict import Verdict
from fcn_edge_runtime.errors import ModelError
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import CARD_KEY, Card
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import Progress, Stage, Stages

if TYPE_CHECKING:
    from torch import nn

__all__ = ["VerifyResult", "opened", "verify"]


@dataclass(frozen=True)
class VerifyResult:
    """The result of a verification.

    Attributes:
        path: the model.
        report: its new verification report, JSON.
        digest: SHA-256 of the model file, as it is now.
        card: the card in the file.
        same_weights: whether the network's weights are those the card names.
        resealed: whether the file got a new seal.
        stages: every stage with its time.
        verdicts: the comparison with PyTorch, one a device.
    """

    path: Path
    report: Path
    digest: str
    card: Card
    same_weights: bool
    resealed: bool
    stages: tuple[Stage, ...]
    verdicts: tuple[Verdict, ...]


def verify(
    path: str | os.PathLike[str],
    net: nn.Module,
    *,
    images: FrameSource | None = None,
    options: VerifyOptions | None = None,
    progress: Progress | None = None,
) -> VerifyResult:
    """Compare an existing file with a network, and write a new verification report.

    Args:
        path: the model.
        net: the network it was exported from, with its weights.
        images: further inputs to verify at: a folder, paths, arrays, a mapping or a function, see
            `fcn_edge_runtime.imaging.frames.frames_of`.
        options: sizes, devices, and whether a changed file gets a new seal; None means the defaults.
        progress: receives the stages as they run.

    Raises:
        VerificationError: it does not decide like PyTorch; nothing is written.
        ModelError: the file was not written by fcn-edge, or its seal does not match and it is not resealed.
        ProviderError: a device does not start.
    """
    from fcn_edge_export.inputs import SplitInputs
    from fcn_edge_export.probe import Question, probe
    from fcn_edge_export.reference import LogitsNetwork, Reference, prepared, weights_sha256

    stages = Stages(progress)
    with stages.stage("open") as did:
        options = options or VerifyOptions()
        target = OutputFile.at(path)
        model, card, digest = opened(target.path, sealed=not options.reseal)
        did.text = f"{card.name}, {len(card.classes)} classes, {len(model.graph.node)} nodes"

    with stages.stage("probe") as did:
        weights = weights_sha256(net)  # before any conversion
        same_weights = weights == card.net.weights_sha256
        if card.net.inputs:
            net = SplitInputs(net, parse_inputs(card.net.inputs))
        net = prepared(net)
        labels_alone = card.net.activation == "argmax"
        asked = Question(
            card.net.output or None,
            len(card.classes),
            labels=labels_alone,
            border=card.net.border,
        )
        found = probe(
            net,
            card.input.channels,
            asked,
            working=card.working_size.size if card.working_size is not None else None,
        )
        did.text = f"{found.classes} logits a pixel; weights " + (
            "are those on the card" if same_weights else "differ from the card's, or the card names none"
        )

    with stages.stage("verify", unit="inputs") as did:
        network = LogitsNetwork.of(net, found, card.net.activation, card.net.border)
        reference = Reference(network, card.input, card.geometry.size_multiple, card.working_size)
        smallest, multiple = card.geometry.smallest_size, card.geometry.size_multiple
        frames = frames_of(images, card) if images is not None else {}
        cases = all_cases(
            card,
            options.sizes,
            frames,
            smallest=smallest,
            multiple=multiple,
            largest=card.geometry.largest_size,
            seed=weights,
        )
        bordered = card.net.border == "unlabeled"
        plain = model if card.reject is None else without_rejection(model)
        plain = without_unlabeled_border(plain) if bordered else plain
        certified = certify(
            reference,
            open_probes(plain, options.devices),
            card,
            cases,
            [output.name for output in plain.graph.output],
            {},
            stages.progress,
            smallest=smallest,
            kind="labels" if labels_alone else "scores",
        )
        if card.reject is not None:
            certified = certified_with_rejection(certified, plain, card, card.reject, cases, reference)
        if bordered:
            certified = certified_with_border(certified, plain, card, found.crop, cases)
        did.text = verdict_text(certified.verdicts)

    with stages.stage("write") as did:
        if options.reseal:
            by = {"resealed-by": produced_by()["fcn-edge"]}
            card = finished_card(card, model, certified.verification, by)
            with target.draft(assemble(model, card, certified.golden)) as draft:
                digest, _ = check_draft(draft.path, certified, cases)
                target.publish(draft, verification_report(digest, card, certified.verdicts, stages.done))
        else:
            found_digest, _ = check_draft(target.path, certified, cases)
            if found_digest != digest:
                raise ModelError(f"{target.path} was changed while it was verified: verify it again")
            target.publish_report(verification_report(digest, card, certified.verdicts, stages.done))
        did.text = f"{target.report.name}" + (", and a new seal on the file" if options.reseal else "")
    return VerifyResult(
        path=target.path,
        report=target.report,
        digest=digest,
        card=card,
        same_weights=same_weights,
        resealed=options.reseal,
        stages=tuple(stages.done),
        verdicts=certified.verdicts,
    )


def opened(path: Path, *, sealed: bool) -> tuple[onnx.ModelProto, Card, str]:
    """The model, its card, and the file's SHA-256. A sealed file passes the runtime's own checks first.

    Raises:
        ModelError: the file is missing, is not ONNX, has no card, or should be sealed and is not.
    """
    if sealed:
        with ModelFile.open(path) as file:
            digest = file.digest
    try:
        data = path.read_bytes()
        model = onnx.load_model_from_string(data)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} cannot be read as ONNX: {error}") from None
    found = hashlib.sha256(data).hexdigest()
    if sealed and found != digest:
        raise ModelError(f"{path} was changed while it was opened: verify it again")
    cards = [p.value for p in model.metadata_props if p.key == CARD_KEY]
    if len(cards) != 1:
        raise ModelError(f"{path} has {len(cards)} cards, expected one: export it with `fcn-edge export`")
    return model, Card.from_json(cards[0]), found
