"""A model in a fresh process: a true cold start, and a peak of memory that is its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._child import ChildError, run_child
from fcn_edge_runtime.errors import ModelError

__all__ = ["FreshJob", "FreshRun", "run_fresh"]

_PROGRAM = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class FreshJob:
    """What the process is to do.

    Attributes:
        model: path of the file.
        device: as for `Segmenter`.
        provider: onnxruntime's name for the device, for the bare session.
        threads: threads on the CPU.
        profile: path of a profile, which then sets device and threads; empty for none.
        bare: whether to use onnxruntime alone, without this package.
        fewest, most, seconds: frames after the first one: at least, at most, and for how long.
    """

    model: str
    device: str
    provider: str
    threads: int
    profile: str = ""
    bare: bool = False
    fewest: int = 2
    most: int = 2
    seconds: float = 0.0


@dataclass(frozen=True)
class FreshRun:
    """What the process measured, in seconds.

    Attributes:
        start: from spawning the process to its first line of Python.
        imported: numpy, onnxruntime and, unless bare, this package.
        load: the file, verified (unless bare) and made into a session.
        first: the first frame.
        cpu: CPU time of all three.
        frames: each frame after it.
        busy: processor time of each of these frames, all threads.
        peak_bytes: peak memory; None where the system does not report it.
    """

    start: float
    imported: float
    load: float
    first: float
    cpu: float
    frames: tuple[float, ...]
    busy: tuple[float, ...]
    peak_bytes: int | None

    @property
    def to_first_mask(self) -> float:
        """Import, load and first frame: the time of the program itself, without Python's own start."""
        return self.imported + self.load + self.first


def run_fresh(job: FreshJob, frame: np.ndarray) -> FreshRun:
    """Run a job on one frame (H, W, C) and wait for it.

    Raises:
        ModelError: the process died, usually for lack of memory, or could not run the model.
    """
    with tempfile.TemporaryDirectory(prefix="fcn-edge-bench-") as folder:
        path = Path(folder, "frame.npy")
        np.save(path, frame)
        fields = [str(value) for value in asdict(job).values()]
        command = [sys.executable, str(_PROGRAM), "\x1f".join(sys.path), str(path), *fields]
        # An installed package does not compile its modules at each start.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        spawned = time.perf_counter()
        try:
            output = run_child(command, environment=environment)
        except ChildError as error:
            # Nothing else sends it signals: the system kills processes that exhaust its memory.
            hint = ", usually by the system for lack of memory" if error.killed else ""
            raise _failed(job, f"it {error}{hint}") from None
    lines = output.splitlines()
    if not lines:
        raise _failed(job, "it returned no result")
    found: dict[str, Any] = json.loads(lines[-1])
    if "error" in found:
        raise _failed(job, found["error"])
    return FreshRun(
        found["begun"] - spawned,
        found["import"],
        found["load"],
        found["first"],
        found["cpu"],
        tuple(found["frames"]),
        tuple(found["busy"]),
        found["peak"],
    )


def _failed(job: FreshJob, reason: str) -> ModelError:
    return ModelError(f"{Path(job.model).name} in a process of its own: {reason}")
