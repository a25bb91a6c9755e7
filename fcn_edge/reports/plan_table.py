"""A plan as text: a row for each option, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from fcn_edge.planning.plan import Option, Plan
from fcn_edge_runtime._sizes import size_text

__all__ = ["lines", "verdict"]


def lines(plan: Plan) -> Iterator[str]:
    """The plan for a terminal: machine, options, what to do and what it costs."""
    machine = plan.machine
    yield f"{machine.cpu}, {machine.cores} cores, onnxruntime {machine.onnxruntime}"
    yield f"{plan.frames} frames of {size_text(plan.size)}; {plan.rate:g} frames a second are needed"
    if plan.session is not None:
        yield f"tuned: {plan.session}"
    yield ""
    scored = any(option.mean_iou is not None for option in plan.options)
    width = max(len(option.name) for option in plan.options)
    head = f"{'':<{width}}  {'median':>9}  {'p95':>9}  {'frames/s':>8}  {'labels equal':>12}"
    yield head + (f"  {'mean IoU':>8}" if scored else "")
    for option in plan.options:
        yield f"{option.name:<{width}}  {_figures(option, scored=scored)}"
    yield ""
    if plan.chosen is not None:
        yield verdict(plan)
        yield from (f"  {command}" for command in plan.commands)


def verdict(plan: Plan) -> str:
    """What the plan found, in a line."""
    rate = f"{plan.rate:g} frames a second"
    if plan.chosen is None:
        best = plan.fastest
        took = "" if best.latency is None else f"takes {best.latency.p95_ms:.1f} ms"
        return (
            f"nothing measured keeps up with {rate}, 95 of 100 within {1000 / plan.rate:.1f} ms; "
            f"the fastest, '{best.name}', {took}: use smaller frames, a smaller network or another machine"
        )
    return f"{rate}: {plan.chosen.name}, which changes {_cost(plan.chosen, plan.options[0])}"


def _figures(option: Option, *, scored: bool) -> str:
    latency = option.latency
    if latency is None:
        return option.why
    times = f"{latency.p50_ms:>6.1f} ms  {latency.p95_ms:>6.1f} ms  {option.frames_per_second:>8.1f}"
    iou = "" if not scored or option.mean_iou is None else f"  {option.mean_iou:>8.4f}"
    return f"{times}  {100 * option.agreement:>10.2f} %{iou}{'' if option.meets_rate else '  too slow'}"


def _cost(chosen: Option, given: Option) -> str:
    lost = 100 * (1 - chosen.agreement)
    text = "no label" if lost == 0 else f"{lost:.2f} % of the labels"
    if chosen.mean_iou is not None and given.mean_iou is not None:
        text += f", mean IoU {given.mean_iou:.4f} -> {chosen.mean_iou:.4f}"
    return text
