"""What is made of an image: the files, their names, and what is in them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._extras import require
from fcn_edge_runtime._text import printable
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.imaging.areas import Area
from fcn_edge_runtime.imaging.effects import Effect
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.reading import Picture
from fcn_edge_runtime.imaging.writing import FORMATS, confidence_png, encoded, labels_png, with_legend
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.segmentation import Segmentation, as_picture
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["SAVES", "ImageJob", "SaveOptions"]

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
_LONGEST_NAME = 200  # characters


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


@dataclass(frozen=True, eq=False)
class ImageJob:
    """What is made of every image.

    Attributes:
        segmenter: the open model.
        out: the folder for the results.
        save: names from `SAVES`.
        effect: applied to each image where `save` has "effect".
        options: how results are written.
        together: images of one size that follow each other and run in one call, at most.
    """

    segmenter: Segmenter
    out: Path
    save: tuple[str, ...] = ("labels", "overlay", "json")
    effect: Effect | None = None
    options: SaveOptions = field(default_factory=SaveOptions)
    together: int = 1

    def check(self) -> None:
        """Whether all of it can be made.

        Raises:
            UsageError: an unknown name in `save`, or an output that the model does not compute.
            InputError: a library is not installed.
        """
        save, effect, segmenter = self.save, self.effect, self.segmenter
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
        if self.together > 1 and segmenter.session.options.size is not None:
            raise UsageError(
                f"got {self.together} images in one call, and the model was opened for one at a time, of one "
                "size: leave out --batch, or the profile"
            )

    def targets(self, file: ImageFile) -> tuple[Path, ...]:
        """All files that are written for an image."""
        endings = (e for name in self.save for e in _endings(name, self.options, self.segmenter.card))
        return tuple(self.out / f"{file.stem}{ending}" for ending in endings)

    def contents(
        self, file: ImageFile, picture: Picture, result: Segmentation, areas: tuple[Area, ...]
    ) -> tuple[bytes, ...]:
        """What is in these files; `check` made sure of the outputs."""
        return tuple(
            content for name in self.save for content in _contents(name, file, picture, result, areas, self)
        )

    def facts(self) -> dict[str, Any]:
        """What two runs have in common that make the same files."""
        return {
            "model": self.segmenter.digest,
            "threshold": self.segmenter.threshold,
            "save": sorted(self.save),
            "effect": None if self.effect is None else repr(self.effect),
            **{name: value for name, value in asdict(self.options).items() if name != "overwrite"},
        }


def _endings(name: str, options: SaveOptions, card: Card) -> tuple[str, ...]:
    if name in ("overlay", "effect"):
        return (f".{name}.{options.format}",)
    if name == "probabilities":
        return (".probabilities.npz", *(f".probability-{c.id}.png" for c in card.classes))
    if name in ("labelstudio", "coco"):
        return (f".{name}.json",)
    return (f".{name}",) if name in ("json", "geojson") else (f".{name}.png",)


def _contents(
    name: str, file: ImageFile, picture: Picture, result: Segmentation, areas: tuple[Area, ...], job: ImageJob
) -> Iterator[bytes]:
    """The files of one name in `save`, in the order of `_endings`."""
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


def _facts(file: ImageFile, result: Segmentation, areas: tuple[Area, ...], job: ImageJob) -> bytes:
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
