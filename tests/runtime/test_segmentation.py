from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.areas import UNLABELED_COLOR
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec
from fcn_edge_runtime.segmentation import Segmentation, as_picture

CLASSES = (
    ClassInfo(0, "background", (0, 0, 0)),
    ClassInfo(1, "road", (128, 64, 128)),
    ClassInfo(2, "car", (0, 0, 142)),
)
LABELS = np.array([[0, 1, 1], [2, 255, 1]], np.uint8)


def result_of(labels, spec=None):
    card = Card("test", CLASSES, spec or InputSpec.default())
    return Segmentation(labels, card, "CPUExecutionProvider", 1.0)


def test_areas_add_up_and_include_unlabeled_pixels():
    areas = result_of(LABELS).areas()
    assert [(a.id, a.name, a.pixels) for a in areas] == [
        (0, "background", 1),
        (1, "road", 3),
        (2, "car", 1),
        (255, "unlabeled", 1),
    ]
    assert sum(a.share for a in areas) == pytest.approx(1)
    assert sum(a.pixels for a in result_of(np.stack([LABELS, LABELS])).areas()) == 12


def test_colors_are_those_of_the_classes():
    painted = result_of(LABELS).colored()
    assert painted.dtype == np.uint8
    assert painted[0, 1].tolist() == [128, 64, 128]
    assert painted[1, 1].tolist() == list(UNLABELED_COLOR)
    assert result_of(np.stack([LABELS] * 4)).colored().shape == (4, 2, 3, 3)


def test_overlays_keep_black_classes_and_unlabeled_pixels():
    image = np.full((2, 3, 3), 200, np.uint8)
    mixed = result_of(LABELS).overlay(image)
    assert mixed[0, 0].tolist() == [200, 200, 200]
    assert mixed[1, 1].tolist() == [200, 200, 200]
    assert mixed[0, 1].tolist() == [164, 132, 164]
    assert (result_of(LABELS).overlay(image, alpha=0) == image).all()
    assert result_of(LABELS).overlay(image, alpha=1)[1, 0].tolist() == [0, 0, 142]
    batch = np.stack([LABELS, LABELS])
    assert result_of(batch).overlay(np.stack([image, image])).shape == (2, 2, 3, 3)


def test_an_overlay_on_another_image_is_refused():
    with pytest.raises(InputError, match="give the image that was segmented"):
        result_of(LABELS).overlay(np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(InputError, match="alpha is 2"):
        result_of(LABELS).overlay(np.zeros((2, 3, 3), np.uint8), alpha=2)


@pytest.mark.parametrize(
    ("channels", "dtype", "image", "expected"),
    [
        (1, "uint8", np.full((2, 3), 7, np.uint8), [7, 7, 7]),
        (1, "uint8", np.full((2, 3, 1), 7, np.uint8), [7, 7, 7]),
        (3, "uint16", np.full((2, 3, 3), 0xFF00, np.uint16), [255, 255, 255]),
        (3, "float32", np.full((2, 3, 3), 0.5, np.float32), [128, 128, 128]),
        (3, "float32", np.full((2, 3, 3), np.nan, np.float32), [0, 0, 0]),
        (5, "float32", np.full((2, 3, 5), 2.0, np.float32), [255, 255, 255]),
    ],
)
def test_every_kind_of_image_can_be_displayed(channels, dtype, image, expected):
    picture = as_picture(image, InputSpec.default(channels, dtype))
    assert picture.shape == (2, 3, 3)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == expected


def test_16_bit_labels_are_painted_and_counted():
    card = Card("wide", tuple(ClassInfo(i, str(i), (i % 256, 0, 0)) for i in range(300)), InputSpec.default())
    result = Segmentation(np.array([[0, 299], [65535, 298]], np.uint16), card, "x", 1.0)
    assert result.colored()[0, 1].tolist() == [43, 0, 0]
    assert result.colored()[1, 0].tolist() == list(UNLABELED_COLOR)
    assert result.areas()[-1].pixels == 1
