from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fcn_edge_runtime.errors import InputError
from fcn_edge_runtime.imaging.frames import frames_of
from fcn_edge_runtime.model.card import Card, InputSpec

CARD = Card("net", (), InputSpec.default(3))


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((4, 5, 3), index, np.uint8)).save(tmp_path / f"{index}.png")
    return tmp_path


def values(given):
    return [int(read().reshape(-1)[0]) for read in frames_of(given, CARD).values()]


def test_a_folder_a_pattern_and_a_list_of_paths_name_images(folder):
    assert values(folder) == values(str(folder)) == values([folder]) == [0, 1, 2]
    assert values(str(folder / "[12].png")) == [1, 2]
    assert values([folder / "2.png", str(folder / "0.png"), folder / "2.png"]) == [2, 0]


def test_arrays_are_frames_one_or_many():
    one = np.full((4, 5, 3), 7, np.uint8)
    assert values(one) == [7]
    assert values(np.stack([one, one + 1])) == values([one, one + 1]) == [7, 8]


def test_a_mapping_keeps_its_names(folder):
    given = {"path": folder / "1.png", "array": np.full((4, 5, 3), 9, np.uint8), "call": lambda: np.zeros(3)}
    assert list(frames_of(given, CARD)) == ["path", "array", "call"]
    assert values(given) == [1, 9, 0]


def test_a_function_is_given_the_card(folder):
    assert values(lambda card: folder if card is CARD else []) == [0, 1, 2]


def test_image_files_are_read_only_when_needed(folder):
    frames = frames_of(folder, CARD)
    (folder / "1.png").write_bytes(b"not a picture")
    first, second, _ = frames.values()
    assert first().shape == (4, 5, 3)
    with pytest.raises(InputError, match=r"1\.png"):
        second()


@pytest.mark.parametrize("given", [3, None, b"bytes", [3], {"a": 3}])
def test_anything_else_is_an_input_error_with_its_name(given):
    with pytest.raises(InputError, match=r"calibration.* is a (int|NoneType|bytes), expected"):
        frames_of(given, CARD, "calibration")


def test_no_images_where_paths_were_given_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no images in"):
        frames_of(tmp_path, CARD)
    assert frames_of([], CARD) == {}
