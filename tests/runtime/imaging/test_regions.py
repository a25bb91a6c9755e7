from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import InputError
from fcn_edge_runtime.imaging.regions import regions
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec

pytest.importorskip("scipy", reason="objects are found by SciPy: pip install 'fcn-edge[objects]'")

NAMES = ("floor", "box", "person")
CARD = Card("c", tuple(ClassInfo(i, n, (i, i, i)) for i, n in enumerate(NAMES)), InputSpec.default())


def test_regions_of_one_class_have_box_centroid_and_area():
    labels = np.zeros((10, 12), np.uint8)
    labels[1:3, 1:5] = 1
    labels[6:9, 7:9] = 1
    boxes = [r for r in regions(labels, CARD) if r.kind.name == "box"]
    assert [(r.area, r.box, r.centroid) for r in boxes] == [
        (8, (1, 1, 5, 3), (2.5, 1.5)),
        (6, (7, 6, 9, 9), (7.5, 7.0)),
    ]
    assert boxes[0].mask.shape == (2, 4)
    assert boxes[0].mask.all()


def test_pixels_that_touch_at_corners_are_connected():
    labels = np.zeros((4, 4), np.uint8)
    labels[0, 0] = labels[1, 1] = labels[2, 2] = 2
    people = [r for r in regions(labels, CARD) if r.kind.name == "person"]
    assert [r.area for r in people] == [3]
    assert people[0].mask.tolist() == np.eye(3, dtype=bool).tolist()


def test_small_regions_are_dropped_and_the_largest_is_first():
    labels = np.full((8, 8), 255, np.uint8)
    labels[0, 0] = 1
    labels[2:4, 2:4] = 2
    labels[5:8, 0:8] = 1
    assert [(r.kind.name, r.area) for r in regions(labels, CARD, min_area=2)] == [("box", 24), ("person", 4)]


def test_unlabeled_pixels_are_not_a_region():
    assert regions(np.full((5, 5), 255, np.uint8), CARD) == ()


def test_a_batch_is_refused():
    with pytest.raises(InputError, match="one image"):
        regions(np.zeros((2, 5, 5), np.uint8), CARD)
