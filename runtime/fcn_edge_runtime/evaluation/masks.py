"""Label files: PNG masks read as class ids, and the folder in which each image's mask is found.

Masks differ between tools. The stored values are read, not what a viewer shows: Pillow
multiplies gray of 1, 2 and 4 bits by 255, 85 and 17, and optimizers of PNG files renumber palettes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcn_edge_runtime.errors import InputError, UsageError
from fcn_edge_runtime.imaging.areas import UNLABELED_COLOR, color_table
from fcn_edge_runtime.imaging.arrays import MAX_PIXELS
from fcn_edge_runtime.imaging.finding import VOLUMES, find_images
from fcn_edge_runtime.imaging.reading import EXTENSIONS, decoded
from fcn_edge_runtime.medical.series import is_series, is_volume
from fcn_edge_runtime.model.card import Card

__all__ = [
    "LABELS_BY",
    "LabelFolder",
    "Pair",
    "check_masks",
    "check_occurring",
    "count_labels",
    "find_pairs",
    "read_labels",
]

LABELS_BY = ("auto", "id", "color")
_SAMPLE = 8  # masks that are read before any work
_RESCALED = {1: 255, 2: 85, 4: 17}  # bits of a gray PNG, and what Pillow multiplies its values by
_GRAY, _PALETTE = 0, 3  # color types of PNG


@dataclass(frozen=True)
class LabelFolder:
    """A folder of label PNGs, and how they are read.

    Attributes:
        path: the folder.
        by: "id": the stored values are class ids. "color": the colors are the card's, exactly; any other
            color is an error. "auto": ids, except where every color that a palette uses is the
            card's: then the colors decide, since optimizers renumber palettes.
        foreground: for masks of a two-class model: this value is class 1, and 0 is class 0. 255 (65535 with
            16 bits) is unlabeled, unless it is the foreground.
        suffix: of the names, before .png: "_mask" finds STEM_mask.png, then STEM.labels.png and STEM.png.

    Raises:
        UsageError: a value out of range, or two that contradict each other.
    """

    path: str | os.PathLike[str]
    by: str = "auto"
    foreground: int | None = None
    suffix: str = ""

    def __post_init__(self) -> None:
        if self.by not in LABELS_BY:
            raise UsageError(f"labels are read by {self.by!r}, expected one of {', '.join(LABELS_BY)}")
        if self.foreground is not None and not 0 < self.foreground <= 65535:
            raise UsageError(f"foreground is {self.foreground}, expected 1 to 65535")
        if self.foreground is not None and self.by == "color":
            raise UsageError("foreground is a value and labels are read by color: give one of the two")

    def check(self, card: Card) -> None:
        """Check before the first image that these options fit a model.

        Raises:
            UsageError: `foreground` for a model of more than two classes.
        """
        if self.foreground is not None and len(card.classes) != 2:
            raise UsageError(
                f"foreground is for models of two classes, and this one has {len(card.classes)}: "
                "give masks of class ids, or labels by color"
            )


@dataclass(frozen=True)
class Pair:
    """An image file and its label file."""

    image: Path
    labels: Path
    folder: LabelFolder

    def truth(self, card: Card) -> np.ndarray:
        """Class ids (H, W), see `read_labels`."""
        return read_labels(self.labels, card, self.folder)


def find_pairs(
    images: Sequence[str], labels: LabelFolder | str | os.PathLike[str], *, recursive: bool = True
) -> tuple[Pair, ...]:
    """Each image with the labels of the same name.

    Args:
        images: folders, files or glob patterns.
        labels: the folder. It may be the images' own: a mask is not taken for an image there.
        recursive: whether to search subfolders of the images.

    Raises:
        InputError: there are no images, the folder is missing, an image has no labels, or two images have the
            same.
    """
    folder = labels if isinstance(labels, LabelFolder) else LabelFolder(labels)
    root = Path(folder.path)
    if not root.is_dir():
        raise InputError(f"there is no folder of labels {root}")
    files = find_images(images, recursive=recursive, endings=(*EXTENSIONS, *VOLUMES), whole=is_series)
    sources = {_identity(file.source) for file in files}
    found: dict[Path, Path | None] = {}
    for file in files:
        endings = _endings(folder, file.source)
        names = [f"{stem}{ending}" for stem in (file.relative, file.stem) for ending in endings]
        paths = [root / name for name in dict.fromkeys(names)]
        found[file.source] = next(
            (p for p in paths if _is_there(p) and _identity(p) != _identity(file.source)), None
        )
    masks = {_identity(path) for path in found.values() if path is not None} & sources
    pairs: dict[str, Pair] = {}
    for image, path in found.items():
        if _identity(image) in masks:
            continue
        if path is None:
            stem = next(file.relative for file in files if file.source == image)
            ending = _endings(folder, image)[0]
            raise InputError(f"{image} has no labels: expected {root / f'{stem}{ending}'}")
        other = pairs.setdefault(_identity(path), pair := Pair(image, path, folder))
        if other is not pair:
            raise InputError(f"{other.image} and {image} have the same labels, {path}: expected one for each")
    if not pairs:
        raise InputError(f"{', '.join(images[:3])} holds only label files, expected images, too")
    return tuple(pairs.values())


def _is_there(path: Path) -> bool:
    return path.is_file() or is_series(path)


def _endings(folder: LabelFolder, image: Path) -> tuple[str, ...]:
    """Of the labels of an image: PNG; of a medical volume NIfTI, or a DICOM file or series."""
    kinds = (".nii.gz", ".nii", ".dcm", "") if is_volume(image) else (".png",)
    stems = dict.fromkeys((folder.suffix, ".labels", ""))
    return tuple(f"{stem}{kind}" for stem in stems for kind in kinds)


def _identity(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - keeps links apart: each name is a file of its own


def read_labels(path: Path, card: Card, folder: LabelFolder | None = None) -> np.ndarray:
    """Class ids (H, W) of a PNG mask; 255 (65535 in 16 bits) is unlabeled.

    Args:
        path: the PNG.
        card: of the model, with its classes and their colors.
        folder: how it is read; None reads as `LabelFolder` does by default.

    Raises:
        InputError: it is not such a PNG, or holds an id or a color without a class in the model.
        UsageError: the options do not fit the model.
    """
    how = folder or LabelFolder(path.parent)
    how.check(card)
    mask = _Mask.read(path)
    if how.foreground is not None:
        return _binary(mask, how.foreground, path)
    if how.by == "color":
        return _by_color(mask.colors(path), card, path)
    if how.by == "auto" and mask.palette is not None:
        used = np.unique(mask.values)
        if _renumbered(used, mask.palette, card):
            ids = np.zeros(256, np.uint8 if card.unlabeled == 255 else np.uint16)
            ids[used] = _by_color(mask.palette[used], card, path)
            mapped: np.ndarray = ids[mask.values]
            return mapped
    if mask.values.ndim != 2:
        gray = (mask.values == mask.values[..., :1]).all()
        if how.by != "id" or not gray:
            raise InputError(
                f"{path} is a mask of colors, expected class ids (a palette or gray PNG): "
                "read the card's colors with --labels-by color"
                + (", or values with --labels-by id or --foreground VALUE" if gray else "")
            )
        return _ids(mask.values[..., 0], card, path)
    return _ids(mask.values, card, path)


def check_masks(pairs: Sequence[Pair], card: Card, *, keep_going: bool = False) -> None:
    """Look at a few masks before the work: a mistake in all of them is found within a second.

    Where the few hold less than two classes, all masks are counted: only they show whether 0 and 255 are
    class ids.

    Args:
        pairs: the images and their masks.
        card: the model's card.
        keep_going: whether masks that cannot be read are passed over, unless all of the few are.

    Raises:
        InputError: a mask cannot be read, or masks of 0 and 255 would be read as ids.
        UsageError: the options do not fit the model.
    """
    few = pairs[:: max(1, len(pairs) // _SAMPLE)]
    counts, _ = _counted(few, card, keep_going=keep_going)
    if pairs and np.count_nonzero(counts) < 2:
        check_occurring(*_counted(pairs, card, keep_going=keep_going), card, pairs[0].folder)


def _counted(pairs: Sequence[Pair], card: Card, *, keep_going: bool) -> tuple[np.ndarray, int]:
    """True pixels of each class in all masks, and pixels that are none."""
    total, unlabeled, failed = np.zeros(len(card.classes), np.int64), 0, 0
    for pair in pairs:
        try:
            counts, other = count_labels(pair.truth(card), len(card.classes))
        except InputError:
            failed += 1
            if not keep_going or failed == len(pairs):
                raise
            continue
        total += counts
        unlabeled += other
    return total, unlabeled


def check_occurring(counts: np.ndarray, unlabeled: int, card: Card, folder: LabelFolder) -> None:
    """Refuse masks of 0 and 255 that are read as ids: all foreground would count as unlabeled.

    Args:
        counts: true pixels of each class, over all images.
        unlabeled: pixels of the unlabeled value.
        card: the model's card.
        folder: how the masks were read; explicit options are trusted.

    Raises:
        InputError: the unlabeled value occurs, and only one class of the model.
    """
    if not unlabeled or folder.by != "auto" or folder.foreground is not None:
        return
    present = int(np.count_nonzero(counts))
    if present >= 2:
        return
    absent = next((c.name for c, count in zip(card.classes, counts, strict=True) if not count), "")
    top = card.unlabeled
    hint = f"--foreground {top}" if len(card.classes) == 2 else "masks of class ids, or --labels-by color"
    raise InputError(
        f"the labels hold no pixel of the class {absent!r}, and {unlabeled} of {top}, which means unlabeled: "
        f"if the masks are binary (0 and {top}), give {hint}; "
        f"if {top} really is unlabeled, give --labels-by id"
    )


@dataclass(frozen=True, eq=False)
class _Mask:
    """What a PNG stores: values (H, W), or colors (H, W, 3) uint8; what gray was multiplied by; a palette."""

    values: np.ndarray
    scale: int = 1
    palette: np.ndarray | None = None

    @classmethod
    def read(cls, path: Path) -> _Mask:
        image = decoded(os.fspath(path), MAX_PIXELS, formats=("PNG",), transposed=False).image
        depth, kind = _header(path)
        if kind == _PALETTE:
            colors = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            palette = np.zeros((256, 3), np.uint8)
            palette[: len(colors)] = colors
            return cls(np.asarray(image), palette=palette)
        if kind == _GRAY and image.mode in ("1", "L", "I;16", "I"):
            values, scale = np.asarray(image), _RESCALED.get(depth, 1)
            if image.mode == "1":
                return cls(values.astype(np.uint8), scale)
            return cls(values.astype(np.uint16) if depth == 16 else values // np.uint8(scale), scale)
        if depth == 16:
            raise InputError(f"{path} is a mask of 16-bit colors, expected 8 bits: save it with 8")
        rgba = np.asarray(image.convert("RGBA"))
        if (rgba[..., 3] != 255).any():
            raise InputError(f"{path} is a mask with transparent pixels, expected opaque ones: flatten it")
        return cls(rgba[..., :3])

    def colors(self, path: Path) -> np.ndarray:
        """What a viewer shows: (H, W, 3) uint8."""
        if self.palette is not None:
            shown: np.ndarray = self.palette[self.values]
            return shown
        if self.values.ndim == 3:
            return self.values
        if self.values.dtype == np.uint16:
            raise InputError(f"{path} is 16-bit gray, expected colors of 8 bits: give --labels-by id")
        return np.repeat((self.values * np.uint8(self.scale))[..., None], 3, axis=-1)


def _header(path: Path) -> tuple[int, int]:
    """Bit depth and color type of a PNG that was decoded before."""
    with path.open("rb") as stream:
        head = stream.read(26)
    return head[24], head[25]


def _ids(values: np.ndarray, card: Card, path: Path) -> np.ndarray:
    top = 65535 if values.dtype == np.uint16 else 255
    foreign = values[(values >= len(card.classes)) & (values != top)]
    if foreign.size:
        value = int(foreign[0])
        binary = len(card.classes) == 2 and set(np.unique(values).tolist()) <= {0, value}
        raise InputError(
            f"{path} holds the id {value}, the model has classes 0 to {len(card.classes) - 1} "
            f"and {top} is unlabeled" + (f": for binary masks give --foreground {value}" if binary else "")
        )
    return values


def _binary(mask: _Mask, foreground: int, path: Path) -> np.ndarray:
    """0 and `foreground` as classes 0 and 1. A value is meant as it is stored, or as a viewer shows it."""
    values = mask.values
    if mask.palette is not None and foreground > int(values.max(initial=0)):
        values = mask.palette[values]  # black and white
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise InputError(f"{path} is a mask of colors, expected gray: read it with --labels-by color")
        values = values[..., 0]
    if mask.scale > 1 and foreground * mask.scale > 255:  # more than its bits can store
        values = values * np.uint8(mask.scale)
    top = 65535 if values.dtype == np.uint16 else 255
    other = values[(values != 0) & (values != foreground) & (values != top)]
    if other.size:
        raise InputError(
            f"{path} holds the value {int(other[0])}, expected 0 and the foreground, {foreground}: "
            "binarize the mask"
        )
    ids: np.ndarray = (values == foreground).astype(np.uint8)
    ids[(values == top) & (values != foreground)] = 255
    return ids


def _packed(colors: np.ndarray) -> np.ndarray:
    wide = colors.astype(np.int64)
    packed: np.ndarray = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _meanings(card: Card) -> dict[int, int]:
    """The id of each color of the card; of a color that two classes share, -1."""
    found: dict[int, int] = {}
    for entry in card.classes:
        color = int(_packed(np.array(entry.color)))
        found[color] = -1 if color in found else entry.id
    found.setdefault(int(_packed(np.array(UNLABELED_COLOR))), card.unlabeled)
    return found


def _renumbered(used: np.ndarray, palette: np.ndarray, card: Card) -> bool:
    """Whether every used entry has a color of the card, though not the color of the class of its number."""
    known = _meanings(card)
    if not all(int(color) in known for color in _packed(palette[used])):
        return False
    table = color_table(card)[:256]
    if np.array_equal(palette, table):
        return False  # as `fcn-edge run` writes it
    return bool((palette[used] != table[used]).any() or ((used >= len(card.classes)) & (used != 255)).any())


def _by_color(colors: np.ndarray, card: Card, path: Path) -> np.ndarray:
    """Ids of colors (..., 3), which are the card's, exactly."""
    packed = _packed(colors)
    values, places = np.unique(packed, return_inverse=True)
    known, ids = _meanings(card), []
    for value in values.tolist():
        number = known.get(value)
        if number is None:
            raise InputError(
                f"{path} holds the color #{value:06x}, which is not a color of the card: "
                f"the nearest is {_nearest(value, card)}. Give the classes' exact colors "
                "(`fcn-edge inspect` lists them), without blending"
            )
        if number < 0:
            shared = " and ".join(c.name for c in card.classes if int(_packed(np.array(c.color))) == value)
            raise InputError(
                f"{path} holds the color #{value:06x}, which the classes {shared} share: "
                "read ids with --labels-by id"
            )
        ids.append(number)
    dtype = np.uint8 if card.unlabeled == 255 else np.uint16
    mapped: np.ndarray = np.array(ids, dtype)[places.reshape(packed.shape)]
    return mapped


def _nearest(value: int, card: Card) -> str:
    color = np.array([value >> 16, value >> 8 & 255, value & 255])
    entry = min(card.classes, key=lambda c: int(((np.array(c.color) - color) ** 2).sum()))
    red, green, blue = entry.color
    return f"#{red:02x}{green:02x}{blue:02x} ({entry.name})"


def count_labels(truth: np.ndarray, classes: int) -> tuple[np.ndarray, int]:
    """True pixels of each class, and pixels that are none."""
    known = truth[truth < classes]
    counts: np.ndarray = np.bincount(known, minlength=classes)
    return counts, int(truth.size - known.size)
