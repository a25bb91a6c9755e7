"""Before a map is made: whether tiles of this network really are the whole image.

What a card says of a network's geometry is computed from its graph, and not on every card; and some networks
resize their maps to sizes that depend on the image. So strips as long as four tiles, with the remainders of
the image's size, are run in one piece and in tiles, along both axes. It costs less than one tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.maps.network import TileNetwork
from fcn_edge_runtime.maps.tiles import TiledImage
from fcn_edge_runtime.model.golden_input import pattern
from fcn_edge_runtime.model.golden_vectors import MAX_SIDE
from fcn_edge_runtime.session.session import Session

__all__ = ["Difference", "compared", "require_exact"]

_TRIES = 4  # the margin grows sixteenfold
_NARROW = 64  # pixels of a strip's short side
_SEED = 3
_OF_AMPLITUDE, _OF_LARGEST = 1e-4, 8 * 2.0**-23  # the verdict's bound on numbers
_FEW = 1e-4  # of int8 scores: a rounding moves a whole step; a wrong seam is a hundred times as much


@dataclass(frozen=True)
class Difference:
    """How the scores of tiles differ from those of the whole.

    Attributes:
        largest: the largest difference.
        share: of the scores that differ by more than rounding.
    """

    largest: float
    share: float


def require_exact(network: TileNetwork, height: int, width: int) -> None:
    """Run strips in one piece and in tiles, and widen the network's reach until they are the same.

    Args:
        network: that will label the image.
        height: of the image.
        width: of the image.

    Raises:
        InputError: tiles are the whole image at other sizes, but not at this one.
        UsageError: they never are.
    """
    if network.card.geometry.largest_size is not None:
        raise UsageError(
            "this network computes differently for larger images, so that its tiles cannot be exact: label "
            "the image in one piece with `fcn-edge run`"
        )
    session = network.scores_session()
    unit, given = network.reach.unit, network.reach
    for _ in range(_TRIES):
        if _holds(network, session, height % unit, width % unit):
            return
        network.reach = network.reach.wider()
    network.reach = given
    if (height % unit or width % unit) and _holds(network, session, 0, 0):
        raise InputError(
            f"the image is {height} high and {width} wide, expected multiples of {unit}: at other sizes this "
            "network resizes its maps by what no tile can know; cut or pad the image"
        )
    raise UsageError(
        "the scores of this network in tiles are not those of the whole image, expected a network of local "
        "layers: choose one, or label smaller images with `fcn-edge run`"
    )


def compared(network: TileNetwork, session: Session, image: np.ndarray, core: tuple[int, int]) -> Difference:
    """The scores of an image (H, W, C) in tiles beside those in one piece."""
    whole = network.scores(image, session)
    centered = whole - whole.mean(axis=0) if len(whole) > 1 else whole
    bound = _OF_AMPLITUDE * np.abs(centered).max() + _OF_LARGEST * np.abs(whole).max()
    largest, wrong, count = 0.0, 0, 0
    tiled = TiledImage(network, image.shape[0], image.shape[1], core)
    for tile in tiled.tiles:
        (rows, columns), (down, right) = tiled.needed_scores(tile)
        scores = network.scores(np.ascontiguousarray(image[tile.window]), session)
        difference = np.abs(scores[:, down, right] - whole[:, rows, columns])
        largest = max(largest, float(difference.max()))
        wrong += int((difference > bound).sum())
        count += difference.size
    return Difference(largest, wrong / count)


def _holds(network: TileNetwork, session: Session, rows: int, columns: int) -> bool:
    unit, spec = network.reach.unit, network.card.input
    core = -(-max(network.reach.margin + 1, _NARROW) // unit) * unit
    narrow = -(-max(network.reach.smallest, _NARROW) // unit) * unit
    allowed = _FEW if network.card.precision == "int8" else 0.0
    for height, width in ((narrow + rows, 4 * core + columns), (4 * core + rows, narrow + columns)):
        image = pattern(1, min(height, MAX_SIDE), min(width, MAX_SIDE), spec.channels, _SEED, spec)[0]
        image = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), "wrap")
        if compared(network, session, image, (core, core)).share > allowed:
            return False
    return True
