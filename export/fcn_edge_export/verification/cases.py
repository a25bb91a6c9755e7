"""The inputs a model is verified on: sizes that expose common errors, and the user's own frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.arrays import as_batch
from fcn_edge_runtime.model.card import Card, InputSpec
from fcn_edge_runtime.model.golden_input import pattern

__all__ = ["LARGE", "PATTERN", "Case", "default_sizes", "frame_cases", "pattern_cases"]

Array = npt.NDArray[Any]


LARGE = ((1, 480, 640), (1, 720, 1280), (1, 33, 2049))  # of real cameras, and one that is very wide
PATTERN = "pattern"  # the name of a case that is not the user's
DRAWN = 400  # sides of drawn sizes at most


@dataclass(frozen=True)
class Case:
    """One input: its name, and a function that gives it, (N, H, W, C) in the card's dtype."""

    name: str
    image: Callable[[], Array]


def default_sizes(
    smallest: int,
    multiple: int,
    largest: tuple[int, int] | None = None,
    seed: str | None = None,
    large: Sequence[tuple[int, int, int]] = LARGE,
) -> tuple[tuple[int, int, int], ...]:
    """(batch, height, width): batches, odd, prime, portrait and landscape, the smallest, and large ones.

    Args:
        smallest: height and width at least.
        multiple: of the sizes that the network accepts.
        largest: (height, width) at most.
        seed: hex digits, such as a digest of the weights; with it come the large sizes, and two that are
            drawn from the seed, so that no list of sizes can be passed by luck.
        large: these, or stripes of them, see `stripes`.
    """
    wanted: tuple[tuple[int, int, int], ...] = (
        (1, smallest, smallest),
        (2, 64, 96),
        (1, 67, 45),
        (1, 97, 131),
        (3, 131, 97),
        (1, 33, 240),
        (1, 250, 330),
        (1, 4 * multiple + 1, 5 * multiple - 1),
    )
    if seed is not None:
        drawn = [int(seed[at : at + 4], 16) % DRAWN + 1 for at in (0, 4, 8, 12)]
        wanted = (*wanted, *large, (1, drawn[0], drawn[1]), (1, drawn[2], drawn[3]))
    raised = [(n, max(h, smallest), max(w, smallest)) for n, h, w in wanted]
    if largest is not None:
        raised = [(n, min(h, largest[0]), min(w, largest[1])) for n, h, w in raised]
    return tuple(dict.fromkeys(raised))


def pattern_cases(sizes: Sequence[tuple[int, int, int]], spec: InputSpec) -> Iterator[Case]:
    """One case of the golden pattern for each size, each with its own seed."""
    for index, (batch, height, width) in enumerate(sizes):
        seed = 100 + index

        def image(batch: int = batch, height: int = height, width: int = width, seed: int = seed) -> Array:
            return pattern(batch, height, width, spec.channels, seed, spec)

        yield Case(PATTERN, image)


def frame_cases(frames: Mapping[str, Callable[[], Array]], card: Card) -> Iterator[Case]:
    """One case for each of a user's own frames: name -> what reads it, (H, W, C) in the card's dtype.

    A frame that the model cannot segment raises an InputError that names it, when it is read.
    """
    for name, read in frames.items():

        def image(name: str = name, read: Callable[[], Array] = read) -> Array:
            try:
                return as_batch(read(), card)[0]
            except InputError as error:
                raise InputError(f"{name}: {error}") from None

        yield Case(name, image)
