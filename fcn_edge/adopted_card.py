"""The card of an ONNX file that is adopted: from options, or a card file. No torch is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fcn_edge.card_file import (
    NORMALIZATIONS,
    Description,
    card_from,
    read_classes,
    read_description,
    read_normalization,
)
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import Card, NetInfo

__all__ = ["card_for"]


def card_for(
    source: Path,
    *,
    classes: str | None = None,
    channels: int | None = None,
    normalize: str | None = None,
    card: Path | None = None,
    license_: str | None = None,
    resolution: float | None = None,
    author: str | None = None,
) -> tuple[Card, str]:
    """The draft of the card of an ONNX file, and where its mean and std come from.

    Args:
        source: the given file.
        classes: voc, cityscapes, a number or a file.
        channels: of the image; None is 3, or as the card file says.
        normalize: imagenet, 0-1, none or MEAN/STD.
        card: a card file.
        license_: of the model; None takes the card file's.
        resolution: meters on the ground for a pixel of the training data; None takes the card file's.
        author: of the model; None takes the card file's.

    Raises:
        UsageError: one of them does not exist or fit, or nothing states how the input was normalized.
    """
    described = read_description(card) if card is not None else Description()
    if normalize is not None and described.normalizes:
        raise UsageError(f"mean and std are given twice: by --normalize and by {card}")
    if normalize is None and not described.normalizes:
        known = ", ".join(f"{name} ({formula})" for name, formula in NORMALIZATIONS.items())
        raise UsageError(
            f"nothing states how {source} gets its input: add --normalize with one of {known}, or a "
            "--card with mean and std"
        )
    if classes is not None and described.classes is not None:
        raise UsageError(f"classes are given twice: by --classes and by {card}")
    if normalize is not None:
        described = replace(described, input={**(described.input or {}), **read_normalization(normalize)})
    if resolution is not None:
        described = replace(described, input={**(described.input or {}), "resolution": resolution})
    draft = card_from(
        replace(described, license=license_ or described.license, author=author or described.author),
        name=source.stem,
        net=NetInfo(source.name),
        classes=read_classes(classes) if classes is not None else None,
        channels=channels,
    )
    return draft, f"--normalize {normalize}" if normalize is not None else f"card {card}"
