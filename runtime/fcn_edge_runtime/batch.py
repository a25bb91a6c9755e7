"""Many image files through one Segmenter: what is written for each, and what happens to a bad one.

Results are `STEM.labels.png`, `STEM.overlay.png`, `STEM.confidence.png`, `STEM.effect.png`, `STEM.json`,
`STEM.labelstudio.json`, `STEM.coco.json`, `STEM.geojson`, and `STEM.probabilities.npz` with
`STEM.probability-ID.png` for each class, below the output folder.

While the network runs on one image, the next is read and the results of the one before are written. Images
are read in the thread of the caller: Pillow's warnings and what its libraries print belong to the process.
"""

from __future__ import annotations

import io
import json
import os
import stat
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._files import disk_failed, require_writable, writer_of_many
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import ArtifactError, InputError, ModelError, UsageError
from fcn_edge_runtime.imaging.areas import Area
from fcn_edge_runtime.imaging.effects import Effect
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.marks import has_mark, is_unchanged_result, marked
from fcn_edge_runtime.imaging.reading import Picture, import_pillow, read_picture
from fcn_edge_runtime.imaging.writing import FORMATS, confidence_png, encoded, labels_png, with_legend
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import SILENT, Progress, tracked
from fcn_edge_runtime.segmentation import Segmentation, as_picture
from fcn_edge_runtime.segmenter import Segmenter

__all__ = [
    "SAVES",
    "FileResult",
    "SaveOptions",
    "check_files",
    "check_place",
    "is_own",
    "refuse_foreign",
    "segment_files",
]

SAVES = (
    "labels",
    "overlay",
    "confidence",
    "probabilities",
    "effect",
    "json",
    "labelstudio",
    "coco",
    "geojson",
)
_COMPUTED = ("confidence", "probabilities")  # outputs that a model may lack
_TAIL = 1024  # bytes in which a mark is looked for, before a file of any size is read
_LONGEST_NAME = 200  # characters
# Images that are read before the results of an earlier one are written, and the numbers in all of them.
_AHEAD, _AHEAD_VALUES = 4, 16_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class SaveOptions:
    """How results are written.

    Attributes:
        format: of overlays and effects: png, jpg or webp. Labels, confidence and probabilities are exact and
            always PNG.
        alpha: of overlays: 0 shows only the image, 1 only the colors.
        legend: whether overlays have a legend below them.
        overwrite: replace files that are not unchanged results of an earlier run.

    Raises:
        UsageError: a value out of range.
    """

    format: str = "png"
    alpha: float = 0.5
    legend: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"there is no format {self.format!r}: expected one of {', '.join(FORMATS)}")
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha is {self.alpha}, expected 0 to 1")


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
    segmenter: Segmenter,
    images: Sequence[ImageFile],
    out: Path,
    save: Sequence[str] = ("labels", "overlay", "json"),
    effect: Effect | None = None,
    progress: Progress | None = None,
    options: SaveOptions | None = None,
) -> Iterator[FileResult]:
    """Segment each image and write the requested files, each of them whole or not at all.

    An image that cannot be read, segmented or written is reported in its result; the others are still
    processed. Only a disk that fails or is full ends the work. All files are on disk when the iteration ends.

    Args:
        segmenter: the open model.
        images: from `find_images`.
        out: the folder for the results; made if it is missing.
        save: names from `SAVES`.
        effect: applied to each image where `save` has "effect".
        progress: receives how many images are done, as one stage.
        options: how results are written; None takes the defaults.

    Raises:
        UsageError: an unknown name in `save`, an output that the model does not compute, or a result that
            would overwrite an image, or any file that is not an unchanged result of an earlier run. All of
            these before the first image is read.
        ArtifactError: the folder cannot be written, or the disk fails or is full.
        ProviderError: the device failed.
        InputError: Pillow is not installed.
    """
    options = options or SaveOptions()
    check_files(segmenter, images, out, save, effect, options)
    return _segmented(_Job(segmenter, out, tuple(save), effect, options), images, progress or SILENT)


def check_files(
    segmenter: Segmenter,
    images: Sequence[ImageFile],
    out: Path,
    save: Sequence[str],
    effect: Effect | None,
    options: SaveOptions,
) -> None:
    """What `segment_files` checks before the first image is read; it raises the same errors."""
    _check_save(segmenter, save, effect)
    import_pillow()
    job = _Job(segmenter, out, tuple(save), effect, options)
    targets = (target for file in images for target in job.targets(file))
    refuse_foreign(targets, [f.source for f in images], overwrite=options.overwrite, own=is_own)
    require_writable(out)


@dataclass(frozen=True, eq=False)
class _Job:
    """What is the same for every image."""

    segmenter: Segmenter
    out: Path
    save: tuple[str, ...]
    effect: Effect | None
    options: SaveOptions

    def targets(self, file: ImageFile) -> tuple[Path, ...]:
        """All files that are written for an image."""
        endings = (e for name in self.save for e in _endings(name, self.options, self.segmenter.card))
        return tuple(self.out / f"{file.stem}{ending}" for ending in endings)


