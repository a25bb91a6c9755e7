"""One engine at one precision: `python -m benchmarks.comparison.worker ENGINE VARIANT MATERIALS`.

It answers questions, one JSON object per line: first, unasked, that it is ready, refuses or failed; then
`{"label": FILE}` by labeling every frame into FILE, and `{"time": N}` by timing N frames after an untimed
one. Output of libraries goes to stderr.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.contract import Materials, NotOffered, Prepared

__all__ = ["main"]

KEPT = 8  # timed frames are in memory, as a camera's would be


def main() -> None:
    """Prepare, then answer until stdin ends."""
    engine, variant, described = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    materials = Materials.load(Path(described))
    try:
        module = importlib.import_module(f"benchmarks.comparison.engines.{engine}")
        prepared: Prepared = module.VARIANTS[variant](materials)
        _label(prepared, np.array(materials.frames()[0]))
    except NotOffered as reason:
        return answer(refused=str(reason))
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is a row of the table
        traceback.print_exc()
        return answer(failed=f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
    answer(how=prepared.how, versions=dict(prepared.versions))
    kept = itertools.cycle([np.array(frame) for frame in materials.frames()[:KEPT]])
    for line in sys.stdin:
        question = json.loads(line)
        if "label" in question:
            labels = np.stack([_label(prepared, np.array(frame)) for frame in materials.frames()])
            np.save(question["label"], labels)
            answer(frames=len(labels))
        else:
            _label(prepared, next(kept))  # caches are cold after the other engines' turns
            answer(seconds=[_timed(prepared, next(kept)) for _ in range(question["time"])])
    return None


def _label(prepared: Prepared, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    labels = prepared.label(frame)
    if labels.dtype != np.uint8 or labels.shape != frame.shape[:2]:
        raise TypeError(f"labels are {labels.dtype} {labels.shape}, expected uint8 {frame.shape[:2]}")
    return labels.copy()  # some engines write every frame's labels into the same memory


def _timed(prepared: Prepared, frame: npt.NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    prepared.label(frame)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
