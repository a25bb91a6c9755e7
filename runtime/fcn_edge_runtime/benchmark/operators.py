"""The time of a frame inside onnxruntime, by its own profiler: per stage, per operator, per node."""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime.benchmark.stages import HEAD, STAGES, NodeStages, stages_of
from fcn_edge_runtime.model.file import ModelFile
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.session.session import SessionOptions, open_session

__all__ = ["NodeTime", "OperatorProfile", "OperatorTime", "profile_model", "read_profile"]

FEWEST, MOST = 3, 30
COSTLIEST = 8
_KERNEL = "_kernel_time"
_NUMPY = "numpy"


@dataclass(frozen=True)
class OperatorTime:
    """All nodes of one operator: how many ran, their time per frame, and its share of the total, 0..1."""

    operator: str
    nodes: int
    ms: float
    share: float


@dataclass(frozen=True)
class NodeTime:
    """One node as onnxruntime runs it: a fused node has the name of one of its parts."""

    name: str
    operator: str
    stage: str
    ms: float
    share: float


@dataclass(frozen=True)
class OperatorProfile:
    """Means over the frames, in milliseconds per frame. Profiling itself adds a little time.

    Attributes:
        frames: how many were profiled, after a first one that is not counted.
        run_ms: one run as measured by the profiler, plus the head in numpy where the session has it.
        stages: time of the nodes before the network, in it, and in the head.
        shares: the same as a share of all nodes' time, 0..1.
        between_ms: the rest of a run: onnxruntime's work between nodes.
        operators: the most expensive first.
        nodes: the most expensive few.
    """

    frames: int
    run_ms: float
    stages: Mapping[str, float]
    shares: Mapping[str, float]
    between_ms: float
    operators: tuple[OperatorTime, ...]
    nodes: tuple[NodeTime, ...]


def profile_model(
    path: str,
    device: str,
    threads: int,
    frames: Sequence[np.ndarray],
    *,
    options: SessionOptions | None = None,
    seconds: float,
    progress: Progress | None = None,
) -> OperatorProfile:
    """Run frames (H, W, C) for about `seconds` in a profiled session.

    Raises:
        ModelError, ProviderError: see `open_session`.
    """
    progress = progress or SILENT
    with tempfile.TemporaryDirectory(prefix="fcn-edge-bench-") as folder, ModelFile.open(path) as model:
        options = replace(options or SessionOptions(), profile_prefix=str(Path(folder, "profile")))
        session = open_session(model, device, threads=threads, options=options)
        with model.source() as source:
            stages = stages_of(source if isinstance(source, bytes) else Path(source).read_bytes())
        begun, in_numpy = time.perf_counter(), list[float]()
        for done, frame in enumerate(itertools.cycle(frames)):
            spent = time.perf_counter() - begun
            if done > MOST or (done > FEWEST and spent > seconds):
                break
            if session.head is None:
                session.run(frame[None], ["labels"])
            else:
                (logits,) = session.raw.run([session.head.logits], {"image": frame[None]})
                started = time.perf_counter()
                session.head.labels(logits, *frame.shape[:2])
                in_numpy.append(1000 * (time.perf_counter() - started))
            progress.advance(min(max(done / MOST, spent / max(seconds, 1e-9)), 1.0), 1.0)
        written = Path(session.raw.end_profiling())
        events = json.loads(written.read_text(encoding="utf-8"))
        return read_profile(events, stages, float(np.mean(in_numpy[1:])) if in_numpy else 0.0)


def read_profile(
    events: Sequence[Mapping[str, Any]], stages: NodeStages, head_in_numpy_ms: float = 0.0
) -> OperatorProfile:
    """Read onnxruntime's events (Chrome's trace format, microseconds); those of the first run are left out.

    Args:
        events: of a session with sequential execution and at least two frames.
        stages: of the model's nodes.
        head_in_numpy_ms: time of the head outside onnxruntime; it is listed like an operator.
    """
    runs = [(e["ts"], e["ts"] + e["dur"], e["dur"]) for e in events if e["name"] == "model_run"][1:]
    times: dict[tuple[str, str], float] = defaultdict(float)
    for event in events:
        if (
            event.get("cat") == "Node"
            and event["name"].endswith(_KERNEL)
            and any(first <= event["ts"] <= last for first, last, _ in runs)
        ):
            key = (event["name"].removesuffix(_KERNEL), event["args"]["op_name"])
            times[key] += event["dur"] / 1000 / len(runs)
    nodes_ms = sum(times.values())
    if head_in_numpy_ms:
        times["labels", _NUMPY] = head_in_numpy_ms
    total = sum(times.values()) or 1.0
    by_stage = dict.fromkeys(STAGES, 0.0)
    by_operator: dict[str, list[float]] = defaultdict(list)
    for (name, operator), ms in times.items():
        by_stage[_stage(stages, name, operator)] += ms
        by_operator[operator].append(ms)
    operators = [OperatorTime(op, len(ms), sum(ms), sum(ms) / total) for op, ms in by_operator.items()]
    nodes = [NodeTime(name, op, _stage(stages, name, op), ms, ms / total) for (name, op), ms in times.items()]
    run_ms = float(np.mean([dur for _, _, dur in runs])) / 1000
    return OperatorProfile(
        frames=len(runs),
        run_ms=run_ms + head_in_numpy_ms,
        stages=by_stage,
        shares={stage: ms / total for stage, ms in by_stage.items()},
        between_ms=max(run_ms - nodes_ms, 0.0),
        operators=tuple(sorted(operators, key=lambda o: -o.ms)),
        nodes=tuple(sorted(nodes, key=lambda n: -n.ms)[:COSTLIEST]),
    )


def _stage(stages: NodeStages, name: str, operator: str) -> str:
    return HEAD if operator == _NUMPY else stages.of(name)
