from __future__ import annotations

import numpy as np
import pytest

from fcn_edge_runtime import InputError
from fcn_edge_runtime.errors import UsageError
from fcn_edge_runtime.imaging.effects import (
    Effect,
    blur_background,
    class_mask,
    cutout,
    gray_background,
    replace_background,
    soft_mask,
    tint,
)
from fcn_edge_runtime.model.card import Card, ClassInfo, InputSpec

CARD = Card("c", (ClassInfo(0, "wall", (9, 9, 9)), ClassInfo(1, "Person", (255, 0, 0))), InputSpec.default())


@pytest.fixture
def picture():
    y, x = np.mgrid[:60, :80]
    return np.stack([x * 3, y * 4, (x + y) % 256], axis=-1).astype(np.uint8)


@pytest.fixture
def mask():
    inside = np.zeros((60, 80), bool)
    inside[20:40, 30:60] = True
    return inside


def test_a_class_is_chosen_by_its_name_in_any_case():
    labels = np.array([[0, 1], [255, 1]], np.uint8)
    assert class_mask(labels, CARD, ["person"]).tolist() == [[False, True], [False, True]]
    assert class_mask(labels, CARD, ["person", "wall"]).tolist() == [[True, True], [False, True]]


def test_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'cat'.*wall, Person"):
        class_mask(np.zeros((2, 2), np.uint8), CARD, ["cat"])


def test_blurring_the_background_keeps_the_person_exact(mask):
    picture = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    result = blur_background(picture, mask, radius=5)
    assert np.array_equal(result[mask], picture[mask])
    assert result[~mask].std() < picture[~mask].std() / 4
    assert abs(result[~mask].mean() - picture[~mask].mean()) < 5


def test_a_blurred_background_has_no_halo_of_the_person(mask):
    picture = np.full((60, 80, 3), 100, np.uint8)
    picture[mask] = 255
    result = blur_background(picture, mask, radius=6)
    assert np.abs(result[~mask].astype(int) - 100).max() <= 3


def test_replacing_the_background_by_a_color_is_exact(picture, mask):
    result = replace_background(picture, mask, (1, 2, 3))
    assert np.array_equal(result[mask], picture[mask])
    assert (result[~mask] == (1, 2, 3)).all()


def test_a_new_background_of_any_size_covers_the_picture(picture, mask):
    other = np.full((7, 50, 3), 200, np.uint8)
    result = replace_background(picture, mask, other)
    assert result.shape == picture.shape
    assert (result[~mask] == 200).all()


def test_a_gray_background_has_the_luma_of_bt601(picture, mask):
    result = gray_background(picture, mask)
    assert np.array_equal(result[mask], picture[mask])
    outside = result[~mask].astype(int)
    assert (outside[:, 0] == outside[:, 1]).all()
    assert (outside[:, 1] == outside[:, 2]).all()
    luma = picture[~mask] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(outside[:, 0] - luma).max() <= 0.51


def test_a_tint_colors_only_the_class(picture, mask):
    result = tint(picture, mask, (255, 0, 0), strength=0.5)
    assert np.array_equal(result[~mask], picture[~mask])
    expected = np.rint((picture[mask].astype(float) + np.array([255, 0, 0])) / 2)
    assert np.abs(result[mask] - expected).max() <= 1


def test_a_feathered_edge_mixes_only_near_the_edge(picture, mask):
    hard = replace_background(picture, mask, (0, 0, 0))
    soft = replace_background(picture, mask, (0, 0, 0), feather=1)
    differs = (hard != soft).any(axis=-1)
    assert differs.any()
    assert not differs[28:32, 40:50].any()
    assert not differs[:10].any()


def test_a_cutout_is_transparent_outside(picture, mask):
    result = cutout(picture, mask)
    assert result.shape == (60, 80, 4)
    assert (result[~mask] == 0).all()
    assert (result[mask][:, 3] == 255).all()
    assert np.array_equal(result[mask][:, :3], picture[mask])


def test_labels_of_another_size_are_refused(picture):
    with pytest.raises(InputError, match="expected equal sizes"):
        gray_background(picture, np.zeros((5, 5), bool))


@pytest.mark.parametrize("wrong", [0, -1, 5000])
def test_a_radius_out_of_range_is_refused(picture, mask, wrong):
    with pytest.raises(InputError, match="radius"):
        blur_background(picture, mask, radius=wrong)


def test_a_blur_grows_with_the_picture(picture):
    large = np.repeat(np.repeat(picture, 8, axis=0), 8, axis=1)
    labels = np.zeros(large.shape[:2], np.uint8)
    effect = Effect("blur-background", ("person",), radius_share=0.05, feather=0)
    small = effect(picture, labels[:60, :80], CARD)
    assert np.array_equal(small, blur_background(picture, labels[:60, :80] == 1, 4))
    assert np.array_equal(effect(large, labels, CARD), blur_background(large, labels == 1, 32))
    fixed = Effect("blur-background", ("person",), radius=4, feather=0)
    assert np.array_equal(fixed(large, labels, CARD), blur_background(large, labels == 1, 4))


@pytest.mark.parametrize(
    "wrong", [{"radius": 0}, {"radius": 5000}, {"radius_share": 0}, {"radius_share": 0.5}]
)
def test_a_radius_out_of_range_is_found_before_the_first_picture(wrong):
    with pytest.raises(UsageError, match="radius"):
        Effect("blur-background", ("person",), **wrong).check(CARD)


def test_an_edge_is_as_soft_as_the_model_is_uncertain(picture):
    labels = np.repeat(np.arange(80) >= 40, 60).reshape(80, 60).T.astype(np.uint8)
    person = np.full((60, 80), 0.01, np.float32)
    person[:, 38:42] = 0.3, 0.45, 0.55, 0.7
    person[:, 42:] = 0.99
    effect = Effect("replace-background", ("person",), background=(0, 0, 0), feather=0)
    result = effect(np.full_like(picture, 200), labels, CARD, np.maximum(person, 1 - person))[30, :, 0]
    assert (result[:38] == 0).all()
    assert (result[42:] == 200).all()
    assert 0 < result[38] < result[39] < 100 < result[40] < result[41] < 200


def test_the_background_of_two_classes_is_soft_as_well():
    labels, sure = np.array([[0, 1]], np.uint8), np.array([[0.6, 0.6]], np.float32)
    person, wall = (soft_mask(labels, sure, CARD, [name]) for name in ("person", "wall"))
    assert np.allclose(person + wall, 1)
    assert soft_mask(labels, sure, CARD, ["person", "wall"]).tolist() == [[True, True]]


def test_labels_that_a_threshold_made_keep_hard_edges():
    labels, sure = np.array([[0, 1]], np.uint8), np.array([[0.4, 0.9]], np.float32)
    assert soft_mask(labels, sure, CARD, ["person"]).tolist() == [[False, True]]


def test_confidence_of_three_classes_leaves_edges_hard():
    card = Card("c", (*CARD.classes, ClassInfo(2, "cat", (0, 0, 9))), InputSpec.default())
    sure = np.full((1, 2), 0.6, np.float32)
    assert soft_mask(np.array([[0, 1]], np.uint8), sure, card, ["person"]).tolist() == [[False, True]]
