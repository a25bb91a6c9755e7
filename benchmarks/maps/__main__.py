"""`make bench-maps`: `fcn-edge map` beside the usual ways to label large rasters, and beside other tools.

All use the same network and raster on one thread, each in a process of its own. The labels of the whole image
in one piece are what all are compared with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.maps.geodeep_model import write_geodeep_model
from benchmarks.maps.peers import GEODEEP_MODEL, NEEDED
from benchmarks.maps.ways import WAYS
from fcn_edge_runtime._child import environment_with
from fcn_edge_runtime._memory import peak_bytes

ROOT = Path(__file__).resolve().parents[2]


def measured(way: str, raster: Path, model: Path, out: Path) -> tuple[float, int]:
    """Seconds, and the peak memory of the process in bytes."""
    begun = time.perf_counter()
    WAYS[way](raster, model, out)
    return time.perf_counter() - begun, peak_bytes() or 0


def peer(name: str, python: Path, raster: Path, model: Path, out: Path) -> tuple[float, int] | str:
    """The same of another tool, or why it gave nothing."""
    if not python.exists():
        return f"its environment is not there: {python}"
    command = list(map(str, [python, "-m", "benchmarks.maps.peers", name, raster, model, out]))
    env = environment_with([ROOT, ROOT / "runtime"], OMP_NUM_THREADS="1")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it was killed"])[-1]
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["seconds"]), int(found["peak"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("raster", type=Path)
    parser.add_argument("--python", type=Path, help="of the environment of geodeep and torchgeo")
    given = parser.parse_args()
    model, raster = given.model.resolve(), given.raster.resolve()
    sys.stdout.write(f"{model.name} on {raster.name}, one thread\n")
    sys.stdout.write(f"{'way':<14} {'seconds':>8} {'peak MiB':>9} {'pixels that differ':>19}\n")
    expected = None
    write_geodeep_model(model, model.with_name(GEODEEP_MODEL))
    with tempfile.TemporaryDirectory() as folder:
        for way in (*WAYS, *(NEEDED if given.python else ())):
            out = Path(folder) / f"{way.replace(' ', '-')}.npy"
            if way in WAYS:
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                    found: tuple[float, int] | str = pool.submit(measured, way, raster, model, out).result()
            else:
                found = peer(way, given.python.absolute(), raster, model, out)
            if isinstance(found, str):
                sys.stdout.write(f"{way:<14} {found}\n")
                continue
            labels = np.load(out)
            expected = labels if expected is None else expected
            different = f"{(labels != expected).mean():.4%}"
            sys.stdout.write(f"{way:<14} {found[0]:8.1f} {found[1] >> 20:9d} {different:>19}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    from benchmarks.maps.__main__ import main as named  # processes import its functions by this name

    named()
