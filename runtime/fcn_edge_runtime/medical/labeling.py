"""A volume through a Segmenter, slice by slice, and what is written for it.

Results are `STEM.labels.nii.gz` with the volume's affine, or `STEM.seg.dcm` of a DICOM series;
`STEM.overlay.png`, a sheet of slices; `STEM.json`; and `STEM.dice.json` where the truth is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fcn_edge_runtime._files import require_writable, write_whole
from fcn_edge_runtime._sizes import size_text
from fcn_edge_runtime.batch import FileResult
from fcn_edge_runtime.errors import ArtifactError, InputError, ModelError, UsageError
from fcn_edge_runtime.image_job import SaveOptions
from fcn_edge_runtime.imaging.areas import areas_of
from fcn_edge_runtime.imaging.finding import ImageFile
from fcn_edge_runtime.imaging.marks import marked
from fcn_edge_runtime.imaging.writing import encoded, with_legend
from fcn_edge_runtime.medical.intensity import Window, window_of
from fcn_edge_runtime.medical.nifti import labels_nifti, read_nifti
from fcn_edge_runtime.medical.segmentation_object import segmentation_object
from fcn_edge_runtime.medical.series import is_series, read_series
from fcn_edge_runtime.medical.volume import AXES, Volume, slices_of, turned
from fcn_edge_runtime.model.card import Card
from fcn_edge_runtime.placing import check_place, is_own, refuse_foreign
from fcn_edge_runtime.progress import SILENT, Progress
from fcn_edge_runtime.segmenter import Segmenter

__all__ = [
    "VOLUME_SAVES",
    "LabeledVolume",
    "VolumeOptions",
    "VolumeResult",
    "dice_of",
    "label_volume",
    "read_truth",
    "read_volume",
    "segment_volumes",
]

VOLUME_SAVES = ("labels", "nifti", "overlay", "json", "dice")
_TILES, _COLUMNS = 12, 4
_MOST_APART = 1e-2  # millimeters between the places of one voxel in two files


@dataclass(frozen=True)
class VolumeOptions:
    """How volumes are read.

    Attributes:
        axis: along which slices are taken, one of `AXES`.
        window: values that become the lowest and the highest pixel; None takes the card's.
        percentiles: the same as percentiles of the voxels.

    Raises:
        UsageError: an unknown axis.
    """

    axis: str = "axial"
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.axis not in AXES:
            raise UsageError(f"there is no axis {self.axis!r}, expected one of {', '.join(AXES)}")


@dataclass(frozen=True)
class VolumeResult(FileResult):
    """The result of one volume: `milliseconds` is the time per slice, `frames` are slices.

    Attributes:
        shape: of the volume, in its own order of axes.
        milliliters: of one voxel.
        dice: of each class, None where it occurs neither in the truth nor in the labels; empty without truth.
    """

    _: KW_ONLY
    shape: tuple[int, ...] = ()
    milliliters: float = 0.0
    dice: tuple[float | None, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        if self.error is not None:
            return {"volume": str(self.source), "error": self.error}
        return {
            "volume": str(self.source),
            "shape": list(self.shape),
            "slices": self.frames,
            "milliseconds": round(self.milliseconds, 3),
            "written": [str(path) for path in self.written],
            "classes": [
                {**asdict(area), "milliliters": round(area.pixels * self.milliliters, 3)}
                for area in self.areas
            ],
            **(
                {"dice": dict(zip((a.name for a in self.areas), self.dice, strict=False))}
                if self.dice
                else {}
            ),
        }


@dataclass(frozen=True, eq=False)
class LabeledVolume:
    """Labels (I, J, K) in the volume's order, milliseconds per slice, and some slices as pictures."""

    labels: np.ndarray
    milliseconds: float
    sheet: np.ndarray | None = None


