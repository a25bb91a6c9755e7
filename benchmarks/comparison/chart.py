"""Bar chart: milliseconds per frame, one panel per size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import fill

from benchmarks.comparison.results import EngineComparison
from benchmarks.comparison.table import Occasion

__all__ = ["draw"]

COLORS = {"fcn-edge": "#1b6ca8", "plain export": "#c44536"}
OTHER, PALE = "#8d99ae", 0.45


def draw(occasion: Occasion, found: Sequence[EngineComparison]) -> bytes:
    """A PNG. Bars are sorted by time; rows that lose labels are pale and show the share they keep."""
    from matplotlib.figure import Figure

    panels = [
        sorted((r for r in f.rows if r.milliseconds), key=lambda r: -(r.milliseconds or 0)) for f in found
    ]
    tallest = max((len(rows) for rows in panels), default=1)
    figure = Figure(figsize=(7.5 * max(len(found), 1), 1.4 + 0.3 * tallest), layout="constrained")
    for place, (one, rows) in enumerate(zip(found, panels, strict=True)):
        axes = figure.add_subplot(1, len(found), place + 1)
        times = [row.milliseconds or 0 for row in rows]
        bars = axes.barh(
            [row.label for row in rows], times, color=[COLORS.get(row.name, OTHER) for row in rows]
        )
        notes = []
        for bar, row in zip(bars, rows, strict=True):
            bar.set_alpha(1 if row.agrees else PALE)
            share = "" if row.agrees else f"  {100 * (row.agreement or 0):.1f} % of labels"
            notes.append(f"{row.milliseconds:.1f}{share}")
        axes.bar_label(bars, notes, padding=3, fontsize=8)
        axes.margins(x=0.22)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("ms per frame, median")
        axes.set_title(one.size)
    title = f"{occasion.model}: frame to labels, {occasion.threads} threads, {occasion.cpu}, {occasion.date}"
    figure.suptitle(fill(title, 80 * max(len(found), 1)), fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
