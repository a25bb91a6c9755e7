"""Many image files through one Segmenter: what is written for each, and what happens to a bad one.

Results are `STEM.labels.png`, `STEM.overlay.png`, `STEM.confidence.png`, `STEM.effect.png`, `STEM.json`,
`STEM.labelstudio.json`, `STEM.coco.json`, `STEM.geojson`, and `STEM.probabilities.npz` with
`STEM.probability-ID.png` for each class, below the output folder.

While the network runs on one image, the next is read and the results of the one before are written.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any

from fcn_edge_runtime._files import disk_failed, require_writable, writer_of_many
from fcn_edge_runtime._overlap import attempted, overlapped
from fcn_edge_runtime.errors import ArtifactError, InputError, ModelError
from fcn_edge_runtime.image_job import ImageJob
from fcn_edge_runtime.imaging.areas import Area
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.marks import marked
from fcn_edge_runtime.imaging.reading import Picture, import_pillow, read_picture
from fcn_edge_runtime.placing import check_place, is_own, refuse_foreign
from fcn_edge_runtime.progress import SILENT, Progress, tracked
from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.together import segment_together

__all__ = ["FileResult", "check_files", "segment_files"]


@dataclass(frozen=True)
class FileResult:
    """The result of one image.

    Attributes:
        source: the image file.
        written: the files that were written.
        size: (height, width); None if segmentation failed.
        milliseconds: time of the network; 0 if segmentation failed.
        areas: pixels and share of every class.
        error: why segmentation failed, in one line; None if it did not.
        frames: how many were segmented: 1, and of a video any number.
        reading: milliseconds in which the image was read and decoded, while the network ran on another.
        writing: the same of what was made of its labels, encoded and written.
    """

    source: Path
    _: KW_ONLY
    written: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    milliseconds: float = 0.0
    areas: tuple[Area, ...] = ()
    error: str | None = None
    frames: int = 1
    reading: float = 0.0
    writing: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        if self.error is not None:
            return {"image": str(self.source), "error": self.error}
        return {
            "image": str(self.source),
            "size": list(self.size or ()),
            "milliseconds": round(self.milliseconds, 3),
            "written": [str(path) for path in self.written],
            "classes": [asdict(area) for area in self.areas],
        }


def segment_files(
    job: ImageJob, images: Sequence[ImageFile], progress: Progress | None = None
) -> Iterator[FileResult]:
    """Segment each image and write the requested files, each of them whole or not at all.

    An image that cannot be read, segmented or written is reported in its result; the others are still
    processed. Only a disk that fails or is full ends the work. All files are on disk when the iteration ends.

    Args:
        job: what is made of each.
        images: from `find_images`.
        progress: receives how many images are done, as one stage.

    Raises:
        UsageError: an unknown name in `save`, an output that the model does not compute, or a result that
            would overwrite an image, or any file that is not an unchanged result of an earlier run. All of
            these before the first image is read.
        ArtifactError: the folder cannot be written, or the disk fails or is full.
        ProviderError: the device failed.
        InputError: Pillow is not installed.
    """
    check_files(job, images)
    return _segmented(job, images, progress or SILENT)


def check_files(job: ImageJob, images: Sequence[ImageFile]) -> None:
    """What `segment_files` checks before the first image is read; it raises the same errors."""
    job.check()
    import_pillow()
    targets = (target for file in images for target in job.targets(file))
    refuse_foreign(targets, [f.source for f in images], overwrite=job.options.overwrite, own=is_own)
    require_writable(job.out)


@dataclass(frozen=True, eq=False)
class _Read:
    """An image that was read, or could not be, and the milliseconds that it took."""

    file: ImageFile
    picture: Future[Picture]
    milliseconds: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its pixels; empty without."""
        return () if self.picture.exception() else self.picture.result().pixels.shape


_Group = tuple[_Read, ...]  # of one size; or one that could not be read
_Segmented = list[tuple[_Read, Future[Segmentation]]]


def _segmented(job: ImageJob, images: Sequence[ImageFile], progress: Progress) -> Iterator[FileResult]:
    progress.start("segment", len(images), "images")
    good = 0
    with writer_of_many() as write:
        for result in tracked(_results(job, images, write), progress, total=len(images)):
            good += result.error is None
            yield result
    of = "" if good == len(images) else f"{good} of "
    progress.finish(f"{of}{len(images)} image{'s' if len(images) != 1 else ''}")


def _results(
    job: ImageJob, images: Sequence[ImageFile], write: Callable[[Path, bytes], None]
) -> Iterator[FileResult]:
    """Read, segment and write, at once for different images; results come in the order of the images."""

    def written(segmented: _Segmented) -> list[tuple[ImageFile, Future[FileResult]]]:
        return [
            (read.file, attempted(lambda read=read, result=result: _write(job, read, result.result(), write)))  # type: ignore[misc]
            for read, result in segmented
        ]

    for group in overlapped(_groups(job, images), lambda group: _segment(job, group), written, _numbers):
        for file, result in group.result():
            yield _of(file, result)


def _groups(job: ImageJob, images: Sequence[ImageFile]) -> Iterator[_Group]:
    """Images that were read, together where they may run together."""
    dark = False
    group: list[_Read] = []
    for file in images:
        start = time.perf_counter()
        picture = attempted(lambda file=file: _read(job, file))  # type: ignore[misc]
        read = _Read(file, picture, (time.perf_counter() - start) * 1000)
        if not (dark or picture.exception()) and (text := picture.result().dark):
            dark = True
            warnings.warn(f"{text}; overlays show it spread over the whole range", stacklevel=2)
        if group and group[0].shape != read.shape:
            yield tuple(group)
            group = []
        group.append(read)
        if len(group) >= job.together or not read.shape:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)


def _numbers(group: _Group) -> int:
    return sum(read.picture.result().pixels.size for read in group if read.shape)


def _read(job: ImageJob, file: ImageFile) -> Picture:
    check_place(file, job.out, job.targets(file))
    return read_picture(file.source, job.segmenter.card.input, job.segmenter.max_pixels)


def _segment(job: ImageJob, group: _Group) -> _Segmented:
    if not group[0].shape:  # this raises what reading raised
        return [(group[0], attempted(lambda: job.segmenter(group[0].picture.result().pixels)))]
    found = segment_together(job.segmenter, [read.picture.result().pixels for read in group])
    return list(zip(group, found, strict=True))


def _write(
    job: ImageJob, read: _Read, result: Segmentation, write: Callable[[Path, bytes], None]
) -> FileResult:
    start = time.perf_counter()
    areas = result.areas()
    written = job.targets(read.file)
    for path, data in zip(
        written, job.contents(read.file, read.picture.result(), result, areas), strict=True
    ):
        write(path, marked(data))
    height, width = result.labels.shape
    writing = (time.perf_counter() - start) * 1000
    return FileResult(
        read.file.source,
        written=written,
        size=(height, width),
        milliseconds=result.milliseconds,
        areas=areas,
        reading=read.milliseconds,
        writing=writing,
    )


def _of(file: ImageFile, done: Future[FileResult]) -> FileResult:
    """The result of an image, also of one that failed; a disk that fails ends the work."""
    try:
        return done.result()
    except (InputError, ModelError) as error:  # ModelError: onnxruntime ran out of memory on this image, say
        return FileResult(file.source, error=str(error))
    except ArtifactError as error:
        if disk_failed(error):
            raise
        return FileResult(file.source, error=str(error))
    except MemoryError:
        return FileResult(file.source, error=f"the memory is not enough for {file.source}: make it smaller")
