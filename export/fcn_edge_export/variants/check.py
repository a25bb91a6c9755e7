"""Every label of a variant compared with its parent's, as the consumer will get it.

The consumer's part is done in numpy: pixels made into what the variant takes, and labels of what it gives.
They must be equal. A difference is allowed only where the parent's two best logits are equal up to the
rounding of the head rule: a sparse head may decide such a pixel in another way than a dense one, and so may
onnxruntime's kernels for fixed shapes. Such pixels are counted and printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcn_edge_export.graph.names import LABELS, LOGITS
from fcn_edge_export.variants.target import Facts, Target
from fcn_edge_export.verification.cases import Case, default_sizes, frame_cases, pattern_cases
from fcn_edge_export.verification.head_rule import ROUNDINGS
from fcn_edge_export.verification.measure import argmax, margins, worst_pixel
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.errors import VerificationError
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.progress import Progress, tracked
from fcn_edge_runtime.session.session import Session

__all__ = ["Compared", "cases_for", "compare", "feed", "labels_of"]

Array = npt.NDArray[Any]
SEEDS = (1, 2, 3, 4)  # of patterns at a fixed size


@dataclass(frozen=True)
class Compared:
    """What was compared.

    Attributes:
        sizes: (batch, height, width) of each input.
        pixels: of all inputs.
        ties: labels that differ where the parent's two best logits are equal up to rounding.
        seen: labels that occurred.
    """

    sizes: tuple[tuple[int, int, int], ...]
    pixels: int
    ties: int
    seen: tuple[int, ...]


def cases_for(
    file: ModelFile, size: tuple[int, int] | None, frames: Mapping[str, Callable[[], Array]]
) -> list[Case]:
    """The inputs to compare on: those of the self-test, patterns, and the user's images.

    Args:
        file: the parent.
        size: (height, width) of the variant's images: patterns are made, and images stretched, to it.
        frames: of the user.
    """
    card, kind = file.card, file.card.input
    if size is not None:
        patterns = [Case(f"pattern {seed}", _pattern(1, *size, seed, kind)) for seed in SEEDS]
        own = [Case(c.name, _stretched(c.image, size)) for c in frame_cases(frames, card)]
        return [*patterns, *own]
    geometry = card.geometry
    golden = [
        Case("self-test", _pattern(c.batch, c.height, c.width, c.seed, kind)) for c in file.golden.cases
    ]
    sizes = default_sizes(geometry.smallest_size, geometry.size_multiple, geometry.largest_size)
    return [*golden, *pattern_cases(sizes, kind), *frame_cases(frames, card)]


def feed(image: Array, target: Target, card: Card) -> Array:
    """What a consumer gives the variant for an image (N, H, W, C) of pixels."""
    if target.takes == "pixels":
        return image
    planes = image.transpose(0, 3, 1, 2).astype(np.float32)
    if target.takes == "unit":
        return np.asarray(planes / np.float32(255))
    kind = card.input
    mean, std = np.array(kind.mean, np.float64), np.array(kind.std, np.float64)
    factor, offset = kind.scale / std, -mean / std
    return np.asarray(planes * _by_channel(factor) + _by_channel(offset))


def labels_of(value: Array, target: Target) -> Array:
    """Labels (N, H, W) of what the variant gives."""
    if target.gives == "outputs":
        return value
    if target.gives == "class map":
        return np.asarray(value[..., 0])
    return argmax(value)


def compare(
    parent: Session,
    probe: Callable[[], Session],
    variant: Session,
    target: Target,
    facts: Facts,
    cases: Sequence[Case],
    progress: Progress | None = None,
) -> Compared:
    """Compare a variant with its parent.

    Args:
        parent: a session of the file.
        probe: makes one with logits; it is called only where labels differ.
        variant: a session of the variant.
        target: what it was made for.
        facts: of it.
        cases: inputs.
        progress: receives how many of them are done.

    Raises:
        VerificationError: a label differs, or onnxruntime stopped.
    """
    name = LABELS if target.gives == "outputs" else target.output
    sizes, pixels, ties = [], 0, 0
    seen: set[int] = set()
    for case in tracked(cases, progress):
        image = case.image()
        expected = parent.run(image, [LABELS])[LABELS]
        got = labels_of(_run(variant, target, facts, image, name), target)
        ties += _differing(case.name, image, expected, got, probe, facts.card)
        batch, height, width = image.shape[:3]
        sizes.append((batch, height, width))
        pixels += expected.size
        seen.update(int(label) for label in np.unique(expected))
    return Compared(tuple(sizes), pixels, ties, tuple(sorted(seen)))


def _run(variant: Session, target: Target, facts: Facts, image: Array, output: str) -> Array:
    try:
        values = variant.raw.run([output], {target.input: feed(image, target, facts.card)})
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise VerificationError(
            f"variant: onnxruntime stopped at an image of {size_text(image.shape)}: {words}"
        ) from error
    return np.asarray(values[0])


def _differing(
    name: str, image: Array, expected: Array, got: Array, probe: Callable[[], Session], card: Card
) -> int:
    """How many labels differ at ties.

    Raises:
        VerificationError: others differ, too, or their shape does.
    """
    size = size_text(image.shape[1:3])
    if got.shape != expected.shape:
        raise VerificationError(
            f"variant: got labels of {size_text(got.shape)} for {name} {size}, the parent gives "
            f"{size_text(expected.shape)}"
        )
    different = np.asarray(got != expected)
    if not different.any():
        return 0
    logits = probe().run(image, [LOGITS])[LOGITS]
    wrong = different & (margins(logits) > ROUNDINGS * float(np.abs(logits).max()))
    if wrong.any():
        batch, row, column = worst_pixel(wrong)
        names = [card.classes[int(side[batch, row, column])].name for side in (got, expected)]
        raise VerificationError(
            f"variant: {int(wrong.sum())} of {expected.size} labels differ from the parent's at {name} "
            f"{size}; the first at row {row}, column {column}: got {names[0]!r}, expected {names[1]!r}"
        )
    return int(different.sum())


def _by_channel(values: Array) -> Array:
    return values.astype(np.float32).reshape(1, -1, 1, 1)


def _pattern(batch: int, height: int, width: int, seed: int, kind: InputSpec) -> Callable[[], Array]:
    return lambda: pattern(batch, height, width, kind.channels, seed, kind)


def _stretched(read: Callable[[], Array], size: tuple[int, int]) -> Callable[[], Array]:
    """The image with the nearest pixels of another size, as a consumer might resize it."""

    def image() -> Array:
        whole = read()
        rows, columns = (
            np.arange(wanted) * given // wanted for wanted, given in zip(size, whole.shape[1:3], strict=True)
        )
        return np.ascontiguousarray(whole[:, rows][:, :, columns])

    return image
