"""What a file costs: opened in a process of its own that reports outcome, processor time and peak memory.

Run as a program, `python measured.py KIND FILE...` opens each file in turn and prints one JSON object a line.
The process limits its own address space, so that a defense that fails is a failed test and no dead machine.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ADDRESS_SPACE = 6 << 30
# Beyond what a good file takes.
MOST_SECONDS, MOST_MEGABYTES = 2, 200


@dataclass(frozen=True)
class Cost:
    """How opening one file went.

    Attributes:
        error: the class of the error, "" where there was none.
        message: its text.
        seconds: processor time, which a busy machine does not change.
        megabytes: the most memory the process held so far.
    """

    error: str
    message: str
    seconds: float
    megabytes: float


def measure(kind: str, paths: Iterable[Path], good: Path) -> tuple[Cost, dict[str, Cost]]:
    """Open a good file, then each path, then the good file again, in one process: costs by file name.

    The process must live to the end, and the good file must still open there.
    """
    ordered = [good, *paths, good]
    command = [sys.executable, __file__, kind, *map(str, ordered)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    costs = [Cost(**json.loads(line)) for line in done.stdout.splitlines()]
    assert len(costs) == len(ordered)
    assert costs[0].error == costs[-1].error == ""
    names = [path.name for path in ordered[1:-1]]
    return costs[0], dict(zip(names, costs[1:-1], strict=True))


def assert_refused(kind: str, paths: Iterable[Path], good: Path, error: str) -> dict[str, str]:
    """Every path is refused with this error, in a line, within the limits: the messages by file name."""
    first, costs = measure(kind, paths, good)
    for name, cost in costs.items():
        assert (name, cost.error) == (name, error), cost.message
        assert "\n" not in cost.message
        assert cost.seconds < MOST_SECONDS, name
        assert cost.megabytes < first.megabytes + MOST_MEGABYTES, name
    return {name: cost.message for name, cost in costs.items()}


def _open_model(path: str) -> None:
    import numpy as np

    from fcn_edge_runtime import Segmenter

    with Segmenter(path, "cpu", threads=1) as segmenter:
        spec = segmenter.card.input
        segmenter(np.zeros((64, 64, spec.channels), spec.dtype))


def _open_weights(path: str) -> None:
    from fcn_edge.nets.weights.checkpoints import read_state_dict

    for tensor in read_state_dict(path).values():
        tensor.sum()


def _open_image(path: str) -> None:
    from fcn_edge_runtime.imaging.reading import read_image
    from fcn_edge_runtime.model.card import InputSpec

    read_image(path, InputSpec.default())


def _open_nifti(path: str) -> None:
    from fcn_edge_runtime.imaging.arrays import MAX_PIXELS
    from fcn_edge_runtime.medical.nifti import read_nifti

    read_nifti(path, MAX_PIXELS)


def _open_series(path: str) -> None:
    from fcn_edge_runtime.imaging.arrays import MAX_PIXELS
    from fcn_edge_runtime.medical.series import read_series

    read_series(Path(path), MAX_PIXELS)


OPENERS: dict[str, Callable[[str], None]] = {
    "model": _open_model,
    "weights": _open_weights,
    "image": _open_image,
    "nifti": _open_nifti,
    "series": _open_series,
}


def _peak_megabytes() -> float:
    """Of this process alone: `ru_maxrss` would count what the parent held when it started this one."""
    with open("/proc/self/status") as status:  # noqa: PTH123 - a file of the kernel's
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _main(kind: str, *paths: str) -> None:
    from fcn_edge_runtime.errors import FcnEdgeError

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for path in paths:
        error = message = ""
        start = time.process_time()
        try:
            OPENERS[kind](path)
        except FcnEdgeError as refusal:
            error, message = type(refusal).__name__, str(refusal)
        cost = {
            "error": error,
            "message": message,
            "seconds": time.process_time() - start,
            "megabytes": _peak_megabytes(),
        }
        print(json.dumps(cost), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