def read_volume(path: Path, most: int) -> Volume:
    """A NIfTI file, or a DICOM series.

    Raises:
        InputError: as `read_nifti` and `read_series`.
    """
    return read_series(path, most) if is_series(path) else read_nifti(path, most)


def label_volume(
    segmenter: Segmenter,
    volume: Volume,
    options: VolumeOptions,
    progress: Progress | None = None,
    *,
    sheet: bool = False,
) -> LabeledVolume:
    """Label every slice.

    Args:
        segmenter: the open model.
        volume: as it was read.
        options: the axis, and the window.
        progress: receives how many slices are done, as one stage.
        sheet: also draw some of the slices, evenly spaced.

    Raises:
        InputError: the values are not those that the model takes, or the slices are too small or large.
        UsageError: an invalid window.
        ModelError, ProviderError: as for a `Segmenter`.
    """
    progress = progress or SILENT
    window = window_of(volume, segmenter.card.input, options.window, options.percentiles)
    labels = np.empty(volume.stored.shape, segmenter.card.label_dtype)
    found, given = (
        slices_of(labels, volume.affine, options.axis),
        slices_of(volume.stored, volume.affine, options.axis),
    )
    count = len(given)
    shown = _shown(given) if sheet else set()
    tiles, milliseconds = [], 0.0
    progress.start("segment", count, "slices")
    for index in range(count):
        pixels = _pixels(volume, window, given[index])
        result = segmenter(pixels)
        found[index] = result.labels
        milliseconds += result.milliseconds
        if index in shown:
            tiles.append(result.overlay(pixels))
        progress.advance(index + 1)
    progress.finish(f"{count} {options.axis} slices of {Path(volume.name).name}")
    spacing = volume.spacing_of(options.axis)[1:]
    return LabeledVolume(labels, milliseconds / count, _sheet(tiles, spacing) if tiles else None)


def _shown(slices: np.ndarray) -> set[int]:
    """The slices of the sheet, evenly spaced over those that hold more than the lowest value."""
    full = np.flatnonzero(slices.max(axis=(1, 2)) > slices.min())
    first, last = (int(full[0]), int(full[-1])) if full.size else (0, len(slices) - 1)
    return {first + round((i + 0.5) * (last + 1 - first) / _TILES - 0.5) for i in range(_TILES)}


def _pixels(volume: Volume, window: Window, stored: np.ndarray) -> np.ndarray:
    pixels: np.ndarray = np.ascontiguousarray(window.pixels(volume.values(stored), volume.name))
    return pixels


def _sheet(tiles: Sequence[np.ndarray], spacing: tuple[float, float]) -> np.ndarray:
    """Slices side by side, with square pixels."""
    from fcn_edge_runtime.imaging.reading import import_pillow

    image_module = import_pillow()
    height, width = tiles[0].shape[:2]
    unit = min(spacing)
    size = max(1, round(width * spacing[1] / unit)), max(1, round(height * spacing[0] / unit))
    if max(size) > 4 * max(height, width):  # thick slices, cut across
        size = width, height
    shown = [np.asarray(image_module.fromarray(np.ascontiguousarray(tile)).resize(size)) for tile in tiles]
    shown += [np.zeros_like(shown[0])] * (-len(shown) % _COLUMNS)
    rows = [np.concatenate(shown[i : i + _COLUMNS], axis=1) for i in range(0, len(shown), _COLUMNS)]
    return np.concatenate(rows)


