"""Results as Markdown for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.comparison.results import (
    AGREEMENT,
    TIMES_OTHER,
    TIMES_PLAIN,
    AimResult,
    EngineComparison,
    Row,
    verdict,
)
from fcn_edge_runtime.timing import Ratio

__all__ = ["Occasion", "as_json", "as_markdown"]


@dataclass(frozen=True)
class Occasion:
    """Model, date, processor, cores, threads and load of a run."""

    model: str
    date: str
    cpu: str
    cores: int
    threads: int
    load: float


def as_json(occasion: Occasion, found: Sequence[EngineComparison]) -> str:
    """Everything, with each round's medians."""
    sizes = [{**asdict(one), "verdict": asdict(verdict(one))} for one in found]
    text = json.dumps({"occasion": asdict(occasion), "sizes": sizes}, indent=1, ensure_ascii=False)
    return text.replace("NaN", "null") + "\n"


def as_markdown(occasion: Occasion, found: Sequence[EngineComparison]) -> str:
    """One table per size, its comparison with the aims, and the versions."""
    lines = [
        f"# {occasion.model}: uint8 frame in, uint8 labels out",
        "",
        f"{occasion.date}, {occasion.cpu}, {occasion.cores} cores, load {occasion.load:.1f}.",
        f"{occasion.threads} threads for each engine. Engines alternated in one run.",
        "*Times plain* is the median of the rounds' ratios, with their quartiles. *Labels* is the share",
        "equal to PyTorch's in float32, on frames used neither for training nor for calibration.",
    ]
    for one in found:
        lines += ["", f"## {one.size}, {one.rounds} rounds", "", *_table(one), "", *_words(verdict(one))]
    versions = {entry for one in found for row in one.rows for entry in (row.versions or {}).items()}
    lines += ["", "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(versions)) + "."]
    return "\n".join(lines) + "\n"


def _table(found: EngineComparison) -> list[str]:
    head = ["| engine | precision | ms | times plain | labels | how |", "|---|---|---|---|---|---|"]
    return head + [_line(row) for row in found.rows]


def _line(row: Row) -> str:
    how = row.how.replace("|", "/")
    share = f"{100 * row.agreement:.2f} %" if row.agreement is not None else "-"
    if row.milliseconds is None:
        return f"| {row.name} | {row.variant} | - | - | {share} | not timed: {how} |"
    time = f"{row.milliseconds:.1f} | {_ratio(row.faster)}"
    return f"| {row.name} | {row.variant} | {time} | {share} | {how} |"


def _words(aims: AimResult) -> list[str]:
    enough = f"{100 * AGREEMENT:g} % of the labels"
    if aims.ours is None:
        return [f"No row of fcn-edge has both a time and {enough}."]
    lines = [f"- {aims.ours}, compared with plain export: {_aimed(aims.than_plain, TIMES_PLAIN)}."]
    if aims.other is not None:
        than = _aimed(aims.than_other, TIMES_OTHER)
        lines.append(f"- Compared with the fastest other engine, {aims.other}: {than}.")
    if aims.agreeing is not None and aims.agreeing != aims.other:
        than = _aimed(aims.than_agreeing, TIMES_OTHER)
        lines.append(f"- Compared with the fastest other that keeps {enough}, {aims.agreeing}: {than}.")
    if aims.fastest != aims.ours and aims.other is not None:
        than = f"{_ratio(aims.fastest_than_other)} times as fast as {aims.other}"
        lines.append(f"- {aims.fastest}, which keeps fewer labels: {than}.")
    return lines


def _aimed(ratio: Ratio | None, aim: float) -> str:
    reached = ratio is not None and ratio.median >= aim
    return f"{_ratio(ratio)} times as fast (the aim, {aim}, is {'' if reached else 'not '}reached)"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    low, high = ratio.spread
    return f"{ratio.median:.2f} ({low:.2f}-{high:.2f})"
