"""From what a user types to int8 and fp16: folders of frames and labels. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fcn_edge_export.lowering.fp16 import convert_to_fp16
from fcn_edge_export.lowering.lower import LoweringResult
from fcn_edge_export.lowering.quantize import quantize
from fcn_edge_runtime.evaluation.evaluate import find_pairs, read_labels
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Progress

__all__ = ["half_file", "quantize_file"]

Reads = Mapping[str, Callable[[], npt.NDArray[Any]]]


def quantize_file(
    model: Path,
    output: Path,
    calibration: tuple[str, ...],
    *,
    images: tuple[str, ...],
    labels: Path | None,
    target: str | None,
    method: str,
    agreement: float,
    allow_slower: bool,
    progress: Progress | None = None,
) -> LoweringResult:
    """Quantize a model with frames out of folders, files and patterns.

    Raises:
        InputError: there are no pictures, or no labels for one of them.
        VerificationError, UsageError, ModelError, ArtifactError: see `fcn_edge_export.lowering.quantize`.
    """
    return quantize(
        model,
        output,
        lambda card: _frames(calibration, card),
        target=target,
        method=method,
        agreement=agreement,
        images=(lambda card: _frames(images, card)) if images else None,
        labels=_truth(images, labels),
        allow_slower=allow_slower,
        progress=progress,
    )


def half_file(
    model: Path,
    output: Path,
    images: tuple[str, ...],
    *,
    labels: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> LoweringResult:
    """Put a model into half precision, judged on a device, on frames out of folders, files and patterns.

    Raises:
        InputError: there are no pictures, or no labels for one of them.
        VerificationError, UsageError, ModelError, ProviderError, ArtifactError: see `convert_to_fp16`.
    """
    return convert_to_fp16(
        model,
        output,
        lambda card: _frames(images, card),
        labels=_truth(images, labels),
        device=device,
        progress=progress,
    )


def _truth(images: tuple[str, ...], labels: Path | None) -> Callable[[Card], Reads] | None:
    """True labels by the pictures' names, read when their turn comes."""
    if labels is None:
        return None

    def read(card: Card) -> Reads:
        pairs = find_pairs(images, labels)  # after wrong usage was found out
        return {str(p.image): (lambda p=p: read_labels(p.labels, card)) for p in pairs}  # type: ignore[misc]  # the default binds this pair

    return read


def _frames(paths: tuple[str, ...], card: Card) -> Reads:
    """Frames by name, read when their turn comes, so that a long sequence costs no memory."""
    sources = [job.source for job in find_images(paths)]
    return {str(source): (lambda source=source: read_image(source, card.input)) for source in sources}  # type: ignore[misc]  # the default binds this frame