def read_truth(
    path: Path, volume: Volume, card: Card, most: int, foreground: int | None = None
) -> np.ndarray:
    """The true labels (I, J, K) of a volume, from a volume of the same voxels.

    Args:
        path: a NIfTI file or a DICOM series, whose axes may run otherwise.
        volume: what the labels are of.
        card: of the model.
        most: voxels at most.
        foreground: for masks of two classes: this value is class 1, and 0 is class 0.

    Raises:
        InputError: it cannot be read, lies elsewhere, or holds other numbers than class ids.
    """
    truth = turned(read_volume(path, most), volume.affine)
    if truth.stored.shape != volume.stored.shape:
        got, expected = size_text(truth.stored.shape), size_text(volume.stored.shape)
        raise InputError(f"{path} has {got} voxels, {volume.name} {expected}: expected equal shapes")
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in truth.stored.shape], [1])).reshape(4, -1)
    apart = float(np.abs((truth.affine - volume.affine) @ corners).max())
    if apart > _MOST_APART:
        raise InputError(
            f"{path} lies up to {apart:.3g} mm from {volume.name} (their affines differ): resample it"
        )
    values = truth.values(truth.stored)
    if foreground is not None:
        values = np.where(values == foreground, np.float32(1), np.where(values == 0, values, np.float32(-1)))
    known = (
        (values == np.rint(values))
        & (values >= 0)
        & ((values < len(card.classes)) | (values == card.unlabeled))
    )
    if not known.all():
        other = float(truth.values(truth.stored[~known][:1])[0])
        binary = foreground is None and len(card.classes) == 2
        raise InputError(
            f"{path} holds the value {other:g}, "
            + (f"expected 0 and the foreground, {foreground}" if foreground is not None else "")
            + ("" if foreground is not None else f"the model has classes 0 to {len(card.classes) - 1}")
            + (f": for binary masks give --foreground {other:g}" if binary else "")
        )
    labels: np.ndarray = values.astype(card.label_dtype)
    binary = len(card.classes) == 2 and foreground is None
    if binary and (labels == card.unlabeled).any() and not (labels == 1).any():
        raise InputError(
            f"{path} holds 0 and {card.unlabeled}, which means unlabeled, and no 1: write the mask as 0 and "
            f"1, or give `evaluate` --foreground {card.unlabeled}"
        )
    return labels


def dice_of(labels: np.ndarray, truth: np.ndarray, card: Card) -> tuple[float | None, ...]:
    """Dice of each class, where the truth is a class; None for a class that is in neither."""
    known = truth != card.unlabeled
    found: list[float | None] = []
    for entry in card.classes:
        ours, true = (labels == entry.id) & known, truth == entry.id
        both = int(ours.sum()) + int(true.sum())
        found.append(2 * int((ours & true).sum()) / both if both else None)
    return tuple(found)


def segment_volumes(
    segmenter: Segmenter,
    volumes: Sequence[ImageFile],
    out: Path,
    save: Sequence[str] = ("labels", "overlay", "json"),
    progress: Progress | None = None,
    options: SaveOptions | None = None,
    reading: VolumeOptions | None = None,
    truth: Path | None = None,
) -> Iterator[VolumeResult]:
    """Label each volume and write the requested files, each of them whole or not at all.

    Args:
        segmenter: the open model; `max_pixels` is the limit of voxels.
        volumes: NIfTI files, and folders of DICOM series.
        out: the folder for the results; made if it is missing.
        save: names from `VOLUME_SAVES`. "labels" is a DICOM SEG for a series; "nifti" is NIfTI for both.
        progress: receives how many slices of a volume are done, as one stage for each.
        options: `legend` and `overwrite` are used; None takes the defaults.
        reading: the axis, and the window; None takes axial slices and the card's window.
        truth: labels of the only volume.

    Raises:
        UsageError: an unknown name in `save`, "dice" without truth, truth for several volumes, or a result
            that would overwrite any file that is not an unchanged result of an earlier run.
        ArtifactError: results cannot be written there.
        ProviderError: the device failed.
    """
    unknown = [name for name in save if name not in VOLUME_SAVES]
    if unknown or not save:
        raise UsageError(
            f"volumes have no {', '.join(unknown) or 'results to save'}, expected some of "
            f"{', '.join(VOLUME_SAVES)}"
        )
    if "dice" in save and truth is None:
        raise UsageError("Dice compares with true labels: give them with --truth FILE.nii.gz")
    if truth is not None and len(volumes) != 1:
        raise UsageError(f"the truth is of one volume, got {len(volumes)}: `fcn-edge evaluate` takes folders")
    job = _Job(
        segmenter,
        out,
        tuple(dict.fromkeys(save)),
        options or SaveOptions(),
        reading or VolumeOptions(),
        truth,
    )
    targets = [target for file in volumes for target in job.targets(file)]
    inputs = [file.source for file in volumes] + ([] if truth is None else [truth])
    refuse_foreign(targets, inputs, overwrite=job.options.overwrite, own=is_own)
    require_writable(out)
    return (_segment(job, file, progress or SILENT) for file in volumes)


