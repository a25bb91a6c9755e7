"""`make bench-maps`: `fcn-edge map` beside the usual ways to label large rasters.

All use the same network and raster, each in a process of its own. The labels of the whole image in one piece
are what all are compared with.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.maps.ways import WAYS
from fcn_edge_runtime._memory import peak_bytes


def measured(way: str, raster: Path, model: Path, out: Path) -> tuple[float, int]:
    """Seconds, and the peak memory of the process in bytes."""
    begun = time.perf_counter()
    WAYS[way](raster, model, out)
    return time.perf_counter() - begun, peak_bytes() or 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("raster", type=Path)
    given = parser.parse_args()
    sys.stdout.write(f"{given.model.name} on {given.raster.name}, one thread\n")
    sys.stdout.write(f"{'way':<14} {'seconds':>8} {'peak MiB':>9} {'pixels that differ':>19}\n")
    with tempfile.TemporaryDirectory() as folder:
        expected = None
        for way in WAYS:
            out = Path(folder) / f"{way.replace(' ', '-')}.npy"
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                seconds, peak = pool.submit(measured, way, given.raster, given.model, out).result()
            labels = np.load(out)
            expected = labels if expected is None else expected
            different = f"{(labels != expected).mean():.4%}"
            sys.stdout.write(f"{way:<14} {seconds:8.1f} {peak >> 20:9d} {different:>19}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    from benchmarks.maps.__main__ import main as named  # processes import its functions by this name

    named()