def _endings(name: str, options: SaveOptions, card: Card) -> tuple[str, ...]:
    if name in ("overlay", "effect"):
        return (f".{name}.{options.format}",)
    if name == "probabilities":
        return (".probabilities.npz", *(f".probability-{c.id}.png" for c in card.classes))
    if name in ("labelstudio", "coco"):
        return (f".{name}.json",)
    return (f".{name}",) if name in ("json", "geojson") else (f".{name}.png",)


def _segmented(job: _Job, images: Sequence[ImageFile], progress: Progress) -> Iterator[FileResult]:
    progress.start("segment", len(images), "images")
    dark: set[str] = set()

    def notice(picture: Picture) -> None:
        if picture.dark and not dark:
            dark.add(picture.dark)
            warnings.warn(f"{picture.dark}; overlays show it spread over the whole range", stacklevel=2)

    good = 0
    with writer_of_many() as write:
        for result in tracked(_overlapped(job, images, write, notice), progress, total=len(images)):
            good += result.error is None
            yield result
    of = "" if good == len(images) else f"{good} of "
    progress.finish(f"{of}{len(images)} image{'s' if len(images) != 1 else ''}")


def _overlapped(
    job: _Job,
    images: Sequence[ImageFile],
    write: Callable[[Path, bytes], None],
    notice: Callable[[Picture], None],
) -> Iterator[FileResult]:
    """Read, segment and write, each in a thread of its own; results come in the order of the images."""
    pending: deque[tuple[int, Future[FileResult]]] = deque()
    network, writer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    try:
        for file in images:
            start = time.perf_counter()
            picture = _tried(file, lambda file=file: _read(job, file, notice))  # type: ignore[misc]
            reading = (time.perf_counter() - start) * 1000
            values = 0 if isinstance(picture, FileResult) else picture.pixels.size
            segmented = network.submit(_segment, job, file, picture)
            pending.append((values, writer.submit(_write, job, file, picture, segmented, write, reading)))
            while len(pending) >= _AHEAD or (pending and sum(count for count, _ in pending) > _AHEAD_VALUES):
                yield pending.popleft()[1].result()
        while pending:
            yield pending.popleft()[1].result()
    finally:  # also where the disk failed, or the user stopped it
        for executor in (network, writer):
            executor.shutdown(cancel_futures=True)


def _tried(file: ImageFile, step: Callable[[], T]) -> T | FileResult:
    """What a step gives, or the result of an image that failed in it; a disk that fails ends the work."""
    try:
        return step()
    except (InputError, ModelError) as error:  # ModelError: onnxruntime ran out of memory on this image, say
        return FileResult(file.source, error=str(error))
    except ArtifactError as error:
        if disk_failed(error):
            raise
        return FileResult(file.source, error=str(error))
    except MemoryError:
        return FileResult(file.source, error=f"the memory is not enough for {file.source}: make it smaller")


def _read(job: _Job, file: ImageFile, notice: Callable[[Picture], None]) -> Picture:
    check_place(file, job.out, job.targets(file))
    picture = read_picture(file.source, job.segmenter.card.input, job.segmenter.max_pixels)
    notice(picture)
    return picture


def _segment(job: _Job, file: ImageFile, picture: Picture | FileResult) -> Segmentation | FileResult:
    if isinstance(picture, FileResult):
        return picture
    return _tried(file, lambda: job.segmenter(picture.pixels))


def _write(
    job: _Job,
    file: ImageFile,
    picture: Picture | FileResult,
    segmented: Future[Segmentation | FileResult],
    write: Callable[[Path, bytes], None],
    reading: float,
) -> FileResult:
    if isinstance(picture, FileResult):
        return picture
    result = segmented.result()
    if isinstance(result, FileResult):
        return result

    def step() -> FileResult:
        start = time.perf_counter()
        areas = result.areas()
        contents = [
            content for name in job.save for content in _contents(name, file, picture, result, areas, job)
        ]
        written = job.targets(file)
        for path, data in zip(written, contents, strict=True):
            write(path, marked(data))
        height, width = result.labels.shape
        writing = (time.perf_counter() - start) * 1000
        return FileResult(
            file.source,
            written,
            (height, width),
            result.milliseconds,
            areas,
            reading=reading,
            writing=writing,
        )

    return _tried(file, step)


def check_place(file: ImageFile, out: Path, targets: Iterable[Path]) -> None:
    """Check that the results of an image or a video can be written; those of others may.

    Args:
        file: what is segmented.
        out: the folder of all results.
        targets: the files that will be written for it.

    Raises:
        InputError: a name is too long or that of a folder, or the file's folder cannot be made.
    """
    folder = (out / file.stem).parent
    if folder != out:
        try:
            require_writable(folder)
        except ArtifactError as error:
            raise InputError(str(error)) from None
    for path in targets:
        try:
            if stat.S_ISDIR(path.lstat().st_mode):
                raise InputError(f"{file.source} would be written as {path}, which is a folder: remove it")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                f"{file.source} would be written as {path.name}, which is not possible "
                f"({error.strerror or error}): give the image another name"
            ) from None


