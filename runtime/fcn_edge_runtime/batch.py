"""Many image files through one Segmenter: what is written for each, and what happens to a bad one.

Results are `STEM.labels.png`, `STEM.overlay.png`, `STEM.confidence.png`, `STEM.effect.png` and `STEM.json`
below the output folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._files import require_writable, writer_of_many
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

# What can be saved, and the ending of its file name.
SAVES = {
    "labels": ".labels.png",
    "overlay": ".overlay.png",
    "confidence": ".confidence.png",
    "effect": ".effect.png",
    "json": ".json",
}


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
    images: Sequence[ImageFile],
    out: Path,
    save: Sequence[str] = ("labels", "overlay", "json"),
    effect: Effect | None = None,
    progress: Progress | None = None,
) -> Iterator[FileResult]:
    """Segment each image and write the requested files, each of them whole or not at all.

    An image that cannot be read or segmented is reported in its result; the others are still processed.
    All files are on disk when the iteration ends.

    Args:
        segmenter: the open model.
        images: from `find_images`.
        out: the folder for the results; made if it is missing.
        save: names from `SAVES`.
        effect: applied to each image where `save` has "effect".
        progress: receives how many images are done, as one stage.

    Raises:
        UsageError: an unknown name in `save`, confidence from a model without it, or a result that would
            overwrite an image. All of these before the first image is read.
        ArtifactError: results cannot be written there.
        ProviderError: the device failed.
        InputError: Pillow is not installed.
    """
    _check_save(segmenter, save, effect)
    import_pillow()
    require_writable(out)
    _check_overwrites(images, out, save)
    return _segmented(segmenter, images, out, save, effect, progress or SILENT)


def _segmented(
    segmenter: Segmenter,
    images: Sequence[ImageFile],
    out: Path,
    save: Sequence[str],
    effect: Effect | None,
    progress: Progress,
) -> Iterator[FileResult]:
    progress.start("segment", len(images), "images")
    with writer_of_many() as write:
        for file in tracked(images, progress):
            yield _segment_file(segmenter, file, out, save, effect, write)
    progress.finish(f"{len(images)} image{'s' if len(images) != 1 else ''}")


def _segment_file(
    segmenter: Segmenter,
    file: ImageFile,
    out: Path,
    save: Sequence[str],
    effect: Effect | None,
    write: Callable[[Path, bytes], None],
) -> FileResult:
    try:
        image = read_image(file.source, segmenter.card.input, segmenter.max_pixels)
        result = segmenter(image)
        areas = result.areas()
        contents = {name: _content(name, file, image, result, areas, segmenter, effect) for name in save}
    except (InputError, ModelError) as error:  # ModelError: onnxruntime ran out of memory on this image, say
        return FileResult(file.source, error=str(error))
    written = []
    for name, data in contents.items():
        path = out / f"{file.stem}{SAVES[name]}"
        if path.parent != out:
            require_writable(path.parent)
        write(path, data)
        written.append(path)
    height, width = image.shape[:2]
    return FileResult(file.source, tuple(written), (height, width), result.milliseconds, areas)


def _content(
    name: str,
    file: ImageFile,
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
        # `_check_save` made sure that there is one.
        return confidence_png(np.asarray(result.confidence))
    # No times: the same image and model give the same file.
    data = {
        "image": file.source.name,
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
        raise UsageError("an effect is saved exactly where one is given: name it with --effect")
    if effect is not None:
        effect.check(segmenter.card)
    if "confidence" in save and "confidence" not in segmenter.outputs:
        raise UsageError(
            "the model does not compute confidence: export it with --outputs labels,confidence, "
            "or save other things"
        )


def _check_overwrites(images: Sequence[ImageFile], out: Path, save: Sequence[str]) -> None:
    sources = {os.path.realpath(file.source) for file in images}
    for file in images:
        for name in save:
            target = out / f"{file.stem}{SAVES[name]}"
            if os.path.realpath(target) in sources:
                raise UsageError(
                    f"the result {target} would overwrite an input: choose another folder with -o"
                )
