"""The card of a file: the user's draft and the facts that the stages found, put together at assembly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx

from fcn_edge_export.normalization import check_normalization
from fcn_edge_export.simplify import operators
from fcn_edge_runtime._fields import Fields
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import (
    MAX_CARD_BYTES,
    UNTRAINED,
    Card,
    ClassInfo,
    Geometry,
    LoweringInfo,
    VerificationInfo,
    WorkingSize,
    read_card,
)

__all__ = ["GraphFacts", "drafted", "finished_card"]


@dataclass(frozen=True)
class GraphFacts:
    """What the graph of an exported file does.

    Attributes:
        geometry: of the whole file.
        working_size: where the network looks at an image of another size.
        head: "dense" or "sparse".
        weights_sha256: of the network, or "untrained".
        output: of the network, that holds the logits.
        activation: that the export undid.
        border: what images are padded with by a network whose convolutions do not pad.
        inputs: of the network, as on the card.
    """

    geometry: Geometry
    working_size: WorkingSize | None = None
    head: str = "dense"
    weights_sha256: str = UNTRAINED
    output: str = ""
    activation: str = "none"
    border: str = "none"
    inputs: str = ""


def drafted(card: Card, classes: tuple[ClassInfo, ...]) -> Card:
    """The part of a card that its user decides, checked by the rules of its readers.

    Args:
        card: name, classes, input, description, license, author and net are taken from it, and nothing
            else.
        classes: where the card has none.

    Raises:
        UsageError: it cannot be written as JSON, a reader would refuse it, or mean and std are on another
            scale than the pixels.
    """
    draft = Card(
        name=card.name,
        classes=card.classes or classes,
        input=card.input,
        description=card.description,
        license=card.license,
        author=card.author,
        net=replace(card.net, weights_sha256=UNTRAINED),
    )
    subject = "the card given to export()"
    try:
        text = replace(draft, verification=VerificationInfo("passed")).to_json()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{subject} cannot be written: {error}") from error
    read_card(Fields.parse(text, MAX_CARD_BYTES, UsageError, subject))
    check_normalization(draft.input, subject)
    return draft


def finished_card(
    draft: Card,
    model: onnx.ModelProto,
    verification: VerificationInfo,
    produced_by: Mapping[str, str],
    *,
    graph: GraphFacts | None = None,
    precision: str | None = None,
    lowering: LoweringInfo | None = None,
) -> Card:
    """The card that goes into a file.

    Args:
        draft: of the user; or the card of a file, for one that is made of it.
        model: the graph of the file.
        verification: the verdict.
        produced_by: versions, added to those of the draft.
        graph: what the graph does; None if it is as the draft states.
        precision: None if it is as the draft states.
        lowering: how the file was made of its parent; None if it is as the draft states.
    """
    net = draft.net
    graph = graph or GraphFacts(
        draft.geometry,
        draft.working_size,
        draft.head,
        net.weights_sha256,
        net.output,
        net.activation,
        net.border,
        net.inputs,
    )
    return replace(
        draft,
        net=replace(
            net,
            weights_sha256=graph.weights_sha256,
            output=graph.output,
            activation=graph.activation,
            border=graph.border,
            inputs=graph.inputs,
        ),
        geometry=graph.geometry,
        working_size=graph.working_size,
        head=graph.head,
        precision=precision or draft.precision,
        lowering=lowering or draft.lowering,
        verification=verification,
        operators=dict(sorted(operators(model).items())),
        produced_by={**draft.produced_by, **produced_by},
    )
