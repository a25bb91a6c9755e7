"""The size at which a network is traced: the smallest that does, and then one four times as large.

The tracer follows the branches that its example takes, and takes a map of one pixel, or two equal sides, for
what they always are. Examples are chosen so that this does not happen (`examples`). Where it does all the
same, the network is traced once more at a larger size, if there is reason to hope: its code fixes a size, the
file is the network at some sizes alone, or it is the network where it was traced and not elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fcn_edge_export.conditions import FrozenSizeError, Size
from fcn_edge_export.finish import ExportResult, Network
from fcn_edge_export.verification.borders import LARGEST_SMALLEST, USEFUL, SizeDependentError
from fcn_edge_export.verification.certify import DifferenceError
from fcn_edge_runtime.errors import FcnEdgeError

__all__ = ["first_right"]

TIMES = 4  # as large as the first example, once more


def first_right(
    example: Callable[[int], Size],
    traced: Callable[[Size], Network],
    finished: Callable[[Network, int], ExportResult],
    agrees: Callable[[Network, Size], bool],
) -> ExportResult:
    """The verified file of a network.

    Args:
        example: the size to trace at, so many times as large as it need be.
        traced: the network, traced at a size.
        finished: its verified file; a range of sizes that ends below the number is not worth one.
        agrees: whether a traced network is right at a size.

    Raises:
        FcnEdgeError: what the last attempt raised, or the first one where a further one tells less.
    """
    first = example(1)
    try:
        network = traced(first)
    except FrozenSizeError as error:
        return _instead(error, partial(_larger, example, traced, finished))
    try:
        return finished(network, LARGEST_SMALLEST)
    except DifferenceError as error:
        if not agrees(network, first):
            raise
        return _instead(error, partial(_larger, example, traced, finished, error.size, agrees))
    except SizeDependentError as error:
        larger = example(TIMES)
        if all(condition.holds(larger) for condition in error.limits):
            return finished(network, USEFUL)
    try:
        return finished(traced(larger), LARGEST_SMALLEST)
    except FcnEdgeError:  # the network may not take images as large
        return finished(network, USEFUL)


def _larger(
    example: Callable[[int], Size],
    traced: Callable[[Size], Network],
    finished: Callable[[Network, int], ExportResult],
    wrong: Size | None = None,
    agrees: Callable[[Network, Size], bool] | None = None,
) -> ExportResult | None:
    """The file of the larger example; None if it is wrong where the first was: no more is compared."""
    network = traced(example(TIMES))
    if wrong is not None and agrees is not None and not agrees(network, wrong):
        return None
    return finished(network, LARGEST_SMALLEST)


def _instead(error: FcnEdgeError, attempt: Callable[[], ExportResult | None]) -> ExportResult:
    """What a second attempt gives; the error of the first one if it fails, too."""
    try:
        found = attempt()
    except FcnEdgeError:
        found = None
    if found is None:
        raise error from None
    return found