def _contents(
    name: str, file: ImageFile, picture: Picture, result: Segmentation, areas: tuple[Area, ...], job: _Job
) -> Iterator[bytes]:
    """The files of one name in `save`, in the order of `_endings`. `_check_save` made sure of the outputs."""
    options = job.options
    if name == "labels":
        yield labels_png(result.labels, result.card)
    elif name == "overlay":
        overlay = result.overlay(picture.shown, options.alpha)
        yield encoded(with_legend(overlay, areas) if options.legend else overlay, options.format)
    elif name == "effect" and job.effect is not None:
        shown = as_picture(picture.shown, result.card.input)
        yield encoded(job.effect(shown, result.labels, result.card, result.confidence), options.format)
    elif name == "confidence":
        yield confidence_png(np.asarray(result.confidence))
    elif name == "probabilities":
        yield from _probabilities(np.asarray(result.probabilities), result.card)
    elif name == "labelstudio":
        from fcn_edge_runtime.imaging.annotations import label_studio_task

        version = f"{result.card.name} {job.segmenter.digest[:12]}"
        path = file.source.as_posix()
        yield _json(label_studio_task(result.labels, result.card, path, version, result.confidence))
    elif name == "coco":
        from fcn_edge_runtime.imaging.annotations import coco_annotations

        yield _json(coco_annotations(result.labels, result.card, file.source.name, result.confidence))
    elif name == "geojson":
        from fcn_edge_runtime.imaging.annotations import geojson

        yield _json(geojson(result.labels, result.card, result.confidence))
    else:
        yield _facts(file, result, areas, job)


def _probabilities(values: np.ndarray, card: Card) -> Iterator[bytes]:
    """All as float32 in one npz, then each class as 8-bit gray; of a binary network the npz has class 1."""
    stream = io.BytesIO()
    # Bounded, since an array of texts has the longest one's room for each.
    names = [printable(c.name, _LONGEST_NAME) for c in card.classes][-len(values) :]
    np.savez(stream, probabilities=values, classes=np.array(names))
    yield stream.getvalue()
    if len(values) < len(card.classes):
        values = np.concatenate([1 - values, values])
    for plane in values:
        yield confidence_png(plane)


def _facts(file: ImageFile, result: Segmentation, areas: tuple[Area, ...], job: _Job) -> bytes:
    # No times: the same image and model give the same file.
    data = {
        "image": file.source.name,
        "size": list(result.labels.shape),
        "model": {"name": result.card.name, "sha256": job.segmenter.digest},
        "provider": result.provider,
        **({} if job.segmenter.threshold is None else {"threshold": job.segmenter.threshold}),
        "classes": [asdict(area) for area in areas],
    }
    # A name that is not UTF-8 holds surrogates, which JSON writes as \udcXX.
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _json(data: dict[str, Any]) -> bytes:
    """Each field of the object on a line of its own, and the long lists of a mask on one line."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    return f"{{\n{lines}\n}}\n".encode()


def _check_save(segmenter: Segmenter, save: Sequence[str], effect: Effect | None) -> None:
    unknown = [name for name in save if name not in SAVES]
    if unknown or not save:
        raise UsageError(
            f"cannot save {', '.join(unknown) or 'nothing'}, expected some of {', '.join(SAVES)}"
        )
    if "geojson" in save:
        require("rasterio.features", "writing polygons", InputError)
    if ("effect" in save) != (effect is not None):
        raise UsageError("an effect is saved exactly where one is given: name it with --effect")
    if effect is not None:
        effect.check(segmenter.card)
    for name in _COMPUTED:
        if name in save and name not in segmenter.outputs:
            raise UsageError(
                f"the model does not compute {name}: export it with --outputs labels,{name}, "
                "or save other things"
            )


def refuse_foreign(
    targets: Iterable[Path],
    sources: Iterable[Path],
    *,
    overwrite: bool,
    own: Callable[[Path], bool],
) -> None:
    """Refuse results that would replace an input, or a file that is not an unchanged earlier result.

    Args:
        targets: the files that will be written.
        sources: the inputs.
        overwrite: replace any file but an input.
        own: whether a file is such a result.

    Raises:
        UsageError: there is one; the message names the first.
    """
    inputs = {os.path.realpath(source) for source in sources}
    foreign = []
    for target in targets:
        if "\0" not in str(target) and os.path.realpath(target) in inputs:
            raise UsageError(f"the result {target} would overwrite an input: choose another folder with -o")
        if not overwrite and os.path.lexists(target) and not _is_own_file(target, own):
            foreign.append(target)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UsageError(
            f"{foreign[0]}{more} would be overwritten, and fcn-edge did not write it, or it was changed "
            "since: choose another folder with -o, or give --overwrite"
        )


def is_own(path: Path) -> bool:
    """Whether a file that is not a video is an unchanged result of an earlier run."""
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - _TAIL, 0))
        marked_at_its_end = has_mark(stream.read())
    return marked_at_its_end and is_unchanged_result(path.read_bytes())


def _is_own_file(path: Path, own: Callable[[Path], bool]) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and own(path)
    except OSError:
        return False
