"""A benchmark as one figure: time per frame, where it is spent, and growth with image size."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fcn_edge.reports.plottable import plottable
from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.benchmark.report import BenchmarkReport, ModelReport
from fcn_edge_runtime.benchmark.sweep import SweepPoint
from fcn_edge_runtime.errors import FcnEdgeError, UsageError

__all__ = ["require_plot", "write_plot"]

PERCENTILES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
STAGE_COLORS = {"before": "#e69f00", "network": "#56b4e9", "head": "#cc79a7", "between": "#bbbbbb"}


def require_plot(path: Path) -> None:
    """Check, before anything is measured, that the figure can be drawn and written.

    Raises:
        UsageError: the name does not end in .png.
        FcnEdgeError: matplotlib is not installed.
        ArtifactError: the folder cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"got {path} for the plot, expected a name that ends in .png")
    _figure_class()
    require_writable(path.parent)


def write_plot(path: Path, report: BenchmarkReport) -> None:
    """Write the report as a PNG: percentiles, stages, and, where sizes were measured, time and memory.

    Raises:
        FcnEdgeError: matplotlib is not installed.
        ArtifactError: the file cannot be written.
    """
    swept = [model for model in report.models if any(p.frame_ms is not None for p in model.sweep)]
    rows = 2 if swept else 1
    figure = _figure_class()(figsize=(12, 1 + 3.8 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    colors = {m.name: f"C{index % 10}" for index, m in enumerate(report.models)}
    _percentiles(axes[0][0], report, colors)
    _stages(axes[0][1], report)
    if swept:
        _growth(axes[1][0], swept, colors, "Time per frame against image size, ms", lambda p: p.frame_ms)
        _growth(axes[1][1], swept, colors, "Peak memory against image size, MB", _megabytes)
    machine = report.machine
    figure.suptitle(
        f"{machine.cpu}, {machine.cores} cores, onnxruntime {machine.onnxruntime}, "
        f"{report.models[0].threads} threads\n{report.frames}",
        fontsize=10,
        parse_math=False,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def _percentiles(axes: Any, report: BenchmarkReport, colors: dict[str, str]) -> None:
    """Bars from the median to the slowest frame; the legend shows how each model compares."""
    count = len(report.models)
    for index, model in enumerate(report.models):
        values = [getattr(model.latency, key) for key in PERCENTILES]
        places = [position + 0.8 * (index + 0.5) / count - 0.4 for position in range(len(values))]
        bars = axes.bar(places, values, 0.8 / count, color=colors[model.name], label=_legend(model, report))
        if count <= 3:
            axes.bar_label(bars, fmt="%.3g", fontsize=9, padding=2)
    if report.models[0].paced is not None:
        deadline = 1000 / report.models[0].paced.rate_hz
        axes.axhline(deadline, color="black", linestyle="--", linewidth=1)
        text = f"deadline, {deadline:.3g} ms"
        axes.annotate(text, (-0.4, deadline), xytext=(0, 3), textcoords="offset points", fontsize=9)
    axes.set_xticks(range(len(PERCENTILES)), ["median", "p90", "p95", "p99", "slowest"])
    axes.set_ylabel("milliseconds")
    axes.margins(y=0.12)
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.set_title("Time per frame, from the frame to its mask")
    _write_legend(axes)


def _legend(model: ModelReport, report: BenchmarkReport) -> str:
    text = f"{plottable(model.name)}: {model.frames_per_second:.3g} per second"
    found = next((c.ratio for c in report.comparisons if c.name == model.name), None)
    if found is not None:
        text += f", x{found.median:.2f} the time ({found.spread[0]:.2f} to {found.spread[1]:.2f})"
    if model.paced is not None:
        text += f", {model.paced.missed} of {model.paced.offered} missed"
    return text


def _write_legend(axes: Any, columns: int = 1) -> None:
    """Place the legend below the plot, where it hides nothing."""
    legend = axes.legend(
        fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # names of files may hold a $


def _stages(axes: Any, report: BenchmarkReport) -> None:
    """One bar per model: milliseconds of each stage, by onnxruntime's profiler."""
    names = [model.name for model in report.models]
    left = [0.0] * len(names)
    stages = zip(*(_widths(model) for model in report.models), strict=True)
    for (stage, color), widths in zip(STAGE_COLORS.items(), stages, strict=True):
        label = {"before": "before the network", "between": "between operators"}.get(stage, stage)
        axes.barh(range(len(names)), widths, left=left, color=color, label=label)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    # Names inside the plot: beside it, long names would leave no room for the bars.
    axes.set_yticks(range(len(names)), [""] * len(names))
    for row, model in enumerate(report.models):
        head = model.profile.shares["head"]
        text = f"{plottable(model.name)}: {sum(_widths(model)):.3g} ms, {head:.0%} of it in the head"
        axes.annotate(
            text, (0, row - 0.4), xytext=(3, 2), textcoords="offset points", fontsize=9, parse_math=False
        )
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.set_title("Where onnxruntime spends it, ms")
    _write_legend(axes, 4)


def _widths(model: ModelReport) -> list[float]:
    """Milliseconds of each stage, in the order of `STAGE_COLORS`."""
    profile = model.profile
    return [profile.between_ms if stage == "between" else profile.stages[stage] for stage in STAGE_COLORS]


def _growth(
    axes: Any,
    models: list[ModelReport],
    colors: dict[str, str],
    title: str,
    value: Callable[[SweepPoint], float | None],
) -> None:
    """Over megapixels, on logarithmic axes: proportional growth is a straight line of slope 1."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    for model in models:
        known = [(p, v) for p in model.sweep if (v := value(p)) is not None]
        pixels = [p.pixels / 1e6 for p, _ in known]
        axes.plot(pixels, [v for _, v in known], "o-", color=colors[model.name], label=plottable(model.name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    points = models[0].sweep
    axes.set_xticks([p.pixels / 1e6 for p in points], [f"{p.width}x{p.height}" for p in points])
    axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    axes.xaxis.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.minorticks_off()
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.set_title(title)


def _megabytes(point: SweepPoint) -> float | None:
    return None if point.peak_bytes is None else point.peak_bytes / 1e6


def _figure_class() -> Any:
    return require("matplotlib.figure", "the plot", FcnEdgeError).Figure
