"""What files cost: `fcn-edge run` on a folder of photographs beside the network alone and a plain loop.

    python -m benchmarks.folders MODEL.onnx [--images 200] [--size 480x640] [--save labels] [--rounds 4]

The photographs are cut from scikit-image's, and written as JPEG. In each round every way takes the same
part of them, in another order: the network alone has its images in memory; the plain loop reads, segments and
writes one after another, with the same functions; `run` overlaps the three. Ratios are medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fcn_edge_runtime import Segmenter
from fcn_edge_runtime.batch import segment_files
from fcn_edge_runtime.image_job import ImageJob, SaveOptions
from fcn_edge_runtime.imaging.finding import ImageFile, find_images
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.session.cpu import processor_name

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


@dataclass(frozen=True)
class Save:
    """What is written of each image."""

    names: tuple[str, ...]
    options: SaveOptions


def write_photographs(folder: Path, count: int, height: int, width: int) -> None:
    """So many JPEG files, each another part of a photograph, enlarged to the size."""
    import skimage.data

    rng = np.random.default_rng(0)
    sources = [Image.fromarray(getattr(skimage.data, name)()[..., :3]) for name in PHOTOGRAPHS]
    for index in range(count):
        source = sources[index % len(sources)]
        share = rng.uniform(0.5, 1)
        w, h = int(source.width * share), int(source.height * share)
        left, top = int(rng.integers(0, source.width - w + 1)), int(rng.integers(0, source.height - h + 1))
        part = source.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + w, top + h))
        part.save(folder / f"{index:06d}.jpg", quality=90)


def plain_loop(segmenter: Segmenter, images: Sequence[ImageFile], out: Path, save: Save) -> None:
    """One image after the other, each read, segmented and written before the next."""
    for image in images:
        for _ in segment_files(ImageJob(segmenter, out, save.names, options=save.options), [image]):
            pass


def folder_at_once(segmenter: Segmenter, images: Sequence[ImageFile], out: Path, save: Save) -> None:
    """What `fcn-edge run` does."""
    for _ in segment_files(ImageJob(segmenter, out, save.names, options=save.options), images):
        pass


def network_alone(segmenter: Segmenter, pictures: Sequence[NDArray[np.generic]]) -> None:
    """The images from memory, and the labels nowhere."""
    for picture in pictures:
        segmenter(picture)


def measure(segmenter: Segmenter, folder: Path, save: Save, rounds: int) -> dict[str, list[float]]:
    """Images a second of each way, one figure a round."""
    images = find_images([str(folder)])
    part = max(len(images) // rounds, 1)
    rates: dict[str, list[float]] = {"network alone": [], "plain loop": [], "run": []}
    for turn in range(rounds):
        own = images[turn * part : (turn + 1) * part]
        pictures = [read_image(image.source, segmenter.card.input) for image in own]
        segmenter(pictures[0])
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            ways: dict[str, Callable[[], None]] = {
                "network alone": lambda pictures=pictures: network_alone(segmenter, pictures),  # type: ignore[misc]
                "plain loop": lambda own=own, out=first: plain_loop(segmenter, own, Path(out), save),  # type: ignore[misc]
                "run": lambda own=own, out=second: folder_at_once(segmenter, own, Path(out), save),  # type: ignore[misc]
            }
            names = list(ways)
            for name in names[turn % 3 :] + names[: turn % 3]:
                start = time.perf_counter()
                ways[name]()
                rates[name].append(len(own) / (time.perf_counter() - start))
    return rates


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", default="480x640")
    parser.add_argument("--save", default="labels,overlay,json")
    parser.add_argument("--format", default="png", help="of overlays")
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    save = Save(tuple(given.save.split(",")), SaveOptions(given.format))
    with tempfile.TemporaryDirectory() as place, Segmenter(given.model, outputs=["labels"]) as segmenter:
        write_photographs(Path(place), given.images, height, width)
        rates = measure(segmenter, Path(place), save, given.rounds)
        device, threads = segmenter.session.device, segmenter.session.threads
    show = click.echo
    show(f"{given.images} photographs of {given.size}; {device}, {threads} threads")
    show(f"saved: {given.save}, overlays as {given.format}")
    show(f"{processor_name()}\n")
    show(f"{'':14} {'images/s':>9} {'of the network alone':>21}")
    for name, own in rates.items():
        ratios = [mine / other for mine, other in zip(own, rates["network alone"], strict=True)]
        show(f"{name:14} {statistics.median(own):9.1f} {statistics.median(ratios):21.2f}")


if __name__ == "__main__":
    main()
