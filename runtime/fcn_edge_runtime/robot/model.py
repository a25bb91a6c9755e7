"""A model opened for robots: labels, and confidence where the file has it, and nothing that costs more."""

from __future__ import annotations

from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["open_model"]


def open_model(
    path: str,
    device: str = "auto",
    threads: int | None = None,
    *,
    confidence: bool = True,
    profile: str | None = None,
) -> Segmenter:
    """Open a model; raises what `Segmenter` raises.

    Args:
        path: a model that `fcn-edge export` wrote.
        device: as `Segmenter`.
        threads: as `Segmenter`.
        profile: as `Segmenter`.
        confidence: compute confidence, if the file has it. Without it frames are a little faster.
    """
    segmenter = Segmenter(path, device, threads, profile=profile)
    wanted = {"labels", "confidence"} if confidence else {"labels"}
    # Scores of every class at full size take longer to copy than some networks take to run.
    segmenter.outputs = tuple(name for name in segmenter.outputs if name in wanted)
    return segmenter
