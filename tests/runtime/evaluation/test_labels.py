from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.evaluation.labels import labels_of
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec

CARD = Card("net", tuple(ClassInfo(i, str(i), (0, 0, 0)) for i in range(3)), InputSpec.default(3))


@pytest.fixture
def folders(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for index in range(3):
            shape = (4, 5, 3) if kind == "images" else (4, 5)
            Image.fromarray(np.full(shape, index, np.uint8)).save(tmp_path / kind / f"{index}.png")
    return tmp_path / "images", tmp_path / "labels"


def values(found):
    return {name: int(read()[0, 0]) for name, read in found.items()}


def test_labels_in_a_folder_belong_to_images_of_the_same_stem(folders):
    images, labels = folders
    names = [str(images / f"{i}.png") for i in range(3)]
    assert values(labels_of(labels, images, names, CARD)) == dict(zip(names, (0, 1, 2), strict=True))
    assert values(labels_of(str(labels), [images / "1.png"], names[1:2], CARD)) == {names[1]: 1}


def test_arrays_come_in_the_order_of_the_frames(folders):
    images, labels = folders
    arrays = [np.full((4, 5), value, np.uint8) for value in (2, 0)]
    assert values(labels_of(arrays, arrays, ["a", "b"], CARD)) == {"a": 2, "b": 0}
    given = {"a": labels / "1.png", "b": lambda: arrays[0]}
    assert values(labels_of(lambda card: given if card is CARD else [], images, ["a", "b"], CARD)) == {
        "a": 1,
        "b": 2,
    }


def test_labels_that_do_not_fit_are_an_input_error(folders):
    images, labels = folders
    with pytest.raises(InputError, match="got 1 labels for 2 images"):
        labels_of([np.zeros((4, 5), np.uint8)], images, ["a", "b"], CARD)
    with pytest.raises(InputError, match="needs image files: give images as a folder or paths"):
        labels_of(labels, [np.zeros((4, 5, 3), np.uint8)], ["frame 0"], CARD)
    with pytest.raises(InputError, match="labels is a int, expected a folder"):
        labels_of(3, images, ["a"], CARD)
    (labels / "1.png").unlink()
    with pytest.raises(InputError, match="has no labels"):
        labels_of(labels, images, [], CARD)
