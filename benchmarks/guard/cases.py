"""What is measured: each case runs in a process of its own, which imports fcn-edge from one folder alone.

    python -P cases.py CASE MATERIALS

prints one JSON object: seconds by the clock and by the processor. It uses only what every release has: the
public names, and the command line.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["CASES", "FLOAT", "IMAGES", "INT8", "RASTER", "Cost"]

# Names in the folder of materials.
FLOAT, INT8, IMAGES, RASTER = "float.onnx", "int8.onnx", "images", "raster.tif"

_SECONDS, _FEWEST = 0.4, 5
_SIZE = (240, 320)


@dataclass(frozen=True)
class Cost:
    """Seconds that a case took.

    Attributes:
        wall: by the clock.
        processor: of all threads and child processes.
    """

    wall: float
    processor: float


def _repeated(step: Callable[[], object]) -> Cost:
    """The median of many runs, after one that is not counted."""
    step()
    walls: list[float] = []
    processors: list[float] = []
    begun = time.perf_counter()
    while len(walls) < _FEWEST or time.perf_counter() - begun < _SECONDS:
        busy, start = time.process_time(), time.perf_counter()
        step()
        walls.append(time.perf_counter() - start)
        processors.append(time.process_time() - busy)
    return Cost(statistics.median(walls), statistics.median(processors))


def _command(*arguments: str | Path) -> Cost:
    """One run of the command line, from the start of its process to the end."""
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-P", "-m", "fcn_edge", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{arguments[0]} ended with exit code {done.returncode}: {done.stderr.strip()}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, used.ru_utime + used.ru_stime)


def _cold_start(_: Path) -> Cost:
    return _command("--help")


def _open(materials: Path) -> Cost:
    from fcn_edge_runtime import Segmenter

    return _repeated(lambda: Segmenter(materials / FLOAT, "cpu").close())


def _frame(model: Path) -> Cost:
    import numpy as np

    from fcn_edge_runtime import Segmenter

    with Segmenter(model, "cpu") as segmenter:
        frame = np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), np.uint8)
        return _repeated(lambda: segmenter(frame))


def _run(materials: Path) -> Cost:
    with tempfile.TemporaryDirectory() as out:
        return _command("run", materials / FLOAT, materials / IMAGES, "-o", out, "--device", "cpu")


def _selftest(materials: Path) -> Cost:
    return _command("selftest", materials / FLOAT, "--device", "cpu")


def _map(materials: Path) -> Cost:
    with tempfile.TemporaryDirectory() as out:
        cover = Path(out) / "cover.tif"
        return _command(
            "map", materials / RASTER, "--model", materials / FLOAT, "-o", cover, "--device", "cpu"
        )


CASES: dict[str, Callable[[Path], Cost]] = {
    "cold start": _cold_start,
    "open": _open,
    "frame, float": lambda materials: _frame(materials / FLOAT),
    "frame, int8": lambda materials: _frame(materials / INT8),
    "run on a folder": _run,
    "selftest": _selftest,
    "map": _map,
}


def _main(case: str, materials: str) -> None:
    print(json.dumps(asdict(CASES[case](Path(materials)))))  # noqa: T201 - the answer of this program


if __name__ == "__main__":
    _main(*sys.argv[1:])
