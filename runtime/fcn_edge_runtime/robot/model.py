"""Opens a model for robots: labels, confidence if the file has it, and no costlier output."""

from __future__ import annotations

from collections.abc import Sequence

from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["open_model"]


def open_model(
    path: str,
    device: str = "auto",
    threads: int | None = None,
    *,
    confidence: bool = True,
    profile: str | None = None,
    threshold: float | None = None,
    trusted_keys: Sequence[str] | None = None,
) -> Segmenter:
    """Open a model; raises what `Segmenter` raises.

    Args:
        path: a model that `fcn-edge export` wrote.
        device: as `Segmenter`.
        threads: as `Segmenter`.
        profile: as `Segmenter`.
        threshold: as `Segmenter`.
        trusted_keys: as `Segmenter`.
        confidence: compute confidence, if the file has it. Without it frames are a little faster.
    """
    # Copying the full-size logits of every class can take longer than running the network.
    wanted = ("labels", "confidence") if confidence else ("labels",)
    return Segmenter(
        path,
        device,
        threads,
        outputs=lambda offered: [name for name in wanted if name in offered],
        profile=profile,
        threshold=threshold,
        trusted_keys=trusted_keys,
    )
