"""Cold start: from process start to the first mask, interleaved with a bare onnxruntime session.

Each start is a fresh process. The first of each kind is not counted: it reads files from disk and compiles
modules. The bare session has the same number of threads and checks neither the seal nor the contract.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fcn_edge_runtime.benchmark.fresh import FreshJob, FreshRun, run_fresh
from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.timing import Ratio, interleaved, ratio_of

__all__ = ["ColdStart", "cold_start"]

FEWEST, MOST = 3, 15


@dataclass(frozen=True)
class ColdStart:
    """Medians over the starts, in milliseconds.

    Attributes:
        start_ms: Python's own start.
        import_ms: numpy, onnxruntime, this package.
        load_ms: the file, hashed and verified, and the session.
        first_mask_ms: the first frame.
        total_ms: the sum of the last three: from the first line of Python to the first mask.
        bare_ms: the same for the bare session.
        ratio: total over bare, of starts in the same round.
        cpu_ratio: the same for CPU time, which is meaningful on a busy machine as well.
        peak_bytes: peak memory of a start and its first frames; None where the system does not report it.
        bare_peak_bytes: the same for the bare session.
    """

    start_ms: float
    import_ms: float
    load_ms: float
    first_mask_ms: float
    total_ms: float
    bare_ms: float
    ratio: Ratio
    cpu_ratio: Ratio
    peak_bytes: int | None
    bare_peak_bytes: int | None


def cold_start(
    job: FreshJob, frame: np.ndarray, seconds: float, progress: Progress | None = None
) -> ColdStart:
    """Start, load and segment one frame (H, W, C), repeatedly for about `seconds`.

    Raises:
        ModelError: a process died or could not run the model.
    """
    ours: list[FreshRun] = []
    bare: list[FreshRun] = []
    interleaved(
        [
            lambda: ours.append(run_fresh(job, frame)),
            lambda: bare.append(run_fresh(replace(job, bare=True), frame)),
        ],
        seconds=seconds,
        fewest=FEWEST,
        most=MOST,
        progress=progress,
    )
    ours, bare = ours[1:], bare[1:]
    own, other = (np.array([run.to_first_mask for run in runs]) for runs in (ours, bare))
    stages = np.array([(run.start, run.imported, run.load, run.first, run.to_first_mask) for run in ours])
    start, imported, load, first, total = (float(v) for v in 1000 * np.median(stages, axis=0))
    return ColdStart(
        start,
        imported,
        load,
        first,
        total,
        1000 * float(np.median(other)),
        ratio_of(own, other),
        ratio_of(np.array([run.cpu for run in ours]), np.array([run.cpu for run in bare])),
        _peak(ours),
        _peak(bare),
    )


def _peak(runs: list[FreshRun]) -> int | None:
    known = [run.peak_bytes for run in runs if run.peak_bytes is not None]
    return int(np.median(known)) if known else None
