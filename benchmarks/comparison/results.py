"""From rounds and labels to rows: medians, paired ratios, shares of equal labels, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.roster import Contender
from fcn_edge_runtime.timing import Ratio, ratio_of

__all__ = ["AGREEMENT", "AimResult", "EngineComparison", "Row", "compare", "verdict"]

AGREEMENT = 0.995  # share of the float network's labels that a fast row must keep
TIMES_PLAIN, TIMES_PEER = 3.5, 1.15  # what fcn-edge is meant to reach


@dataclass(frozen=True)
class Row:
    """One contender at one size.

    Attributes:
        name, variant: of the contender.
        how: its settings; for a contender without a time, why it has none.
        milliseconds: median of the rounds; None where it could not be timed.
        quartiles: of the same.
        faster: than the plain recipe, round by round: 2 is twice as fast.
        agreement: share of labels equal to PyTorch's in float32.
        versions: of what ran it.
    """

    name: str
    variant: str
    how: str
    milliseconds: float | None = None
    quartiles: tuple[float, float] | None = None
    faster: Ratio | None = None
    agreement: float | None = None
    versions: Mapping[str, str] | None = None

    @property
    def label(self) -> str:
        """Both names."""
        return f"{self.name} {self.variant}"

    @property
    def agrees(self) -> bool:
        """Whether it keeps enough of the float network's labels."""
        return self.agreement is not None and self.agreement >= AGREEMENT


@dataclass(frozen=True)
class EngineComparison:
    """All rows of one size, with the rounds' medians in seconds by row label, NaN where it sat out."""

    size: str
    rounds: int
    rows: tuple[Row, ...]
    seconds: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class AimResult:
    """Our fastest row that agrees, against the plain recipe and the fastest peers.

    Attributes:
        ours: label of our row; None if none agrees.
        than_plain: times as fast as the plain recipe.
        peer, than_peer: the fastest peer whatever its labels, and times as fast as it.
        agreeing, than_agreeing: the fastest peer that agrees, and times as fast as it.
        fastest, fastest_than_peer: our fastest row whatever its labels, and times as fast as that peer.
    """

    ours: str | None
    than_plain: Ratio | None
    peer: str | None
    than_peer: Ratio | None
    agreeing: str | None
    than_agreeing: Ratio | None
    fastest: str | None
    fastest_than_peer: Ratio | None


def compare(
    size: str,
    contenders: Sequence[Contender],
    seconds: Mapping[str, npt.NDArray[np.float64]],
    agreements: Mapping[str, float],
    said: Mapping[str, tuple[str, Mapping[str, str]]],
    reasons: Mapping[str, str],
) -> EngineComparison:
    """Rows in the contenders' order; every mapping is by their slug.

    Args:
        size: HxW.
        contenders: all of them, also those that could do nothing.
        seconds: (rounds,) medians, NaN where a contender sat out.
        agreements: shares of equal labels.
        said: how each ran, and its versions.
        reasons: why the others have no time.
    """
    plain = next((seconds[c.slug] for c in contenders if c.engine == "plain" and c.slug in seconds), None)
    rows = []
    for one in contenders:
        if one.slug in reasons:
            rows.append(Row(one.name, one.variant, reasons[one.slug], agreement=agreements.get(one.slug)))
            continue
        own = seconds[one.slug]
        low, middle, high = 1000 * np.nanquantile(own, (0.25, 0.5, 0.75))
        how, versions = said[one.slug]
        faster = None if plain is None else _ratio(plain, own)
        quartiles = (float(low), float(high))
        rows.append(
            Row(
                one.name,
                one.variant,
                how,
                float(middle),
                quartiles,
                faster,
                agreements[one.slug],
                versions,
            )
        )
    by_label = {f"{c.name} {c.variant}": seconds[c.slug].tolist() for c in contenders if c.slug in seconds}
    return EngineComparison(size, max((len(v) for v in seconds.values()), default=0), tuple(rows), by_label)


def verdict(found: EngineComparison) -> AimResult:
    """What the rows say about the aims."""
    timed = sorted((r for r in found.rows if r.milliseconds is not None), key=lambda r: r.milliseconds or 0)
    ours = next((r for r in timed if r.name == "fcn-edge" and r.agrees), None)
    peers = [r for r in timed if r.name not in ("fcn-edge", "plain recipe")]
    peer = next(iter(peers), None)
    agreeing = next((r for r in peers if r.agrees), None)
    fastest = next((r for r in timed if r.name == "fcn-edge"), None)

    def than(other: Row | None, own: Row | None) -> Ratio | None:
        if own is None or other is None:
            return None
        return _ratio(np.array(found.seconds[other.label]), np.array(found.seconds[own.label]))

    return AimResult(
        ours.label if ours else None,
        ours.faster if ours else None,
        peer.label if peer else None,
        than(peer, ours),
        agreeing.label if agreeing else None,
        than(agreeing, ours),
        fastest.label if fastest else None,
        than(peer, fastest),
    )


def _ratio(other: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> Ratio:
    both = np.isfinite(own) & np.isfinite(other)
    return ratio_of(other[both], own[both])
