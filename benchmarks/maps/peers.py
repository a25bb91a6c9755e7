"""Other tools that label large rasters, as their documentation says, on the network of this file's model.

    python -m benchmarks.maps.peers geodeep RASTER MODEL LABELS.npy

It runs in an environment of its own, which `make bench-maps` makes, and prints seconds and bytes as JSON.

geodeep     tiles that overlap by a quarter, of which each gives its middle; then the median of 5x5
            pixels that it takes of every map
torchgeo    its grid sampler with a stride of three quarters of a tile: a pixel has the label of the last tile
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from fcn_edge_runtime._memory import peak_bytes

__all__ = ["GEODEEP_MODEL", "NEEDED", "TILE"]

TILE = 512
GEODEEP_MODEL = "geodeep.onnx"  # beside the model: the network as geodeep takes it
NEEDED = {
    "geodeep": ("geodeep",),
    "torchgeo": ("benchmarks.networks.libraries._torchvision", "torchgeo.datasets", "torchgeo.samplers"),
}


def geodeep(raster: Path, model: Path, out: Path) -> None:
    """Its own function; the file says the tiles and their overlap."""
    import geodeep as library

    np.save(out, library.segment(str(raster), str(model.with_name(GEODEEP_MODEL)), "raw", max_threads=1))


def torchgeo(raster: Path, model: Path, out: Path) -> None:
    """A loader over the grid sampler; every batch is labeled and put where it lies."""
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    from fcn_edge_runtime import Segmenter

    dataset = RasterDataset(str(raster))
    sampler = GridGeoSampler(dataset, TILE, TILE * 3 // 4)
    across, up, _ = dataset.bounds
    left, top, res = across.start, up.stop, dataset.res[0]
    size = round((up.stop - up.start) / res), round((across.stop - across.start) / res)
    labels = np.zeros(size, np.uint8)
    batches = DataLoader(dataset, sampler=sampler, collate_fn=stack_samples)
    with Segmenter(model, "cpu", 1) as segmenter:
        for (x, y, _), batch in zip(sampler, batches, strict=True):
            image = np.ascontiguousarray(np.moveaxis(batch["image"][0].numpy().astype(np.uint8), 0, -1))
            found = segmenter(image).labels
            first, begin = round((top - y.stop) / res), round((x.start - left) / res)
            skipped = max(0, -first)  # rows above the raster
            there = labels[first + skipped : first + TILE, begin : begin + TILE]
            there[:] = found[skipped : skipped + there.shape[0], : there.shape[1]]
    np.save(out, labels)


def main() -> None:
    """Run one of them; imports are not measured, as they are not of the others."""
    way, raster, model, out = sys.argv[1], *map(Path, sys.argv[2:])
    for name in NEEDED[way]:
        importlib.import_module(name)
    begun = time.perf_counter()
    {"geodeep": geodeep, "torchgeo": torchgeo}[way](raster, model, out)
    seconds = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": peak_bytes() or 0}) + "\n")


if __name__ == "__main__":
    main()
