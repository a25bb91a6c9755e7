"""From rounds and labels to rows: medians, paired ratios, shares of equal labels, and the aims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.roster import Contender
from fcn_edge_runtime.timing import Ratio, ratio_of

__all__ = ["AGREEMENT", "AimResult", "EngineComparison", "Row", "compare", "verdict"]

AGREEMENT = 0.995  # share of the float network's labels that a fast row must keep
TIMES_PLAIN, TIMES_OTHER = 3.5, 1.15  # the aims of fcn-edge


@dataclass(frozen=True)
class Row:
    """One contender at one size.

    Attributes:
        name, variant: of the contender.
        how: its settings; for a contender without a time, the reason.
        milliseconds: median of the rounds; None if it could not be timed.
        quartiles: of the same.
        faster: speed-up over plain export, round by round: 2 is twice as fast.
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
    """All rows of one size, with the rounds' medians in seconds by row label, NaN where it was left out."""

    size: str
    rounds: int
    rows: tuple[Row, ...]
    seconds: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class AimResult:
    """Our fastest row that agrees, compared with plain export and the fastest other engines.

    Attributes:
        ours: label of our row; None if none agrees.
        than_plain: times as fast as plain export.
        other, than_other: the fastest other engine whatever its labels, and times as fast as it.
        agreeing, than_agreeing: the fastest other engine that agrees, and times as fast as it.
        fastest, fastest_than_other: our fastest row whatever its labels, and times as fast as `other`.
    """

    ours: str | None
    than_plain: Ratio | None
    other: str | None
    than_other: Ratio | None
    agreeing: str | None
    than_agreeing: Ratio | None
    fastest: str | None
    fastest_than_other: Ratio | None


def compare(
    size: str,
    contenders: Sequence[Contender],
    seconds: Mapping[str, npt.NDArray[np.float64]],
    agreements: Mapping[str, float],
    ran: Mapping[str, tuple[str, Mapping[str, str]]],
    reasons: Mapping[str, str],
) -> EngineComparison:
    """Rows in the contenders' order; every mapping is by their slug.

    Args:
        size: HxW.
        contenders: all of them, also those that failed.
        seconds: (rounds,) medians, NaN where a contender was left out.
        agreements: shares of equal labels.
        ran: how each ran, and its versions.
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
        how, versions = ran[one.slug]
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
    """The rows compared with the aims."""
    timed = sorted((r for r in found.rows if r.milliseconds is not None), key=lambda r: r.milliseconds or 0)
    ours = next((r for r in timed if r.name == "fcn-edge" and r.agrees), None)
    others = [r for r in timed if r.name not in ("fcn-edge", "plain export")]
    other = next(iter(others), None)
    agreeing = next((r for r in others if r.agrees), None)
    fastest = next((r for r in timed if r.name == "fcn-edge"), None)

    def than(row: Row | None, own: Row | None) -> Ratio | None:
        if own is None or row is None:
            return None
        return _ratio(np.array(found.seconds[row.label]), np.array(found.seconds[own.label]))

    return AimResult(
        ours.label if ours else None,
        ours.faster if ours else None,
        other.label if other else None,
        than(other, ours),
        agreeing.label if agreeing else None,
        than(agreeing, ours),
        fastest.label if fastest else None,
        than(other, fastest),
    )


def _ratio(other: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> Ratio:
    both = np.isfinite(own) & np.isfinite(other)
    return ratio_of(other[both], own[both])