@dataclass(frozen=True, eq=False)
class _Job:
    """What is the same for every volume."""

    segmenter: Segmenter
    out: Path
    save: tuple[str, ...]
    options: SaveOptions
    reading: VolumeOptions
    truth: Path | None

    def targets(self, file: ImageFile) -> tuple[Path, ...]:
        """All files that are written for a volume, without repetitions, in the order of `save`."""
        endings = [self._ending(name, file) for name in self.save]
        return tuple(self.out / f"{file.stem}{ending}" for ending in dict.fromkeys(endings))

    def _ending(self, name: str, file: ImageFile) -> str:
        if name == "labels" and is_series(file.source):
            return ".seg.dcm"
        return {"overlay": ".overlay.png", "json": ".json", "dice": ".dice.json"}.get(name, ".labels.nii.gz")


def _segment(job: _Job, file: ImageFile, progress: Progress) -> VolumeResult:
    try:
        targets = job.targets(file)
        check_place(file, job.out, targets)
        most, card = job.segmenter.max_pixels, job.segmenter.card
        volume = read_volume(file.source, most)
        truth = None if job.truth is None else read_truth(job.truth, volume, card, most)
        done = label_volume(job.segmenter, volume, job.reading, progress, sheet="overlay" in job.save)
        slices = slices_of(done.labels, volume.affine, job.reading.axis)
        result = VolumeResult(
            file.source,
            written=targets,
            size=(slices.shape[1], slices.shape[2]),
            milliseconds=done.milliseconds,
            areas=areas_of(done.labels, card),
            frames=len(slices),
            shape=volume.stored.shape,
            milliliters=volume.milliliters,
            dice=() if truth is None else dice_of(done.labels, truth, card),
        )
        for path in targets:
            write_whole(path, marked(_content(path, volume, done, result, job)))
    except (InputError, ModelError) as failure:
        return VolumeResult(file.source, error=str(failure))
    except ArtifactError as failure:
        return VolumeResult(file.source, error=str(failure))
    except MemoryError:
        return VolumeResult(
            file.source, error=f"the memory is not enough for {file.source}: crop or resample it"
        )
    return result


def _content(path: Path, volume: Volume, done: LabeledVolume, result: VolumeResult, job: _Job) -> bytes:
    card = job.segmenter.card
    if path.name.endswith(".seg.dcm"):
        return segmentation_object(done.labels, volume, card, job.segmenter.digest)
    if path.name.endswith(".nii.gz"):
        return labels_nifti(done.labels, volume, f"fcn-edge labels of {card.name}")
    if path.name.endswith(".png"):
        sheet = np.asarray(done.sheet)
        return encoded(with_legend(sheet, result.areas) if job.options.legend else sheet)
    facts: dict[str, Any] = {
        "volume": result.source.name,
        "model": {"name": card.name, "sha256": job.segmenter.digest},
        "provider": job.segmenter.session.provider,
        "axis": job.reading.axis,
    }
    values = result.to_dict()
    if path.name.endswith(".dice.json"):
        facts["dice"] = values.get("dice", {})
    else:
        facts |= {key: values[key] for key in ("shape", "slices", "classes")}
        threshold = job.segmenter.threshold
        facts |= {} if threshold is None else {"threshold": threshold}
    return (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
