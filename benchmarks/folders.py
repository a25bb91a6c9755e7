"""What files cost: `fcn-edge run` on a folder of photographs beside the network alone and a plain loop.

    python -m benchmarks.folders MODEL.onnx [--images 200] [--size 480x640] [--save labels] [--batch 4]

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
from dataclasses import replace
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


def plain_loop(job: ImageJob, images: Sequence[ImageFile]) -> None:
    """One image after the other, each read, segmented and written before the next."""
    for image in images:
        folder_at_once(job, [image])


def folder_at_once(job: ImageJob, images: Sequence[ImageFile]) -> None:
    """What `fcn-edge run` does."""
    for _ in segment_files(job, images):
        pass


def network_alone(segmenter: Segmenter, pictures: Sequence[NDArray[np.generic]]) -> None:
    """The images from memory, and the labels nowhere."""
    for picture in pictures:
        segmenter(picture)


def ways_of(job: ImageJob, batch: int) -> dict[str, Callable[[Sequence[ImageFile]], None]]:
    """All but the network alone."""
    ways: dict[str, Callable[[Sequence[ImageFile]], None]] = {
        "plain loop": lambda images: plain_loop(job, images),
        "run": lambda images: folder_at_once(job, images),
    }
    if batch > 1:
        ways[f"run --batch {batch}"] = lambda images: folder_at_once(replace(job, together=batch), images)
    return ways


def measure(job: ImageJob, folder: Path, batch: int, rounds: int) -> dict[str, list[float]]:
    """Images a second of each way, one figure a round."""
    images, segmenter, ways = find_images([str(folder)]), job.segmenter, ways_of(job, batch)
    part = max(len(images) // rounds, 1)
    names = ["network alone", *ways]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        own = images[turn * part : (turn + 1) * part]
        pictures = [read_image(image.source, segmenter.card.input) for image in own]
        segmenter(pictures[0])
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            if name in ways:
                ways[name](own)
            else:
                network_alone(segmenter, pictures)
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
    parser.add_argument("--batch", type=int, default=1, help="also `run --batch N`")
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    with (
        tempfile.TemporaryDirectory() as place,
        tempfile.TemporaryDirectory() as out,
        Segmenter(given.model, outputs=["labels"]) as segmenter,
    ):
        write_photographs(Path(place), given.images, height, width)
        options = SaveOptions(given.format, overwrite=True)
        job = ImageJob(segmenter, Path(out), tuple(given.save.split(",")), options=options)
        rates = measure(job, Path(place), given.batch, given.rounds)
        device, threads = segmenter.session.device, segmenter.session.threads
    show = click.echo
    show(f"{given.images} photographs of {given.size}; {device}, {threads} threads")
    show(f"saved: {given.save}, overlays as {given.format}")
    show(f"{processor_name()}\n")
    show(f"{'':16} {'images/s':>9} {'of the network alone':>21}")
    for name, own in rates.items():
        ratios = [mine / other for mine, other in zip(own, rates["network alone"], strict=True)]
        show(f"{name:16} {statistics.median(own):9.1f} {statistics.median(ratios):21.2f}")


if __name__ == "__main__":
    main()
