"""export(): probe, trace, simplify, in that order, and what `finish` does: graft, sizes, verify, write."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from fcn_edge_export.artifact import OutputFile
from fcn_edge_export.attempts import first_right
from fcn_edge_export.classes import numbered_classes
from fcn_edge_export.conditions import Size
from fcn_edge_export.final_card import drafted
from fcn_edge_export.finish import ExportResult, Network, finish, simplified
from fcn_edge_export.graph.graft import check_classes
from fcn_edge_export.graph.working_size import fitted
from fcn_edge_export.options import AUTO, ExportOptions, wanted_working_size
from fcn_edge_export.simplify import simplifier
from fcn_edge_export.sizes import Sizes
from fcn_edge_export.verification.certify import agrees_at, all_cases
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.imaging.frames import FrameSource, frames_of
from fcn_edge_runtime.model.card import Card, WorkingSize
from fcn_edge_runtime.model.contract import OPSET
from fcn_edge_runtime.progress import Progress, Stages

if TYPE_CHECKING:
    from torch import nn


__all__ = ["export"]


def export(
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

    from fcn_edge_export.examples import example_size
    from fcn_edge_export.inputs import SplitInputs
    from fcn_edge_export.operations import OperationsAt
    from fcn_edge_export.probe import Question, probe
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
    working = wanted_working_size(options)
    if options.activation == "argmax" and not card.classes:
        raise UsageError(
            "got no classes for a network that returns labels: they do not tell how many there are"
        )
    stages = Stages(progress)
    weights = weights_sha256(net)  # as they are stored, before any conversion
    if options.inputs:
        if (total := sum(channels for _, channels in options.inputs)) != card.input.channels:
            raise UsageError(
                f"the inputs have {total} channels together, and the card's image has {card.input.channels}"
            )
        net = SplitInputs(net, options.inputs)
    net = prepared(net)

    with stages.stage("probe") as did:
        found = probe(
            net,
            card.input.channels,
            Question(
                options.output_name,
                len(card.classes) or None,
                options.size_multiple,
                max(options.smallest or (1,)),
                labels=options.activation == "argmax",
                border=options.border or "none",
            ),
            working=working.size if working is not None else None,
            auto=options.working_size == AUTO,
        )
        if working is None and found.fixed is not None:
            working = WorkingSize(None, found.fixed)
        draft = drafted(card, numbered_classes(found.classes))
        working = working and fitted(working, found.smallest_image)
        smallest = 1 if working else found.smallest_image
        check_classes(found.classes, draft)
        all_cases(draft, options.sizes, {}, smallest=smallest, multiple=found.multiple)  # the user's sizes
        did.text = _probed_text(found, working, options.border)
    logits_network = LogitsNetwork.of(net, found, options.activation or "none", options.border or "none")

    operations = OperationsAt(logits_network, card.input.channels)

    def traced(example: Size) -> Network:
        with simplifier() as simplify:  # it gets ready while the network is traced
            with stages.stage("trace") as did:
                tracing = trace(logits_network, card.input.channels, found, example)
                did.text = (
                    f"{len(tracing.model.graph.node)} nodes from an image of {size_text(example[1:])}, "
                    f"opset {OPSET}, torch {torch.__version__}"
                )
            model = simplified(stages, tracing.model, simplify, allow_unsimplified=options.allow_unsimplified)
        return Network(
            model,
            found,
            lambda working: Reference(logits_network, draft.input, found.multiple, working),
            weights,
            tracing.conditions,
            {"trace": tracing.model, "simplify": model},
            coarse=working is not None
            and ends_in_upsampling(logits_network, card.input.channels, found.fixed or (found.smallest,) * 2),
            activation=logits_network.activation,
            border=options.border or "none",
            operations=operations,
        )

    def finished(network: Network, useful: int) -> ExportResult:
        return finish(network, draft, target, frames, working, options, stages, useful=useful)

    def agrees(network: Network, size: Size) -> bool:
        return working is None and agrees_at(network.reference(None), network.model, size, draft.input)

    return first_right(
        partial(example_size, logits_network, card.input.channels, found), traced, finished, agrees
    )


def _probed_text(found: Sizes, working: WorkingSize | None, border: str | None) -> str:
    beyond = "left unlabeled" if border == "unlabeled" else f"padded by {border}"
    step, rest = found.grid or (1, 0)
    return (
        f"{found.classes} logits a pixel"
        + (f" in its output {found.output!r}" if found.output else "")
        + f", any size from {1 if working else found.smallest_image}"
        + (f", working at {working}" if working else "")
        + (f", padded to multiples of {found.multiple}" if found.multiple > 1 else "")
        + (f", padded to sides of k * {step} + {rest}" if step > 1 else "")
        + (f", {found.crop} rows and columns of border {beyond}" if found.crop else "")
        + (f", reduced {found.enlargement} times" if found.enlargement > 1 else "")
        + (f", upsampled {found.reduction} times" if found.reduction > 1 else "")
    )
