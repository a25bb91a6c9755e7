"""The program that runs in a fresh process: import, load, first mask, and further frames, each timed.

`fcn_edge_runtime.benchmark.fresh` starts this file as a program. Neither the package nor anything it imports
is imported before the clock starts, or the import time would not include it.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["main"]


def main(begun: float, arguments: list[str]) -> None:
    """Do the job that the arguments describe, and print one line of JSON at the end.

    Args:
        begun: the clock when the process started to run Python code.
        arguments: the parent's `sys.path`, the frame's file, and the fields of `fresh.FreshJob` in order.
    """
    path, frame, model, device, provider, threads, profile, bare, fewest, most, seconds = arguments
    sys.path[:] = path.split("\x1f")
    job = {
        "frame": frame,
        "model": model,
        "device": device,
        "provider": provider,
        "threads": int(threads),
        "profile": profile,
        "fewest": int(fewest),
        "most": int(most),
        "seconds": float(seconds),
    }
    try:
        result = _bare(job) if bare == "True" else _ours(job)
    except Exception as error:
        from fcn_edge_runtime.errors import FcnEdgeError

        if not isinstance(error, (FcnEdgeError, MemoryError)):
            raise
        result = {"error": str(error) or "out of memory"}
    import json

    print(json.dumps({"begun": begun, **result}))  # noqa: T201 - the answer to the parent


def _ours(job: dict[str, Any]) -> dict[str, Any]:
    begun, busy = time.perf_counter(), time.process_time()
    import numpy as np

    from fcn_edge_runtime.segmenter import Segmenter
    from fcn_edge_runtime.session.devices import import_onnxruntime

    import_onnxruntime()
    imported = time.perf_counter()
    frame = np.load(job["frame"])  # not part of the load: a camera delivers frames in memory
    ready = time.perf_counter()
    if job["profile"]:
        segmenter = Segmenter(job["model"], outputs=("labels",), profile=job["profile"])
    else:
        segmenter = Segmenter(job["model"], job["device"], job["threads"], outputs=("labels",))
    loaded = time.perf_counter()
    segmenter(frame)
    first = time.perf_counter()
    stages = (imported - begun, loaded - ready, first - loaded, time.process_time() - busy)
    return _measured(stages, lambda: segmenter(frame), job)


def _bare(job: dict[str, Any]) -> dict[str, Any]:
    begun, busy = time.perf_counter(), time.process_time()
    import numpy as np
    import onnxruntime

    imported = time.perf_counter()
    frame = np.load(job["frame"])
    ready = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = job["model"]
    if not model.isprintable():  # onnxruntime takes no path that is not UTF-8
        with open(model, "rb") as file:  # noqa: PTH123 - pathlib would count as start-up
            model = file.read()
    session = onnxruntime.InferenceSession(
        model, options, providers=list(dict.fromkeys([job["provider"], "CPUExecutionProvider"]))
    )
    loaded = time.perf_counter()
    session.run(["labels"], {"image": frame[None]})
    first = time.perf_counter()
    stages = (imported - begun, loaded - ready, first - loaded, time.process_time() - busy)
    return _measured(stages, lambda: session.run(["labels"], {"image": frame[None]}), job)


def _measured(
    stages: tuple[float, float, float, float], run: Callable[[], object], job: dict[str, Any]
) -> dict[str, Any]:
    from fcn_edge_runtime._memory import peak_bytes

    imported, load, first, cpu = stages
    frames: list[float] = []
    busy: list[float] = []
    begun = time.perf_counter()
    while len(frames) < job["fewest"] or (
        len(frames) < job["most"] and time.perf_counter() - begun < job["seconds"]
    ):
        used, start = time.process_time(), time.perf_counter()
        run()
        frames.append(time.perf_counter() - start)
        busy.append(time.process_time() - used)
    return {
        "import": imported,
        "load": load,
        "first": first,
        "cpu": cpu,
        "frames": frames,
        "busy": busy,
        "peak": peak_bytes(),
    }


if __name__ == "__main__":
    main(time.perf_counter(), sys.argv[1:])
