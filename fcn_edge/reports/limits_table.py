"""How far models are from the limits of the processor, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fcn_edge_runtime.benchmark.limits import ModelLimits, StageLimit

__all__ = ["lines"]


def lines(found: Sequence[ModelLimits]) -> Iterator[str]:
    """Models measured on one machine, at least one, for a terminal."""
    machine = found[0].machine
    yield f"{machine.cpu}, {machine.cores} cores, onnxruntime {machine.onnxruntime}"
    for model in found:
        yield ""
        yield from _model(model)


def _model(found: ModelLimits) -> Iterator[str]:
    work, peaks = found.work, found.peaks
    height, width = found.size
    yield f"{found.name} at {height}x{width}, {found.provider}, {found.threads} threads"
    yield (
        f"work of the network: {work.float_macs / 1e9:.3f} billion products in float, "
        f"{work.int8_macs / 1e9:.3f} in int8; {work.moved / 1e6:.1f} MB of tensors"
    )
    yield (
        f"the processor, a second: {peaks.float_macs / 1e9:.0f} billion products in float, "
        f"{peaks.int8_macs / 1e9:.0f} in int8; {peaks.copied / 1e9:.1f} GB copied"
    )
    yield f"{'stage':<20}{'ms':>9}{'at least':>10}  {'limited by':<11}{'reached':>8}"
    for stage in found.stages:
        yield _row(stage)
    yield _row(StageLimit("whole frame", found.frame_ms, found.limit_ms))


def _row(stage: StageLimit) -> str:
    least, reached = "", ""
    if stage.limit_ms is not None:
        least, reached = f"{stage.limit_ms:.3f}", f"{stage.limit_ms / max(stage.ms, 1e-9):.1%}"
    return f"{stage.name:<20}{stage.ms:>9.3f}{least:>10}  {stage.by:<11}{reached:>8}".rstrip()
