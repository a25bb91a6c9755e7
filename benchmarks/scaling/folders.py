"""What does not need the network, each in a process of its own, whose peak of memory is then its own.

    python -m benchmarks.scaling.folders KIND COUNT MODEL PLACE

prints one JSON object: seconds, and bytes of the peak and of the file. Folders of many images are links to a
few files, and the network does not run on them: their time is that of names, checks and records.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime._child import our_environment, run_child
from fcn_edge_runtime._memory import peak_bytes
from fcn_edge_runtime.batch import FileResult, check_files
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.finding import find_images
from fcn_edge_runtime.imaging.writing import labels_png
from fcn_edge_runtime.shards import Chunk, Shard, segment_shard

__all__ = ["Cost", "measure"]

_SAVE = ("labels", "overlay", "json")
_LINKS = 30_000  # to one file: file systems have limits
_SECONDS = 0.5


@dataclass(frozen=True)
class Cost:
    """What a process needed.

    Attributes:
        seconds: of the processor, in the fastest of its runs: all of it runs on one core.
        peak_bytes: its peak memory.
        file_bytes: of the file that it wrote; 0 for none.
    """

    seconds: float
    peak_bytes: int
    file_bytes: int = 0


def measure(kind: str, count: int, model: Path, place: Path) -> Cost:
    """Run one kind in a process.

    Args:
        kind: of `KINDS`.
        count: images of a folder, or rows of a label image of 16:9.
        model: any file.
        place: an empty folder, or one in which a run of the same kind and more images left its links.

    Raises:
        ChildError: it failed.
    """
    command = [sys.executable, "-m", __name__, kind, str(count), str(model), str(place)]
    return Cost(**json.loads(run_child(command, environment=our_environment())))


def _linked(place: Path, count: int) -> Path:
    folder = place / f"images-{count}"
    if not folder.is_dir():
        folder.mkdir()
        for index in range(count):
            source = place / f"source-{index // _LINKS}.png"
            if not source.exists():
                Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(source)
            os.link(source, folder / f"{index:07d}.png")
    return folder


def _fastest(step: Callable[[], object]) -> float:
    found: list[float] = []
    begun = time.perf_counter()
    while not found or time.perf_counter() - begun < _SECONDS:
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return min(found)


def _peak() -> int:
    return peak_bytes() or 0


def _find(count: int, segmenter: Segmenter, place: Path) -> Cost:
    """What `run` does with all names before the first image."""
    folder = _linked(place, count)

    def step() -> None:
        check_files(ImageJob(segmenter, place / "out", _SAVE), find_images([str(folder)]))

    return Cost(_fastest(step), _peak())


def _without_network(_: ImageJob, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[FileResult]]]:
    for chunk in chunks:
        yield chunk, [FileResult(file.source, size=(16, 16)) for file in chunk]


def _shard(count: int, segmenter: Segmenter, place: Path, *, resume: bool = False) -> Cost:
    """What `run --shard 1/1` does around the network; with `resume`, of a folder that is done."""
    folder = _linked(place, count)
    with tempfile.TemporaryDirectory(dir=place) as out:
        job = ImageJob(segmenter, Path(out), _SAVE)

        def step(*, resume: bool = False) -> None:
            segment_shard(job, str(folder), Shard(), resume=resume, run=_without_network)

        if resume:
            step()
        seconds = _fastest(lambda: step(resume=resume))
        return Cost(seconds, _peak(), (Path(out) / "manifest.jsonl").stat().st_size)


def _labels(rows: int, segmenter: Segmenter, _: Path) -> Cost:
    """A label image as PNG: regions of a size that grows with it, as those of a sharper camera do."""
    side = rows // 90
    coarse = np.random.default_rng(0).integers(0, len(segmenter.card.classes), (90, 160), np.uint8)
    labels = np.kron(coarse, np.ones((side, side), np.uint8))
    seconds = _fastest(lambda: labels_png(labels, segmenter.card))
    return Cost(seconds, _peak(), len(labels_png(labels, segmenter.card)))


KINDS: dict[str, Callable[[int, Segmenter, Path], Cost]] = {
    "find": _find,
    "shard": _shard,
    "resume": lambda count, segmenter, place: _shard(count, segmenter, place, resume=True),
    "labels": _labels,
}


def _main(kind: str, count: str, model: str, place: str) -> None:
    with Segmenter(model, "cpu") as segmenter:
        print(json.dumps(asdict(KINDS[kind](int(count), segmenter, Path(place)))))  # noqa: T201 - the answer


if __name__ == "__main__":
    _main(*sys.argv[1:])
