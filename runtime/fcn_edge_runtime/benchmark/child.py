"""What runs in a process of its own: import, load, first mask, and further frames, each timed.

`fcn_edge_runtime.benchmark.fresh` starts it. Nothing is imported up here: what this module imported would be
missing in the time of the import.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["main"]


def main(begun: float, busy: float, text: str) -> None:
    """Do the job that is described by `text` (JSON), and print one line of JSON at the end.

    Args:
        begun: the clock when the process began to run Python code.
        busy: the processor's time that it had taken by then.
        text: see `fcn_edge_runtime.benchmark.fresh.Job`.
    """
    import json

    job = json.loads(text)
    try:
        result = _bare(job) if job["bare"] else _ours(begun, busy, job)
    except Exception as error:
        from fcn_edge_runtime.errors import FcnEdgeError

        if not isinstance(error, (FcnEdgeError, MemoryError)):
            raise
        result = {"error": str(error) or "out of memory"}
    print(json.dumps({"begun": begun, **result}))  # noqa: T201 - the answer to the parent


def _ours(begun: float, busy: float, job: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from fcn_edge_runtime.devices import import_onnxruntime
    from fcn_edge_runtime.segmenter import Segmenter

    import_onnxruntime()
    imported = time.perf_counter()
    frame = np.load(job["frame"])  # a camera would have given it
    ready = time.perf_counter()
    segmenter = Segmenter(job["model"], job["device"], job["threads"], outputs=("labels",))
    loaded = time.perf_counter()
    segmenter(frame)
    first = time.perf_counter()
    stages = (imported - begun, loaded - ready, first - loaded, time.process_time() - busy)
    return _measured(stages, lambda: segmenter(frame), job)


def _bare(job: dict[str, Any]) -> dict[str, Any]:
    # What was imported of ours by now is none of its business.
    begun, busy = time.perf_counter(), time.process_time()
    import numpy as np
    import onnxruntime

    imported = time.perf_counter()
    frame = np.load(job["frame"])
    ready = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        job["model"], options, providers=list(dict.fromkeys([job["provider"], "CPUExecutionProvider"]))
    )
    loaded = time.perf_counter()
    session.run(["labels"], {"image": frame[None]})
    first = time.perf_counter()
    stages = (imported - begun, loaded - ready, first - loaded, time.process_time() - busy)
    return _measured(stages, lambda: session.run(["labels"], {"image": frame[None]}), job)


def _measured(
    stages: tuple[float, float, float, float], run: Callable[[], object], job: dict[str, Any]
) -> dict[str, Any]:
    from fcn_edge_runtime.benchmark.memory import peak_bytes

    imported, load, first, cpu = stages
    frames: list[float] = []
    begun = time.perf_counter()
    while len(frames) < job["fewest"] or (
        len(frames) < job["most"] and time.perf_counter() - begun < job["seconds"]
    ):
        start = time.perf_counter()
        run()
        frames.append(time.perf_counter() - start)
    return {
        "import": imported,
        "load": load,
        "first": first,
        "cpu": cpu,
        "frames": frames,
        "peak": peak_bytes(),
    }
