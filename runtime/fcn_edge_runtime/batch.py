"""Many picture files through one Segmenter: which files, where results go, and one bad one among them.

Results are `STEM.labels.png`, `STEM.overlay.png`, `STEM.confidence.png` and `STEM.json` below the output
folder. Pictures found in a folder keep their place below it. Where two pictures would share a stem, the
results carry the whole file name, and then a number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime.errors import InputError, ModelError, UsageError
from fcn_edge_runtime.imaging.areas import Area
from fcn_edge_runtime.imaging.effects import Effect
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.reading import import_pillow, read_image
from fcn_edge_runtime.imaging.writing import confidence_png, labels_png, overlay_png, picture_png
from fcn_edge_runtime.progress import SILENT, Progress, tracked
from fcn_edge_runtime.segmentation import Segmentation, as_picture
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["SAVES", "FileResult", "segment_files"]

# What can be saved, and how its file name ends.
SAVES = {
    "labels": ".labels.png",
    "overlay": ".overlay.png",
    "confidence": ".confidence.png",
    "effect": ".effect.png",
    "json": ".json",
}


@dataclass(frozen=True)
class FileResult:
    """How one picture went.

    Attributes:
        source: the picture.
        written: the files that were written.
        size: (height, width); None if it could not be segmented.
        milliseconds: time of the network; 0 if it could not be segmented.
        areas: pixels and share of every class.
        error: why it could not be segmented, in one line; None if it was.
    """

    source: Path
    written: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    milliseconds: float = 0.0
    areas: tuple[Area, ...] = ()
    error: str | None = None

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
    jobs: Sequence[ImageFile],
    out: Path,
    save: Sequence[str] = ("labels", "overlay", "json"),
    effect: Effect | None = None,
    progress: Progress | None = None,
) -> Iterator[FileResult]:
    """Segment each picture and write what was asked for, every file whole or not at all.

    A picture that cannot be read or segmented is reported in its result, and the next one follows.

    Args:
        segmenter: the open model.
        jobs: as `find_images` gives them.
        out: the folder for the results; made if it is missing.
        save: names out of `SAVES`.
        effect: what "effect" in `save` does to each picture.
        progress: receives how many pictures are done, as one stage.

    Raises:
        UsageError: an unknown name in `save`, confidence from a file that has none, or a result that would
            overwrite a picture. All of these before the first picture is read.
        ArtifactError: results cannot be written there.
        ProviderError: the device failed.
        InputError: Pillow is not installed.
    """
    _check_save(segmenter, save, effect)
    import_pillow()
    require_writable(out)
    _check_overwrites(jobs, out, save)
    return _segmented(segmenter, jobs, out, save, effect, progress or SILENT)


def _segmented(
    segmenter: Segmenter,
    jobs: Sequence[ImageFile],
    out: Path,
    save: Sequence[str],
    effect: Effect | None,
    progress: Progress,
) -> Iterator[FileResult]:
    progress.start("segment", len(jobs), "images")
    for job in tracked(jobs, progress):
        yield _segment_file(segmenter, job, out, save, effect)
    progress.finish(f"{len(jobs)} image{'s' if len(jobs) != 1 else ''}")


def _segment_file(
    segmenter: Segmenter, job: ImageFile, out: Path, save: Sequence[str], effect: Effect | None
) -> FileResult:
    try:
        image = read_image(job.source, segmenter.card.input, segmenter.max_pixels)
        result = segmenter(image)
        areas = result.areas()
        contents = {name: _content(name, job, image, result, areas, segmenter, effect) for name in save}
    except (
        InputError,
        ModelError,
    ) as error:  # a ModelError here is one picture's: too large for the memory, say
        return FileResult(job.source, error=str(error))
    written = []
    for name, data in contents.items():
        path = out / f"{job.stem}{SAVES[name]}"
        if path.parent != out:
            require_writable(path.parent)
        write_whole(path, data)
        written.append(path)
    height, width = image.shape[:2]
    return FileResult(job.source, tuple(written), (height, width), result.milliseconds, areas)


def _content(
    name: str,
    job: ImageFile,
    image: Any,
    result: Segmentation,
    areas: tuple[Area, ...],
    segmenter: Segmenter,
    effect: Effect | None,
) -> bytes:
    if name == "labels":
        return labels_png(result.labels, result.card)
    if name == "overlay":
        return overlay_png(result.overlay(image), areas)
    if name == "effect" and effect is not None:
        return picture_png(effect(as_picture(image, result.card.input), result.labels, result.card))
    if name == "confidence":
        # `_check_save` made sure that it is there.
        return confidence_png(np.asarray(result.confidence))
    # No times: the same picture and model give the same file.
    data = {
        "image": job.source.name,
        "size": list(result.labels.shape),
        "model": {"name": result.card.name, "sha256": segmenter.digest},
        "provider": result.provider,
        "classes": [asdict(area) for area in areas],
    }
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _check_save(segmenter: Segmenter, save: Sequence[str], effect: Effect | None) -> None:
    unknown = [name for name in save if name not in SAVES]
    if unknown or not save:
        raise UsageError(
            f"cannot save {', '.join(unknown) or 'nothing'}, expected some of {', '.join(SAVES)}"
        )
    if ("effect" in save) != (effect is not None):
        raise UsageError("'effect' is saved where an effect is given, and only there: name it with --effect")
    if effect is not None:
        effect.check(segmenter.card)
    if "confidence" in save and "confidence" not in segmenter.outputs:
        raise UsageError(
            "the model does not compute confidence: export it with --outputs labels,confidence, "
            "or save other things"
        )


def _check_overwrites(jobs: Sequence[ImageFile], out: Path, save: Sequence[str]) -> None:
    sources = {os.path.realpath(job.source) for job in jobs}
    for job in jobs:
        for name in save:
            target = out / f"{job.stem}{SAVES[name]}"
            if os.path.realpath(target) in sources:
                raise UsageError(
                    f"the result {target} would overwrite an input: choose another folder with -o"
                )
