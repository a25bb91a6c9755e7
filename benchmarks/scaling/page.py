"""One page of plots: each axis a panel, each curve relative to its first point, on logarithmic axes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from benchmarks.scaling.curves import Axis, Curve

__all__ = ["amount", "draw"]

_FEW = 16  # an axis that grows less has a tick at each of its points
_LINES = {"s": "o-", "B": "s--"}


def amount(value: float, unit: str) -> str:
    """A quantity with a fitting unit: 3.2 ms, 41 MB."""
    steps = ((1, "s"), (1e-3, "ms"), (1e-6, "us")) if unit == "s" else ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    size, name = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{value / size:.3g} {name}"


def draw(title: str, axes: Sequence[Axis]) -> bytes:
    """A PNG. A gray line grows as fast as the axis: what is steeper is super-linear."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 11), layout="constrained")
    panels = figure.subplots(2, 3, squeeze=False).ravel()
    for panel, axis in zip(panels, axes, strict=False):
        _panel(panel, axis)
    for panel in panels[len(axes) :]:
        panel.axis("off")
    explained = "times the first value of each curve; gray: as fast as the axis"
    figure.suptitle(f"{title}\n{explained}", fontsize=11, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return buffer.getvalue()


def _panel(panel: Any, axis: Axis) -> None:
    from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, NullFormatter, StrMethodFormatter

    for index, curve in enumerate(axis.curves):
        relative = [value / curve.y[0] for value in curve.y]
        panel.plot(
            curve.x, relative, _LINES[curve.unit], color=f"C{index}", label=_label(curve), markersize=4
        )
    if axis.curves:
        x = max((curve.x for curve in axis.curves), key=lambda x: x[-1] / x[0])
        panel.plot([x[0], x[-1]], [1, x[-1] / x[0]], color="0.7", linewidth=1, zorder=0)
        panel.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.12), frameon=False)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    panel.yaxis.set_major_formatter(StrMethodFormatter("x {x:g}"))
    for ticks in (panel.xaxis, panel.yaxis):
        ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ticks.set_minor_formatter(NullFormatter())
        ticks.set_tick_params(labelsize=8)
    if axis.curves and x[-1] <= _FEW * x[0]:
        panel.xaxis.set_major_locator(FixedLocator(x))
        panel.xaxis.set_minor_locator(FixedLocator([]))
    panel.grid(visible=True, which="major", alpha=0.3)
    panel.set_xlabel(axis.name, fontsize=10)
    panel.set_title(axis.setting, fontsize=9)


def _label(curve: Curve) -> str:
    first, last = (amount(value, curve.unit) for value in (curve.y[0], curve.y[-1]))
    mark = "  SUPER-LINEAR" if curve.super_linear else ""
    return f"{curve.name}: {first} to {last}, exponent {curve.exponent:z.2f}{mark}"
