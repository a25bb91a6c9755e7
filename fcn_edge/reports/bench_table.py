"""A benchmark as text: one column per model, one row per measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fcn_edge_runtime.benchmark.report import BenchmarkReport, ModelReport
from fcn_edge_runtime.benchmark.sweep import SweepPoint
from fcn_edge_runtime.timing import Ratio

__all__ = ["lines"]

# A row: its title, and its text for a model; rows that are empty for every model are left out.
Row = tuple[str, Callable[[ModelReport], str]]

_COLD: tuple[Row, ...] = (
    ("cold start, ms", lambda m: f"{m.cold.total_ms:.0f}"),
    ("  import", lambda m: f"{m.cold.import_ms:.0f}"),
    ("  load, seal checked", lambda m: f"{m.cold.load_ms:.0f}"),
    ("  first mask", lambda m: f"{m.cold.first_mask_ms:.0f}"),
    ("  over bare onnxruntime", lambda m: _ratio(m.cold.ratio)),
    ("  the same in CPU time", lambda m: _ratio(m.cold.cpu_ratio)),
)
_FRAMES: tuple[Row, ...] = (
    ("frame, ms         p50", lambda m: f"{m.latency.p50_ms:.1f}"),
    ("                  p90", lambda m: f"{m.latency.p90_ms:.1f}"),
    ("                  p95", lambda m: f"{m.latency.p95_ms:.1f}"),
    ("                  p99", lambda m: f"{m.latency.p99_ms:.1f}"),
    ("                  max", lambda m: f"{m.latency.max_ms:.1f}"),
    ("  frames timed", lambda m: f"{m.latency.frames}"),
    ("frames per second", lambda m: f"{m.frames_per_second:.1f}"),
    ("  deadlines missed", lambda m: f"{m.paced.missed} of {m.paced.offered}" if m.paced else ""),
    ("    dropped, late", lambda m: f"{m.paced.dropped}, {m.paced.late}" if m.paced else ""),
    ("  busy", lambda m: f"{m.paced.busy:.0%}" if m.paced else ""),
)
_COSTS: tuple[Row, ...] = (
    ("peak memory, MB", lambda m: _megabytes(m.cold.peak_bytes)),
    ("  bare onnxruntime", lambda m: _megabytes(m.cold.bare_peak_bytes)),
    ("CPU ms per frame", lambda m: f"{1000 * m.cpu_seconds:.1f}"),
    ("  added by spinning", lambda m: f"{m.spinning.waste_ms:+.1f}" if m.spinning else ""),
    ("  time when spinning", lambda m: _ratio(m.spinning.time) if m.spinning else ""),
    ("overhead of a call, ms", lambda m: f"{m.overhead.ms:.3f}"),
)
_STAGES: tuple[Row, ...] = (
    ("onnxruntime, ms", lambda m: f"{m.profile.run_ms:.1f}"),
    ("  before the network", lambda m: f"{m.profile.shares['before']:.1%}"),
    ("  network", lambda m: f"{m.profile.shares['network']:.1%}"),
    ("  head", lambda m: f"{m.profile.shares['head']:.1%}"),
)


def lines(report: BenchmarkReport) -> Iterator[str]:
    """The report for a terminal: machine, figures, ratios, operators, sizes."""
    machine, models = report.machine, report.models
    yield f"{machine.cpu}, {machine.cores} cores, {machine.system}"
    yield f"onnxruntime {machine.onnxruntime}, numpy {machine.numpy}, Python {machine.python}"
    yield f"{report.frames}; {models[0].provider}, {models[0].threads} threads"
    for model in models:
        if model.tuned:
            yield f"{model.name} with its profile: {model.provider}, {model.threads} threads"
    yield ""
    # A column is as wide as its name, up to a limit; a longer one keeps its end, where names differ.
    names = [_short(model.name) for model in models]
    widths = [max(len(name), 18) for name in names]
    yield _cells("", names, widths)
    for rows in (_COLD, _FRAMES, _COSTS, _STAGES):
        for title, text in rows:
            shown = [text(model) for model in models]
            if any(shown):
                yield _cells(title, shown, widths)
    yield ""
    for entry in report.comparisons:
        clear = "" if entry.ratio.clear else ": no clear difference"
        yield (
            f"{entry.name} takes {entry.ratio.median:.3f} of the time of {entry.against} "
            f"({entry.ratio.spread[0]:.3f} to {entry.ratio.spread[1]:.3f} in half of "
            f"{entry.ratio.rounds} rounds){clear}"
        )
    for model in models:
        yield from _operators(model)
        yield from _sizes(model)


def _operators(model: ModelReport) -> Iterator[str]:
    yield ""
    operators = ", ".join(
        f"{o.operator} {o.share:.1%} ({o.nodes})" for o in model.profile.operators if o.share >= 0.005
    )
    yield f"operators of {model.name}: {operators}"
    for node in model.profile.nodes:
        yield f"  {node.ms:8.2f} ms {node.share:6.1%}  {node.stage:<8} {node.operator:<16} {node.name}"


def _sizes(model: ModelReport) -> Iterator[str]:
    if model.sweep:
        yield ""
        yield f"sizes of {model.name}:    frame, ms   first, ms   peak memory, MB"
    for point in model.sweep:
        yield f"  {f'{point.height}x{point.width}':<12}" + _point(point)


def _point(point: SweepPoint) -> str:
    if point.frame_ms is None or point.first_ms is None:
        return f"not measured: {point.skipped}"
    return f"{point.frame_ms:14.1f}{point.first_ms:12.1f}{_megabytes(point.peak_bytes):>14}"


def _cells(title: str, texts: list[str], widths: list[int]) -> str:
    row = "".join(f"  {text:>{width}}" for text, width in zip(texts, widths, strict=True))
    return f"{title:<24}{row}"


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else "..." + name[3 - most :]


def _ratio(ratio: Ratio) -> str:
    return f"x{ratio.median:.2f} ({ratio.spread[0]:.2f}-{ratio.spread[1]:.2f})"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.0f}"
