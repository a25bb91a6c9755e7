"""Class names and colors: the well-known lists, numbered ones, and a user's own."""

from __future__ import annotations

from collections.abc import Sequence

from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.model.card import MAX_CLASSES, ClassInfo

__all__ = ["CITYSCAPES", "VOC", "classes_from_names", "numbered_classes", "voc_color"]

_VOC_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

# Names and colors of the 19 training classes: Cordts et al., "The Cityscapes Dataset" (CVPR 2016).
_CITYSCAPES = (
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("building", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)),
    ("pole", (153, 153, 153)),
    ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)),
    ("vegetation", (107, 142, 35)),
    ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)),
    ("person", (220, 20, 60)),
    ("rider", (255, 0, 0)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("train", (0, 80, 100)),
    ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
)


def voc_color(index: int) -> tuple[int, int, int]:
    """Color of a class id by the PASCAL VOC development kit: the id's bits, spread from the top down."""
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return color[0], color[1], color[2]


def classes_from_names(names: Sequence[str]) -> tuple[ClassInfo, ...]:
    """Classes in the order of their ids, colored as VOC would."""
    return tuple(ClassInfo(index, name, voc_color(index)) for index, name in enumerate(names))


def numbered_classes(count: int) -> tuple[ClassInfo, ...]:
    """`class_0` to `class_{count - 1}`; a binary network (count 1) has `background` and `object`.

    Raises:
        UsageError: labels cannot hold that many.
    """
    if not 1 <= count <= MAX_CLASSES:
        raise UsageError(f"got {count} classes, expected 1 to {MAX_CLASSES}")
    return classes_from_names(
        ["background", "object"] if count == 1 else [f"class_{i}" for i in range(count)]
    )


VOC = classes_from_names(_VOC_NAMES)
CITYSCAPES = tuple(ClassInfo(index, name, color) for index, (name, color) in enumerate(_CITYSCAPES))
